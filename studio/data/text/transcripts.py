"""Conversations written out in a text, as models and people write them: ChatML, “Customer: …”, Q and A."""

import re
from collections.abc import Iterable

from studio.data.text import chat_format
from studio.data.text.chat_format import ROLE_ALIASES, ChatMessage

# Names before a colon or below marks that are no speakers elsewhere.
_HEADING_ROLES = {
    **ROLE_ALIASES,
    **dict.fromkeys(("instruction", "question", "q", "prompt", "问", "问题", "提问"), "user"),
    **dict.fromkeys(("response", "answer", "a", "答", "回答", "答复", "回复"), "assistant"),
    "input": "user",
}
QUESTION_HEADINGS = frozenset(("q", "question", "问", "问题", "提问"))
_NAMES = "|".join(sorted(map(re.escape, _HEADING_ROLES), key=len, reverse=True))
# A turn as a chat template writes it: the groups are the speaker and the text.
TEMPLATE_TURNS = (
    re.compile(r"<\|im_start\|>\s*(\w+)\n(.*?)(?:<\|im_end\|>|\Z)", re.DOTALL),
    re.compile(r"<\|start_header_id\|>\s*(\w+)\s*<\|end_header_id\|>\s*(.*?)(?:<\|eot_id\|>|\Z)", re.DOTALL),
    re.compile(r"<start_of_turn>\s*(\w+)\n(.*?)(?:<end_of_turn>|\Z)", re.DOTALL),
    re.compile(
        r"<\|(system|user|assistant)\|>\s*\n?(.*?)(?:<\|end\|>|</s>|(?=<\|(?:system|user|assistant)\|>)|\Z)",
        re.DOTALL,
    ),
)
INST_MARK = re.compile(r"(?:<s>[ \t]*)?\[INST\]")
INST_SYSTEM = re.compile(r"\s*<<SYS>>(.*?)<</SYS>>", re.DOTALL)
MARKED_HEADING = re.compile(rf"^#{{2,4}} *({_NAMES}) *(?::|：|$)[ \t]*", re.IGNORECASE | re.MULTILINE)
COLON_HEADING = re.compile(
    rf"^[ \t]*(?:\*\*)?({_NAMES}) ?\d{{0,4}} ?(?:\*\*)?[:：](?:\*\*)?[ \t]*", re.IGNORECASE | re.MULTILINE
)
MAX_LENGTH = 200_000  # characters of a text that is looked at
TRANSCRIPT_MARKS = ("<|", "<start_of_turn>", "[INST]", "#", ":", "：")


def parse_transcript(text: str) -> list[ChatMessage]:
    """The messages of a conversation that is written out in a text; empty where the text is none."""
    if len(text) > MAX_LENGTH or not any(mark in text for mark in TRANSCRIPT_MARKS):
        return []
    for pattern in TEMPLATE_TURNS:
        turns = pattern.findall(text)
        if len(turns) > 1:
            return _to_messages(turns)
    if "[INST]" in text:
        return _parse_inst(text)
    for pattern in (MARKED_HEADING, COLON_HEADING):
        first, *parts = pattern.split(text)
        if len(parts) < 4:
            continue
        if first.strip() and pattern is COLON_HEADING:
            return []
        preamble = [("system", first)] if first.strip() else []
        return _to_messages([*preamble, *zip(parts[::2], parts[1::2], strict=True)])
    return []


def split_questions(text: str) -> list[list[ChatMessage]]:
    """The questions with their answers that a text holds one below the other; empty where it is none."""
    first, *parts = COLON_HEADING.split(text)
    if first.strip() or len(parts) < 4:
        return []
    turns = _to_messages(zip(parts[::2], parts[1::2], strict=True))
    is_asked = all(parts[index].lower() in QUESTION_HEADINGS for index in range(0, len(parts), 4))
    roles = [message["role"] for message in turns]
    if not is_asked or roles != ["user", "assistant"] * (len(turns) // 2):
        return []
    return [turns[index : index + 2] for index in range(0, len(turns), 2)]


def _parse_inst(text: str) -> list[ChatMessage]:
    """The messages of a conversation as Llama 2 and Mistral write it."""
    turns: list[tuple[str, str]] = []
    before, *exchanges = INST_MARK.split(text)
    if before.strip():
        return []
    for exchange in exchanges:
        question, _, answer = exchange.partition("[/INST]")
        system = INST_SYSTEM.match(question)
        if system:
            turns.append(("system", system[1]))
            question = question[system.end() :]
        turns += [("user", question), ("assistant", answer.replace("</s>", ""))]
    return _to_messages(turns)


def _to_messages(turns: Iterable[tuple[str, str]]) -> list[ChatMessage]:
    """Turns as messages, those of one speaker in a row as one; empty where nobody asks or answers."""
    messages: list[ChatMessage] = []
    for speaker, text in turns:
        role = _HEADING_ROLES.get(speaker.strip().lower(), "")
        content = text.strip()
        if not role:
            return []
        if not content:
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += f"\n\n{content}"
        else:
            messages.append({"role": role, "content": content})
    return messages if chat_format.trim_to_answer(messages) else []
