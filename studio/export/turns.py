"""The turns of a chat template: what it writes before and after a message of each role, found by probing it.

Ollama has a template language of its own, in which a template that only sets texts around messages can be
written again. Whether a template is one of these, the rows it is compared on show.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Messages = Sequence[Mapping[str, str]]
# Words that no template has; each stands where a message would.
SYSTEM, QUESTION, ANSWER, SECOND = "zqsystemqz", "zqquestionqz", "zqanswerqz", "zqsecondqz"


@dataclass(frozen=True)
class Turns:
    """What a chat template writes around messages.

    Attributes:
        before: By role, what stands before a message.
        after: By role, what stands behind it.
        opening: What stands before everything.
        generation_prompt: What stands before an answer that is to be written.
        default_system: The system message that is set where a conversation has none.
    """

    before: Mapping[str, str]
    after: Mapping[str, str]
    opening: str
    generation_prompt: str
    default_system: str

    def render(self, messages: Messages) -> str:
        """A conversation up to where the answer begins, with these turns alone."""
        turns = [
            f"{self.before[message['role']]}{message['content']}{self.after[message['role']]}"
            for message in messages
            if message["role"] in self.before
        ]
        return f"{self.opening}{''.join(turns)}{self.generation_prompt}"

    def to_go_template(self) -> str:
        """The same in Go's template language, which Ollama renders."""
        branches = [f'{{{{ if eq .Role "{role}" }}}}{self._to_go_turn(role)}' for role in self.before]
        return (
            f"{escape_go(self.opening)}{{{{ range .Messages }}}}"
            + "{{ else }}".join(branches)
            + "{{ end }}" * (len(branches) + 1)
            + escape_go(self.generation_prompt)
        )

    def _to_go_turn(self, role: str) -> str:
        return f"{escape_go(self.before[role])}{{{{ .Content }}}}{escape_go(self.after[role])}"


def escape_go(text: str) -> str:
    """Literal text in a Go template."""
    return text.replace("{{", '{{ "{{" }}')


def find_turns(tokenizer: Any, opening_token: str = "") -> Turns:
    """The turns of a tokenizer's chat template.

    Args:
        tokenizer: The tokenizer.
        opening_token: A token that the runtime itself sets before everything; left out of the turns.

    Raises:
        ValueError: The template does not simply set texts around messages.
    """
    render = _renderer(tokenizer, opening_token)
    user, answer = {"role": "user", "content": QUESTION}, {"role": "assistant", "content": ANSWER}
    second = {"role": "user", "content": SECOND}
    alone, prompted = render([user], False), render([user], True)
    conversation = render([user, answer, second], False)
    after_user = conversation.split(SECOND)[1]
    after_answer = render([user, answer], False).split(ANSWER)[1]
    before_answer = _strip(conversation.split(QUESTION)[1].split(ANSWER)[0], after_user, is_start=True)
    before_user = _strip(conversation.split(ANSWER)[1].split(SECOND)[0], after_answer, is_start=True)
    generation_prompt = _strip(prompted, alone, is_start=True)
    opening = _strip(alone.split(QUESTION)[0], before_user, is_start=False)
    before = {"user": before_user, "assistant": before_answer}
    after = {"user": after_user, "assistant": after_answer}
    default_system = ""
    system_turn = _find_system_turn(render, user, before_user)
    if system_turn:
        before_system, after_system = system_turn
        before, after = {"system": before_system, **before}, {"system": after_system, **after}
        # What stands before a question alone is the default system message, where it looks like one.
        if opening and opening.startswith(before_system) and opening.endswith(after_system):
            default_system = opening[len(before_system) : len(opening) - len(after_system)]
            opening = ""
    return Turns(before, after, opening, generation_prompt, default_system)


def _renderer(tokenizer: Any, opening_token: str) -> Callable[[Messages, bool], str]:
    def render(messages: Messages, add_generation_prompt: bool) -> str:
        text = tokenizer.apply_chat_template(
            list(messages), tokenize=False, add_generation_prompt=add_generation_prompt
        )
        return str(text).removeprefix(opening_token) if opening_token else str(text)

    return render


def _find_system_turn(
    render: Callable[[Messages, bool], str], user: Mapping[str, str], before_user: str
) -> tuple[str, str] | None:
    """What stands before and behind a system message; None where the template takes none."""
    try:
        text = render([{"role": "system", "content": SYSTEM}, user], False)
        before_system, between = text.split(QUESTION)[0].split(SYSTEM)
        return before_system, _strip(between, before_user, is_start=False)
    except Exception:  # a template may raise whatever it likes
        return None


def _strip(text: str, part: str, is_start: bool) -> str:
    """A text without the part it must begin or end with."""
    if is_start and text.startswith(part):
        return text.removeprefix(part)
    if not is_start and text.endswith(part):
        return text.removesuffix(part)
    raise ValueError("the chat template does more than setting texts around messages")
