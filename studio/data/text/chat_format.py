"""What cells hold of conversations, in every form they come in, brought into one: messages with a role and a text."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

ChatMessage = dict[str, str]

# What the parts of a conversation are called: OpenAI's "role" and "content", ShareGPT's "from" and "value", and what exports make of them.
ROLE_KEYS, TEXT_KEYS = (
    ("role", "from", "speaker", "author", "sender"),
    ("content", "value", "text", "message"),
)
ROLE_ALIASES = {
    **dict.fromkeys(
        (
            "user",
            "human",
            "customer",
            "prompter",
            "client",
            "buyer",
            "visitor",
            "caller",
            "用户",
            "客户",
            "顾客",
            "买家",
            "访客",
        ),
        "user",
    ),
    **dict.fromkeys(
        (
            "assistant",
            "gpt",
            "bot",
            "model",
            "chatgpt",
            "agent",
            "ai",
            "support",
            "operator",
            "seller",
            "助手",
            "客服",
            "机器人",
            "卖家",
            "坐席",
        ),
        "assistant",
    ),
    **dict.fromkeys(("system", "developer", "系统"), "system"),
}
# A conversation written as one text, as in Anthropic's hh-rlhf.
TRANSCRIPT_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")
# What stands in a conversation in which tools are called, in OpenAI's and ShareGPT's form.
TOOL_KEYS = re.compile(
    r"""["'](tool_calls|tool_call_id|tool|function|function_call|observation|ipython)["']"""
)
# How Python writes a list of messages; longer ones are left alone.
PYTHON_LITERAL, MAX_LITERAL_CHARS = re.compile(r"\[?\s*\{\s*'"), 50_000
GOOD_WORDS = ("helpful", "correct", "right", "satisfied", "满意", "好评", "有用", "有帮助", "正确", "已解决")
BAD_WORDS = (
    "unhelpful",
    "not helpful",
    "wrong",
    "incorrect",
    "unsatisfied",
    "dissatisfied",
    "不满意",
    "差评",
    "没用",
    "无用",
    "没帮助",
    "错误",
    "未解决",
)
# Stars: from four on an answer is a good one, up to two a bad one, between them neither.
STAR_DIGITS, MIN_GOOD_STARS, MAX_BAD_STARS = frozenset("12345"), 4, 2
LABEL_VALUES = {
    **dict.fromkeys(
        (
            "true",
            "1",
            "yes",
            "good",
            "positive",
            "up",
            "like",
            "thumbs_up",
            "👍",
            "是",
            "好",
            "赞",
            "对",
            *GOOD_WORDS,
        ),
        True,
    ),
    **dict.fromkeys(
        (
            "false",
            "0",
            "-1",
            "no",
            "bad",
            "negative",
            "down",
            "dislike",
            "thumbs_down",
            "👎",
            "否",
            "差",
            "踩",
            "错",
            *BAD_WORDS,
        ),
        False,
    ),
}


def parse_messages(cell: str) -> list[ChatMessage]:
    """The messages in a cell, each with "role" (system, user, assistant) and "content"; empty where it holds no readable conversation."""
    text = cell.strip()
    if text[:1] not in ("[", "{"):
        return _parse_transcript(text)
    try:
        raw = _unwrap_messages(_load_literal(text))
    except (ValueError, RecursionError):
        return []
    messages = [_parse_message(item) for item in raw]
    return [message for message in messages if message] if all(messages) else []


def has_tool_calls(cell: str) -> bool:
    """Whether a cell is a conversation in which tools are called: one as such, though none that can be learned from here."""
    if cell.strip()[:1] not in ("[", "{") or not TOOL_KEYS.search(cell):
        return False
    try:
        raw = _unwrap_messages(_load_literal(cell.strip()))
    except (ValueError, RecursionError):
        return False
    return all(isinstance(item, Mapping) and any(name in item for name in ROLE_KEYS) for item in raw)


def _unwrap_messages(raw: Any) -> list[Any]:
    """The messages of a conversation that may lie in an object; one message alone likewise."""
    if isinstance(raw, dict):
        return next(
            (value for name in ("messages", "conversations") if isinstance(value := raw.get(name), list)),
            [raw],
        )
    return list(raw)


