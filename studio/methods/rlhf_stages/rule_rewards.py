"""Rewards that need no model: rules a person can state, each read off the answer alone and between 0 and 1."""

import json
import re
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import regex  # type: ignore[import-untyped] # unlike re it can be told when to give up

from studio.i18n import Message
from studio.methods.spec import Settings
from studio.plan import Task

NO_PAIRS_FOR_REWARD_MODEL = Message(
    "a reward model is learned from pairs, which the task {task} does not have; choose a rule such as contains"
)
LENGTH_EXCEEDS_LIMIT = Message(
    "an answer of {words} words does not fit into max_completion_length ({tokens})"
)
MISSING_WORDS = Message("name the words an answer should contain, separated by commas")
MISSING_PATTERN = Message("give the pattern (regular expression) an answer should match")
INVALID_PATTERN = Message("expected a pattern (regular expression), but got {got}: {why}")
Rule = Callable[[str], float]
# A pattern someone typed is given this long for one answer, and this much of the answer (seconds, characters): some patterns take for ever.
MATCH_TIMEOUT_SECONDS, MAX_CHECKED_CHARS = 0.2, 4_000
# A Chinese, Japanese or Korean character counts as a word; elsewhere words are what stands between blanks.
WORD_PATTERN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\s\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)
SEPARATOR_PATTERN = re.compile(r"[,，;；\n]")


def resolve_reward(settings: Settings, task: Task) -> str:
    """Which reward is meant: model, contains, matches, length or json."""
    name = str(settings["reward"])
    return name if name != "data" else "model" if task == "prefer" else "length"


def count_words(text: str) -> int:
    """How many words a text has."""
    return len(WORD_PATTERN.findall(text))


def usual_length(answers: Sequence[str]) -> int:
    """The length of the answer in the middle (words), at least 1."""
    return max(1, round(median(count_words(answer) for answer in answers)))


def rule_problem(name: str, text: str) -> Message | None:
    """What is wrong with the text of a rule; None when it is right."""
    if name == "contains" and not split_phrases(text):
        return MISSING_WORDS
    if name == "matches":
        if not text:
            return MISSING_PATTERN
        try:
            regex.compile(text)
        except (regex.error, ValueError, OverflowError, RecursionError) as error:
            return INVALID_PATTERN.format(got=f"{text!r:.80}", why=error)
    return None


def split_phrases(text: str) -> list[str]:
    """The words and phrases of a list separated by commas, without case."""
    return [phrase.strip().casefold() for phrase in SEPARATOR_PATTERN.split(text) if phrase.strip()]


def build_rule(name: str, text: str, length: int) -> Rule:
    """The rule of this name; `text` is what it looks for, `length` (words, at least 1) what it aims at."""
    if name == "contains":
        required_phrases = split_phrases(text)
        return lambda answer: (
            sum(phrase in answer.casefold() for phrase in required_phrases) / len(required_phrases)
        )
    if name == "matches":
        pattern = regex.compile(text)
        return lambda answer: _pattern_reward(pattern, answer)
    if name == "length":
        return lambda answer: max(0.0, 1 - abs(count_words(answer) - length) / length)
    if name == "json":
        return _json_reward
    raise ValueError(f"expected contains, matches, length or json, but got {name!r}")


def _pattern_reward(pattern: Any, answer: str) -> float:
    """1 where the pattern is found; where it takes too long it counts as not found."""
    try:
        return float(pattern.search(answer[:MAX_CHECKED_CHARS], timeout=MATCH_TIMEOUT_SECONDS) is not None)
    except (TimeoutError, MemoryError):
        return 0.0


def _json_reward(answer: str) -> float:
    """1 where the whole answer is one JSON object or list as RFC 8259 has it (no NaN), else 0."""
    try:
        return float(
            isinstance(json.loads(answer[:MAX_CHECKED_CHARS], parse_constant=_reject_constant), dict | list)
        )
    except (ValueError, RecursionError):
        return 0.0


def _reject_constant(name: str) -> float:
    raise ValueError(name)
