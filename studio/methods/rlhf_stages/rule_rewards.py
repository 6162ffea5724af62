"""Rewards that need no model: rules that a person can state, 0 to 1, and which reward suits the data."""

import json
import re
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import regex  # type: ignore[import-untyped] # unlike re it takes a limit of time

from studio.i18n import Message
from studio.methods.spec import Settings
from studio.plan import Task

NO_PAIRS_FOR_REWARD_MODEL = Message(
    "a reward model is learned from pairs, which the task {task} does not have;"
    " choose a rule such as contains"
)
LENGTH_EXCEEDS_LIMIT = Message(
    "an answer of {words} words does not fit into max_completion_length ({tokens})"
)
MISSING_WORDS = Message("name the words an answer should contain, separated by commas")
MISSING_PATTERN = Message("give the pattern (regular expression) an answer should match")
INVALID_PATTERN = Message("expected a pattern (regular expression), but got {got}: {why}")
NO_KNOWN_ANSWER_FOR_PAIRS = Message(
    "the task {task} says which of two answers is better, not what is right; choose data or model"
)
NO_LENGTH_TO_AIM_AT = Message("questions alone show no usual length; give the words to aim at")
Rule = Callable[[str], float]
REWARD_BY_TASK: dict[Task, str] = {"prefer": "model", "prompts": "answer"}
# Some patterns take for ever: one that was typed gets this long for an answer, and this much of the answer
# (seconds, characters).
MATCH_TIMEOUT_SECONDS, MAX_CHECKED_CHARS = 0.2, 4_000
# A Chinese, Japanese or Korean character counts as a word; elsewhere words are what stands between blanks.
WORD_PATTERN = re.compile(
    r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\s\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+"
)
SEPARATOR_PATTERN = re.compile(r"[,，;；\n]")


def resolve_reward(settings: Settings, task: Task) -> str:
    """The reward that the settings mean: model, answer, contains, matches, length or json.

    "data" means what suits the data: a reward model where there are pairs, the known answer to a question
    alone, else the length of the examples.
    """
    name = str(settings["reward"])
    if name != "data":
        return name
    return REWARD_BY_TASK.get(task, "length")


def count_words(text: str) -> int:
    """How many words a text has."""
    return len(WORD_PATTERN.findall(text))


def usual_length(answers: Sequence[str]) -> int:
    """The median length of answers (words), at least 1."""
    return max(1, round(median(count_words(answer) for answer in answers)))


def rule_problem(name: str, text: str) -> Message | None:
    """What is wrong with the text of a rule; None where it can be used."""
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
    """The words and phrases of a list separated by commas, case-folded."""
    return [phrase.strip().casefold() for phrase in SEPARATOR_PATTERN.split(text) if phrase.strip()]


def build_rule(name: str, text: str, length: int) -> Rule:
    """The rule of this name.

    Args:
        name: contains, matches, length or json.
        text: The phrases or the pattern that it looks for.
        length: The length that it aims at (words), at least 1.
    """
    if name == "contains":
        phrases = split_phrases(text)
        return lambda answer: _phrase_reward(phrases, answer)
    if name == "matches":
        pattern = regex.compile(text)
        return lambda answer: _pattern_reward(pattern, answer)
    if name == "length":
        return lambda answer: max(0.0, 1 - abs(count_words(answer) - length) / length)
    if name == "json":
        return _json_reward
    raise ValueError(f"expected contains, matches, length or json, but got {name!r}")


def _phrase_reward(phrases: Sequence[str], answer: str) -> float:
    """The share of the phrases that the answer contains, whatever their case."""
    folded_answer = answer.casefold()
    return sum(phrase in folded_answer for phrase in phrases) / len(phrases)


def _pattern_reward(pattern: Any, answer: str) -> float:
    """1 where the pattern matches somewhere in the answer; a search that takes too long is no match."""
    try:
        match = pattern.search(answer[:MAX_CHECKED_CHARS], timeout=MATCH_TIMEOUT_SECONDS)
    except (TimeoutError, MemoryError):
        return 0.0
    return float(match is not None)


def _json_reward(answer: str) -> float:
    """1 where the answer is one JSON object or list as RFC 8259 defines them (no NaN), else 0."""
    try:
        value = json.loads(answer[:MAX_CHECKED_CHARS], parse_constant=_reject_constant)
    except (ValueError, RecursionError):
        return 0.0
    return float(isinstance(value, dict | list))


def _reject_constant(name: str) -> float:
    raise ValueError(name)