def _load_literal(text: str) -> Any:
    """What a cell of JSON holds, or of Python's own writing, as pandas saves lists in a CSV. Raises ValueError where it is neither."""
    try:
        return json.loads(text)
    except ValueError:
        if not PYTHON_LITERAL.match(text) or len(text) > MAX_LITERAL_CHARS:
            raise
    try:
        return ast.literal_eval(text)  # it builds values and runs nothing
    except (SyntaxError, MemoryError) as error:
        raise ValueError(str(error)) from None


def _parse_message(item: object) -> ChatMessage:
    """One message; empty where it is none that a chat template could write."""
    if not isinstance(item, Mapping):
        return {}
    speaker = next((str(item[name]) for name in ROLE_KEYS if name in item), "")
    raw_content = next((item[name] for name in TEXT_KEYS if name in item), None)
    role = ROLE_ALIASES.get(speaker.strip().lower(), "")
    content = _parse_content(raw_content)
    return {"role": role, "content": content} if role and content is not None else {}


def _parse_content(raw_content: object) -> str | None:
    """The text of a message, which may come in pieces; None where a piece is a picture or the like."""
    if raw_content is None:
        return ""
    if isinstance(raw_content, list):
        pieces = [
            piece.get("text") if isinstance(piece, Mapping) and piece.get("type", "text") == "text" else None
            for piece in raw_content
        ]
        return "".join(map(str, pieces)) if all(isinstance(piece, str) for piece in pieces) else None
    return raw_content if isinstance(raw_content, str) else None


def _parse_transcript(text: str) -> list[ChatMessage]:
    parts = TRANSCRIPT_TURN.split(text)
    if len(parts) < 3 or parts[0].strip():
        return []
    speaker_roles = {"Human": "user", "Assistant": "assistant"}
    return [
        {"role": speaker_roles[speaker], "content": content.strip()}
        for speaker, content in zip(parts[1::2], parts[2::2], strict=True)
    ]


def trim_to_answer(messages: list[ChatMessage]) -> list[ChatMessage]:
    """A conversation up to its last answer; empty where nobody asks or nobody answers."""
    last = max(
        (index for index, message in enumerate(messages) if message["role"] == "assistant"), default=-1
    )
    has_question = any(message["role"] == "user" for message in messages[: last + 1])
    return messages[: last + 1] if has_question else []


def split_answer(cell: str) -> tuple[list[ChatMessage], str]:
    """What was said before and the answer itself, of a cell that holds an answer, one message, or a conversation that ends in it."""
    messages = parse_messages(cell)
    if not messages:
        return [], cell.strip()
    if len(messages) == 1:
        return [], messages[0]["content"].strip()
    trimmed = trim_to_answer(messages)
    return (trimmed[:-1], trimmed[-1]["content"].strip()) if trimmed else ([], "")


def parse_prompt(cell: str) -> list[ChatMessage]:
    """What is asked, as messages: the text itself, or a conversation up to its last question; empty where there is none."""
    messages = parse_messages(cell)
    if not messages:
        return [{"role": "user", "content": cell.strip()}] if cell.strip() else []
    last = max((index for index, message in enumerate(messages) if message["role"] == "user"), default=-1)
    return messages[: last + 1]


def parse_label(cell: str, uses_stars: bool = False) -> bool | None:
    """Whether an answer was found good, by a word, a sign or (where the column counts them) one to five stars; None where it does not say."""
    value = cell.strip().lower()
    if not uses_stars:
        return LABEL_VALUES.get(value)
    n_stars = _parse_stars(value)
    return None if n_stars is None or MAX_BAD_STARS < n_stars < MIN_GOOD_STARS else n_stars >= MIN_GOOD_STARS


def is_star_rating(cells: Sequence[str]) -> bool:
    """Whether cells are numbers of stars, one to five, and not ones and noughts."""
    ratings = [_parse_stars(cell.strip()) for cell in cells if cell.strip()]
    return None not in ratings and any(rating != 1 for rating in ratings)


def _parse_stars(value: str) -> int | None:
    """The number of stars in a cell, as 4, 4.0, 4/5 or 4 ★; None where it is none."""
    return int(value[0]) if value[:1] in STAR_DIGITS and value[1:].strip("0. ★星分/") in ("", "5") else None


def dump_messages(messages: list[ChatMessage]) -> str:
    """Messages as one cell."""
    return json.dumps(messages, ensure_ascii=False)


def load_messages(cell: str) -> list[ChatMessage]:
    """Messages that `packed` wrote."""
    messages: Any = json.loads(cell)
    return list(messages)
