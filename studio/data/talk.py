"""What cells hold of conversations, in every form they come in, brought into one: messages with a role and a text."""

import ast
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

Turn = dict[str, str]

# What the parts of a conversation are called: OpenAI's "role" and "content", ShareGPT's "from" and "value", and what exports make of them.
WHO, TEXT = ("role", "from", "speaker", "author", "sender"), ("content", "value", "text", "message")
ROLES = {
    **dict.fromkeys(
        ("user", "human", "customer", "prompter", "client", "buyer", "visitor", "caller", "用户", "客户", "顾客", "买家", "访客"), "user"
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
SPOKEN = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")
# What stands in a conversation in which tools are called, in OpenAI's and ShareGPT's form.
TOOLS = re.compile(r"""["'](tool_calls|tool_call_id|tool|function|function_call|observation|ipython)["']""")
# How Python writes a list of messages; longer ones are left alone.
WRITTEN, LONGEST_LITERAL = re.compile(r"\[?\s*\{\s*'"), 50_000
SAID_GOOD = ("helpful", "correct", "right", "satisfied", "满意", "好评", "有用", "有帮助", "正确", "已解决")
SAID_BAD = (
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
STARS, GOOD_FROM, BAD_TO = frozenset("12345"), 4, 2
VERDICTS = {
    **dict.fromkeys(("true", "1", "yes", "good", "positive", "up", "like", "thumbs_up", "👍", "是", "好", "赞", "对", *SAID_GOOD), True),
    **dict.fromkeys(
        ("false", "0", "-1", "no", "bad", "negative", "down", "dislike", "thumbs_down", "👎", "否", "差", "踩", "错", *SAID_BAD), False
    ),
}


def turns(cell: str) -> list[Turn]:
    """The messages in a cell, each with "role" (system, user, assistant) and "content"; empty where it holds no readable conversation."""
    text = cell.strip()
    if text[:1] not in ("[", "{"):
        return _spoken(text)
    try:
        raw = _listed(_loaded(text))
    except (ValueError, RecursionError):
        return []
    found = [_turn(item) for item in raw]
    return [turn for turn in found if turn] if all(found) else []


def calls_tools(cell: str) -> bool:
    """Whether a cell is a conversation in which tools are called: one as such, though none that can be learned from here."""
    if cell.strip()[:1] not in ("[", "{") or not TOOLS.search(cell):
        return False
    try:
        raw = _listed(_loaded(cell.strip()))
    except (ValueError, RecursionError):
        return False
    return all(isinstance(item, Mapping) and any(name in item for name in WHO) for item in raw)


def _listed(raw: Any) -> list[Any]:
    """The messages of a conversation that may lie in an object; one message alone likewise."""
    if isinstance(raw, dict):
        return next((value for name in ("messages", "conversations") if isinstance(value := raw.get(name), list)), [raw])
    return list(raw)


def _loaded(text: str) -> Any:
    """What a cell of JSON holds, or of Python's own writing, as pandas saves lists in a CSV. Raises ValueError where it is neither."""
    try:
        return json.loads(text)
    except ValueError:
        if not WRITTEN.match(text) or len(text) > LONGEST_LITERAL:
            raise
    try:
        return ast.literal_eval(text)  # it builds values and runs nothing
    except (SyntaxError, MemoryError) as error:
        raise ValueError(str(error)) from None


def _turn(item: object) -> Turn:
    """One message; empty where it is none that a chat template could write."""
    if not isinstance(item, Mapping):
        return {}
    who = next((str(item[name]) for name in WHO if name in item), "")
    said = next((item[name] for name in TEXT if name in item), None)
    role = ROLES.get(who.strip().lower(), "")
    content = _content(said)
    return {"role": role, "content": content} if role and content is not None else {}


def _content(said: object) -> str | None:
    """The text of a message, which may come in pieces; None where a piece is a picture or the like."""
    if said is None:
        return ""
    if isinstance(said, list):
        pieces = [piece.get("text") if isinstance(piece, Mapping) and piece.get("type", "text") == "text" else None for piece in said]
        return "".join(map(str, pieces)) if all(isinstance(piece, str) for piece in pieces) else None
    return said if isinstance(said, str) else None


def _spoken(text: str) -> list[Turn]:
    parts = SPOKEN.split(text)
    if len(parts) < 3 or parts[0].strip():
        return []
    names = {"Human": "user", "Assistant": "assistant"}
    return [{"role": names[who], "content": said.strip()} for who, said in zip(parts[1::2], parts[2::2], strict=True)]


def up_to_answer(found: list[Turn]) -> list[Turn]:
    """A conversation up to its last answer; empty where nobody asks or nobody answers."""
    last = max((place for place, turn in enumerate(found) if turn["role"] == "assistant"), default=-1)
    asked = any(turn["role"] == "user" for turn in found[: last + 1])
    return found[: last + 1] if asked else []


def answer(cell: str) -> tuple[list[Turn], str]:
    """What was said before and the answer itself, of a cell that holds an answer, one message, or a conversation that ends in it."""
    found = turns(cell)
    if not found:
        return [], cell.strip()
    if len(found) == 1:
        return [], found[0]["content"].strip()
    whole = up_to_answer(found)
    return (whole[:-1], whole[-1]["content"].strip()) if whole else ([], "")


def asked(cell: str) -> list[Turn]:
    """What is asked, as messages: the text itself, or a conversation up to its last question; empty where there is none."""
    found = turns(cell)
    if not found:
        return [{"role": "user", "content": cell.strip()}] if cell.strip() else []
    last = max((place for place, turn in enumerate(found) if turn["role"] == "user"), default=-1)
    return found[: last + 1]


def verdict(cell: str, stars: bool = False) -> bool | None:
    """Whether an answer was found good, by a word, a sign or (where the column counts them) one to five stars; None where it does not say."""
    said = cell.strip().lower()
    if not stars:
        return VERDICTS.get(said)
    number = _stars(said)
    return None if number is None or BAD_TO < number < GOOD_FROM else number >= GOOD_FROM


def counts_stars(cells: Sequence[str]) -> bool:
    """Whether cells are numbers of stars, one to five, and not ones and noughts."""
    numbers = [_stars(cell.strip()) for cell in cells if cell.strip()]
    return None not in numbers and any(number != 1 for number in numbers)


def _stars(said: str) -> int | None:
    """The number of stars in a cell, as 4, 4.0, 4/5 or 4 ★; None where it is none."""
    return int(said[0]) if said[:1] in STARS and said[1:].strip("0. ★星分/") in ("", "5") else None


def packed(found: list[Turn]) -> str:
    """Messages as one cell."""
    return json.dumps(found, ensure_ascii=False)


def unpacked(cell: str) -> list[Turn]:
    """Messages that `packed` wrote."""
    found: Any = json.loads(cell)
    return list(found)
