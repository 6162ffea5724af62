"""Conversations in cells, parsed from all the forms they come in: messages with a role and a text.

An answer that is read and not learned, as OpenAI marks it, has a "weight" of "0", too.
"""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

ChatMessage = dict[str, str]

# The keys of a message: OpenAI's "role" and "content", ShareGPT's "from" and "value", Gemini's "parts", and
# what exports call them.
ROLE_KEYS = ("role", "from", "speaker", "author", "sender")
TEXT_KEYS = ("content", "value", "text", "message", "parts")
# The keys of a conversation within an object, and of two turns in one item, as Capybara has them.
CONVERSATION_KEYS = ("messages", "conversations", "conversation", "contents")
TURN_PAIR_KEYS = (("input", "output"), ("user", "assistant"), ("human", "assistant"), ("prompt", "response"))
_USER_NAMES = (
    *("user", "human", "customer", "prompter", "client", "buyer", "visitor", "caller"),
    *("lead", "contact", "requester", "end-user", "end user", "end_user", "inbound", "incoming"),
    *("用户", "客户", "顾客", "买家", "访客"),
)
_ASSISTANT_NAMES = (
    *("assistant", "gpt", "bot", "model", "chatgpt", "agent", "ai", "support", "operator", "seller"),
    *("chatbot", "admin", "representative", "advisor", "staff", "outbound", "outgoing"),
    *("助手", "客服", "机器人", "卖家", "坐席"),
)
_SYSTEM_NAMES = ("system", "developer", "系统")
ROLE_ALIASES = {
    **dict.fromkeys(_USER_NAMES, "user"),
    **dict.fromkeys(_ASSISTANT_NAMES, "assistant"),
    **dict.fromkeys(_SYSTEM_NAMES, "system"),
}
# A turn of a conversation that is written as one text, as in Anthropic's hh-rlhf.
TRANSCRIPT_TURN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")
# What occurs in a conversation in which tools are called, in OpenAI's and ShareGPT's form.
TOOL_KEYS = re.compile(
    r"""["'](tool_calls|tool_call_id|tool|function|function_call|observation|ipython)["']"""
)
# The types of a message's parts that are texts, and the weights of answers that are read and not learned.
TEXT_PARTS, UNLEARNED_WEIGHTS = ("text", "input_text", "output_text"), (0, "0")
# How Python writes a list of messages; longer ones are not parsed.
PYTHON_LITERAL, MAX_LITERAL_CHARS = re.compile(r"\[?\s*[{\[]\s*'"), 50_000
GOOD_WORDS = (
    *("true", "1", "yes", "good", "positive", "up", "like", "thumbs_up", "👍", "是", "好", "赞", "对"),
    *("accepted", "approved", "accept", "pass", "passed", "ok", "通过"),
    *("helpful", "correct", "right", "satisfied", "满意", "好评", "有用", "有帮助", "正确", "已解决"),
)
BAD_WORDS = (
    *(
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
    ),
    *("declined", "reject", "fail", "failed", "not approved", "disapproved", "不通过", "未通过"),
    *("rejected", "unhelpful", "not helpful", "wrong", "incorrect", "unsatisfied", "dissatisfied"),
    *("不满意", "差评", "没用", "无用", "没帮助", "错误", "未解决"),
)
LABEL_VALUES = {**dict.fromkeys(GOOD_WORDS, True), **dict.fromkeys(BAD_WORDS, False)}
# Stars: from four on an answer is a good one, up to two a bad one, between them neither.
STAR_DIGITS, MIN_GOOD_STARS, MAX_BAD_STARS = frozenset("12345"), 4, 2
MIN_STAR_SHARE = 0.9  # of the cells are stars (0–1)


def parse_messages(cell: str) -> list[ChatMessage]:
    """The messages in a cell.

    Returns:
        Messages with "role" (system, user or assistant) and "content"; empty where the cell holds no readable
        conversation.
    """
    text = cell.strip()
    if not _may_be_literal(text):
        return _parse_transcript(text)
    try:
        raw = _unwrap_messages(load_literal(text))
    except (ValueError, RecursionError):
        return []
    return _parse_items(raw)


def _parse_items(items: Sequence[object]) -> list[ChatMessage]:
    """The messages of the items of a conversation; empty where one of them is none."""
    messages = [message for item in items for message in _parse_item(item)]
    return messages if all(messages) else []


def has_tool_calls(cell: str) -> bool:
    """Whether a cell is a conversation in which tools are called."""
    text = cell.strip()
    return TOOL_KEYS.search(text) is not None and bool(load_items(text))


def load_items(cell: str) -> list[Any]:
    """The items of a conversation as they are, each with a speaker; empty where the cell is none."""
    text = cell.strip()
    if not _may_be_literal(text):
        return []
    try:
        raw = _unwrap_messages(load_literal(text))
    except (ValueError, RecursionError):
        return []
    are_messages = all(isinstance(item, Mapping) and any(name in item for name in ROLE_KEYS) for item in raw)
    return raw if are_messages else []


def _may_be_literal(text: str) -> bool:
    return text[:1] in ("[", "{")


def _unwrap_messages(raw: Any) -> list[Any]:
    """The messages of a conversation, which an object may hold; a single message becomes a list."""
    if not isinstance(raw, dict):
        return list(raw)
    for name in CONVERSATION_KEYS:
        messages = raw.get(name)
        if isinstance(messages, list):
            return messages
    return [raw] if any(name in raw for name in ROLE_KEYS) else []


