"""The Modelfile, by which Ollama knows a GGUF file: its template, its system message, its stop words."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from studio.data import examples
from studio.evaluate import predictions
from studio.export.turns import Messages, Turns, find_turns
from studio.runs import Run

MODELFILE = "Modelfile"
PLAIN_TEMPLATE = "{{ .Prompt }}"


@dataclass(frozen=True)
class OllamaModel:
    """What Ollama has to know of a model.

    Attributes:
        template: Its chat template, in Go's template language.
        system: The system message of a conversation that has none.
        stop: The texts that end an answer.
        turns: What the template is made of; None where a text is continued, or no such template is known.
    """

    template: str
    system: str
    stop: Sequence[str]
    turns: Turns | None = None

    def render(self, messages: Messages) -> str:
        """A conversation as Ollama writes it, up to where the answer begins."""
        if not self.turns:
            return messages[-1]["content"]
        has_system = messages[0]["role"] == "system"
        opening = [{"role": "system", "content": self.system}] if self.system and not has_system else []
        return self.turns.render([*opening, *messages])

    def to_modelfile(self, file_name: str) -> str:
        """The text of the Modelfile; at temperature 0 the answers are those that were checked."""
        stops = [f"PARAMETER stop {_quote(text)}" for text in self.stop]
        return "\n".join(
            [
                f"FROM ./{file_name}",
                f"TEMPLATE {_quote(self.template)}",
                f"SYSTEM {_quote(self.system)}",
                *stops,
                "PARAMETER temperature 0",
                "",
            ]
        )


def describe_model(tokenizer: Any, task: str, system: str = "") -> OllamaModel:
    """What Ollama has to know of a trained model.

    Args:
        tokenizer: Its tokenizer.
        task: What it has learned.
        system: The system message that all it has learned from begins with; "" for the template's own.
    """
    stop = find_stop_words(tokenizer, task)
    if task == "complete":
        return OllamaModel(PLAIN_TEMPLATE, "", stop)
    try:
        turns = find_turns(tokenizer, opening_token(tokenizer))
    except Exception:  # a chat template may raise whatever it likes
        return OllamaModel(PLAIN_TEMPLATE, system, stop)
    return OllamaModel(turns.to_go_template(), system or turns.default_system, stop, turns)


def describe_for_ollama(run: Run) -> OllamaModel:
    """What Ollama has to know of a run's result."""
    from studio.models import load  # noqa: PLC0415 - loads torch

    rows = predictions.read_rows(run.folder, "validation")
    return describe_model(load.tokenizer(run.model), run.plan.task, _find_common_system(rows))


def _find_common_system(rows: list[examples.Example]) -> str:
    """The system message that every conversation begins with; "" where they differ or have none."""
    openings = {
        (messages[0]["role"], messages[0]["content"])
        for row in rows
        if "messages" in row and (messages := examples.to_messages(row))
    }
    ((role, content),) = openings if len(openings) == 1 else {("", "")}
    return content if role == "system" else ""


def find_stop_words(tokenizer: Any, task: str) -> tuple[str, ...]:
    """The tokens that end an answer: the one the chat template writes behind it, and the end of a text."""
    ids = [tokenizer.eos_token_id]
    if task != "complete":
        ids.insert(0, examples.end_of_turn_id(tokenizer))
    return tuple(dict.fromkeys(tokenizer.convert_ids_to_tokens(token) for token in ids if token is not None))


def opening_token(tokenizer: Any) -> str:
    """The token that llama.cpp and Ollama set before every text; "" where they set none."""
    if tokenizer.bos_token_id is None:
        return ""
    ids = tokenizer("a")["input_ids"]
    return str(tokenizer.bos_token) if ids[:1] == [tokenizer.bos_token_id] else ""


def _quote(text: str) -> str:
    """A text as a value in a Modelfile, which may go over several lines."""
    return f'"""{text}"""' if "\n" in text or '"' in text else f'"{text}"'
