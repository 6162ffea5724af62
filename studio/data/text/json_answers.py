"""Answers that are JSON objects with the same fields, as when data is extracted from a text."""

import json
import math
import re
from collections import Counter
from collections.abc import Sequence
from typing import Any

# Answers are taken for JSON with fields where such a share of them are objects with the same keys (0 to 1).
MIN_SHARE = 0.9
# A generated answer may be this much longer than the longest known one (times, and tokens), up to a limit:
# room for other spellings, and no more, since a base that rambles writes all of it.
LENGTH_FACTOR, EXTRA_TOKENS, MAX_NEW_TOKENS = 1.25, 16, 512
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")


def parse_object(text: str) -> dict[str, Any] | None:
    """The JSON object that a text is, and nothing else; None for any other text."""
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def find_fields(answers: Sequence[str]) -> tuple[str, ...]:
    """The keys that the objects in answers share, in the order of the first; () where they are no such."""
    objects = [value for answer in answers if (value := parse_object(answer))]
    if not objects:
        return ()
    keys, count = Counter(frozenset(value) for value in objects).most_common(1)[0]
    if count < MIN_SHARE * len(answers):
        return ()
    first = next(value for value in objects if frozenset(value) == keys)
    return tuple(first)


def max_new_tokens(longest: int) -> int:
    """How many tokens an answer may have where the longest known one has so many."""
    return min(MAX_NEW_TOKENS, math.ceil(LENGTH_FACTOR * longest) + EXTRA_TOKENS)


def is_same_value(value: Any, expected: Any) -> bool:
    """Whether the value of a field is right: the same text but for blanks around it, or the same number."""
    return bool(_normalize(value) == _normalize(expected))


def _normalize(value: Any) -> Any:
    """A value with what makes no difference taken out: blanks around texts, and how numbers are written."""
    if isinstance(value, dict):
        return {key: _normalize(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_normalize(item) for item in value]
    if isinstance(value, bool) or value is None:
        return str(value)
    text = str(value).strip()
    return float(text) if NUMBER.fullmatch(text) else text