def load_literal(text: str) -> Any:
    """The value of a cell of JSON, or of a Python literal, as pandas saves lists in a CSV.

    Raises:
        ValueError: The cell is neither.
    """
    try:
        return json.loads(text)
    except ValueError:
        if not PYTHON_LITERAL.match(text) or len(text) > MAX_LITERAL_CHARS:
            raise
    try:
        return ast.literal_eval(text)  # it builds values and runs nothing
    except (SyntaxError, MemoryError) as error:
        raise ValueError(str(error)) from None


def _parse_item(item: object) -> list[ChatMessage]:
    """The message that an item of a conversation is, or its two turns; an empty one where it is neither."""
    if isinstance(item, Mapping) and not any(name in item for name in ROLE_KEYS):
        for keys in TURN_PAIR_KEYS:
            texts = [item.get(key) for key in keys]
            if all(isinstance(text, str) for text in texts):
                roles = ("user", "assistant")
                return [{"role": role, "content": str(text)} for role, text in zip(roles, texts, strict=True)]
    return [_parse_message(item)]


def _parse_message(item: object) -> ChatMessage:
    """One message; empty where it is none that a chat template could write."""
    if not isinstance(item, Mapping):
        return {}
    speaker = next((item[name] for name in ROLE_KEYS if name in item), "")
    if isinstance(speaker, Mapping):  # ChatGPT's export names the author in an object
        speaker = speaker.get("role", "")
    role = ROLE_ALIASES.get(str(speaker).strip().lower(), "")
    raw_content = next((item[name] for name in TEXT_KEYS if name in item), None)
    content = parse_content(raw_content)
    if not role or content is None:
        return {}
    if role == "assistant" and item.get("weight") in UNLEARNED_WEIGHTS:
        return {"role": role, "content": content, "weight": "0"}
    return {"role": role, "content": content}


def parse_content(raw_content: object) -> str | None:
    """The text of a message, which may come in parts; None where a part is a picture or the like."""
    if raw_content is None:
        return ""
    if isinstance(raw_content, str):
        return raw_content
    if isinstance(raw_content, Mapping):  # ChatGPT's export: {"content_type": "text", "parts": [...]}
        raw_content = raw_content.get("parts", [raw_content])
    if not isinstance(raw_content, list):
        return None
    texts = [_parse_part(part) for part in raw_content]
    return None if None in texts else "".join(filter(None, texts))


def _parse_part(part: object) -> str | None:
    """The text of one part of a message; None where it is none."""
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping) or part.get("type", "text") not in TEXT_PARTS:
        return None
    text = next((part[name] for name in ("text", "value") if name in part), None)
    return text if isinstance(text, str) else None


def _parse_transcript(text: str) -> list[ChatMessage]:
    """The messages of a conversation that is written as one text; empty where it is none."""
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
    trimmed = _trim_to_role(messages, "assistant")
    while trimmed and "weight" in trimmed[-1]:  # an answer that is not to be learned
        trimmed = _trim_to_role(trimmed[:-1], "assistant")
    has_question = any(message["role"] == "user" for message in trimmed)
    return trimmed if has_question else []


def _trim_to_role(messages: list[ChatMessage], role: str) -> list[ChatMessage]:
    """A conversation up to the last message of a role; empty where there is none."""
    for end in range(len(messages), 0, -1):
        if messages[end - 1]["role"] == role:
            return messages[:end]
    return []


def split_answer(cell: str) -> tuple[list[ChatMessage], str]:
    """The messages before an answer, and the answer.

    The cell may hold the answer alone, as a text or as one message, or a conversation that ends in it.
    """
    messages = parse_messages(cell)
    if not messages:
        return [], cell.strip()
    if len(messages) == 1:
        return [], messages[0]["content"].strip()
    trimmed = trim_to_answer(messages)
    if not trimmed:
        return [], ""
    return trimmed[:-1], trimmed[-1]["content"].strip()


def parse_prompt(cell: str) -> list[ChatMessage]:
    """A prompt as messages: the text itself, or a conversation up to its last question; empty for none."""
    messages = parse_messages(cell)
    if messages:
        return _trim_to_role(messages, "user")
    text = cell.strip()
    return [{"role": "user", "content": text}] if text else []


def parse_label(cell: str, uses_stars: bool = False) -> bool | None:
    """Whether an answer was rated good.

    Args:
        cell: The rating: a word or a sign, or one to five stars where the column `uses_stars`.
        uses_stars: Whether the column counts stars, see `is_star_rating`.

    Returns:
        True for good, False for bad, None where the cell says neither.
    """
    value = cell.strip().lower()
    if not uses_stars:
        return LABEL_VALUES.get(value)
    n_stars = _parse_stars(value)
    if n_stars is None or MAX_BAD_STARS < n_stars < MIN_GOOD_STARS:
        return None
    return n_stars >= MIN_GOOD_STARS


def is_star_rating(cells: Sequence[str]) -> bool:
    """Whether cells are numbers of stars, one to five, and not ones and zeros; an odd one is no matter."""
    ratings = [_parse_stars(cell.strip()) for cell in cells if cell.strip()]
    stars = [rating for rating in ratings if rating is not None]
    return len(stars) >= MIN_STAR_SHARE * len(ratings) and any(rating != 1 for rating in stars)


def _parse_stars(value: str) -> int | None:
    """The number of stars in a cell, as 4, 4.0, 4/5 or 4 ★; None where it is none."""
    is_rating = value[:1] in STAR_DIGITS and value[1:].strip("0. ★星分/") in ("", "5")
    return int(value[0]) if is_rating else None


def dump_messages(messages: list[ChatMessage]) -> str:
    """Messages as one cell."""
    return json.dumps(messages, ensure_ascii=False)
