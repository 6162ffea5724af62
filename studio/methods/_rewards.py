"""Rewards that need no model: rules a person can state, each read off the answer alone and between 0 and 1."""

import json
import re
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

import regex  # type: ignore[import-untyped] # unlike re it can be told when to give up

from studio.methods.base import Settings
from studio.plan import Task
from studio.words import Words

NO_MODEL = Words(
    "a reward model is learned from pairs, which the task {task} does not have; choose a rule such as contains",
    "奖励模型要从偏好对学习，而任务 {task} 没有偏好对；请选择一条规则，例如 contains",
)
TOO_LONG = Words(
    "an answer of {words} words does not fit into answer_tokens ({tokens})",
    "{words} 个词的回答放不进回答的最大长度（answer_tokens {tokens}）",
)
NO_WORDS = Words("name the words an answer should contain, separated by commas", "请填写回答里应包含的词，用逗号隔开")
NO_PATTERN = Words("give the pattern (regular expression) an answer should match", "请填写回答应匹配的模式（正则表达式）")
BAD_PATTERN = Words("expected a pattern (regular expression), but got {got}: {why}", "应为模式（正则表达式），实际是 {got}：{why}")
Rule = Callable[[str], float]
# A pattern someone typed is given this long for one answer, and this much of the answer (seconds, characters): some patterns take for ever.
PATIENCE, READ = 0.2, 4_000
# A Chinese, Japanese or Korean character counts as a word; elsewhere words are what stands between blanks.
WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]|[^\s\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]+")
SEPARATOR = re.compile(r"[,，;；\n]")


def chosen(settings: Settings, task: Task) -> str:
    """Which reward is meant: model, contains, matches, length or json."""
    name = str(settings["reward"])
    return name if name != "data" else "model" if task == "prefer" else "length"


def words(text: str) -> int:
    """How many words a text has."""
    return len(WORD.findall(text))


def usual_length(answers: Sequence[str]) -> int:
    """The length of the answer in the middle (words), at least 1."""
    return max(1, round(median(words(answer) for answer in answers)))


def problem(name: str, text: str) -> Words | None:
    """What is wrong with the text of a rule; None when it is right."""
    if name == "contains" and not phrases(text):
        return NO_WORDS
    if name == "matches":
        if not text:
            return NO_PATTERN
        try:
            regex.compile(text)
        except (regex.error, ValueError, OverflowError, RecursionError) as error:
            return BAD_PATTERN.filled(got=f"{text!r:.80}", why=error)
    return None


def phrases(text: str) -> list[str]:
    """The words and phrases of a list separated by commas, without case."""
    return [phrase.strip().casefold() for phrase in SEPARATOR.split(text) if phrase.strip()]


def rule(name: str, text: str, length: int) -> Rule:
    """The rule of this name; `text` is what it looks for, `length` (words, at least 1) what it aims at."""
    if name == "contains":
        wanted = phrases(text)
        return lambda answer: sum(phrase in answer.casefold() for phrase in wanted) / len(wanted)
    if name == "matches":
        pattern = regex.compile(text)
        return lambda answer: _matches(pattern, answer)
    if name == "length":
        return lambda answer: max(0.0, 1 - abs(words(answer) - length) / length)
    if name == "json":
        return _json
    raise ValueError(f"expected contains, matches, length or json, but got {name!r}")


def _matches(pattern: Any, answer: str) -> float:
    """1 where the pattern is found; where it takes too long it counts as not found."""
    try:
        return float(pattern.search(answer[:READ], timeout=PATIENCE) is not None)
    except (TimeoutError, MemoryError):
        return 0.0


def _json(answer: str) -> float:
    """1 where the whole answer is one JSON object or list as RFC 8259 has it (no NaN), else 0."""
    try:
        return float(isinstance(json.loads(answer[:READ], parse_constant=_refuse), dict | list))
    except (ValueError, RecursionError):
        return 0.0


def _refuse(name: str) -> float:
    raise ValueError(name)
