"""How well the surface of two answers tells which is preferred: length, lists, openings, endings, words."""

import os
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

from studio.data.intervals import wilson_interval
from studio.data.quality.near_duplicates import split_words
from studio.i18n import Message, label

# Openings and endings are compared over so many characters, and named as far as they agree, at most so far.
EDGE_LENGTHS, MAX_EDGE_CHARS = (8, 4, 1), 40
# The probe reads so much of each text (characters), and is cross-validated in so many parts.
MAX_PROBE_CHARS, PROBE_FOLDS = 2000, 5
# First and last words that the probe sees as such.
EDGE_WORDS = 3
_LIST_ITEM = re.compile(r"^\s*(?:[-*•·]|\d+[.)、])\s*\S", re.MULTILINE)
_DIGIT = re.compile(r"\d")
_MARK = re.compile(r"[^\w\s]")

# What can be counted, and how a rule is called that takes the answer with more or with less of it.
COUNTS: dict[str, tuple[Callable[[str], int], Message, Message]] = {
    "characters": (len, label("the longer answer"), label("the shorter answer")),
    "words": (
        lambda text: len(text.split()),
        label("the answer with more words"),
        label("the answer with fewer words"),
    ),
    "lines": (
        lambda text: text.count("\n"),
        label("the answer with more lines"),
        label("the answer with fewer lines"),
    ),
    "list_items": (
        lambda text: len(_LIST_ITEM.findall(text)),
        label("the answer with more list items"),
        label("the answer with fewer list items"),
    ),
    "exclamation_marks": (
        lambda text: text.count("!") + text.count("！"),
        label("the answer with more exclamation marks"),
        label("the answer with fewer exclamation marks"),
    ),
    "question_marks": (
        lambda text: text.count("?") + text.count("？"),
        label("the answer with more question marks"),
        label("the answer with fewer question marks"),
    ),
    "marks": (
        lambda text: len(_MARK.findall(text)),
        label("the answer with more punctuation marks"),
        label("the answer with fewer punctuation marks"),
    ),
    "digits": (
        lambda text: len(_DIGIT.findall(text)),
        label("the answer with more digits"),
        label("the answer with fewer digits"),
    ),
}
ENDS_IN = Message("the answer that ends in “{edge}”")
ENDS_OTHERWISE = Message("the answer that does not end in “{edge}”")
BEGINS_WITH = Message("the answer that begins with “{edge}”")
BEGINS_OTHERWISE = Message("the answer that does not begin with “{edge}”")
# Rules of which the best is taken: each counts once, however it points.
N_RULES = len(COUNTS) + 2 * len(EDGE_LENGTHS)


@dataclass(frozen=True)
class SurfaceRule:
    """A rule that prefers an answer without understanding it.

    Attributes:
        message: The answer that it takes, such as “the longer answer”.
        score: A number for a text; the answer with the higher one is taken.
    """

    message: Message
    score: Callable[[str], float]


@dataclass(frozen=True)
class Ranking:
    """How many pairs something ranks rightly.

    Attributes:
        share: The share ranked rightly (0–1); a tie counts half.
        low: The lower end of its interval.
        high: The upper end.
        n: The number of pairs.
    """

    share: float
    low: float
    high: float
    n: int

    @classmethod
    def of_hits(cls, n_hits: float, n: int, n_tried: int = 1) -> "Ranking":
        """The ranking with its 95 % interval, widened where it is the best of `n_tried` (Bonferroni)."""
        return cls(n_hits / n, *wilson_interval(n_hits, n, 1 - 0.05 / n_tried), n)


def find_best_rule(better: Sequence[str], worse: Sequence[str]) -> SurfaceRule:
    """The surface rule that ranks most of the pairs rightly.

    Args:
        better: The preferred answers, at least one.
        worse: The other answer of each pair.
    """
    return max(_candidates(better, worse), key=lambda rule: count_hits(rule, better, worse))


def measure_rule(rule: SurfaceRule, better: Sequence[str], worse: Sequence[str], n_tried: int = 1) -> Ranking:
    """How many pairs a rule ranks rightly.

    Args:
        rule: The rule.
        better: The preferred answers, at least one.
        worse: The other answer of each pair.
        n_tried: Of how many rules it was found to be the best on these pairs.
    """
    return Ranking.of_hits(count_hits(rule, better, worse), len(better), n_tried)


def measure_held_out(
    train: Sequence[Mapping[str, str]], held_out: Sequence[Mapping[str, str]]
) -> dict[str, Any]:
    """What the surface alone is worth: the best rule of some pairs, measured on others.

    Args:
        train: Pairs, each with its `chosen` and its `rejected` answer; rows without both are left out.
        held_out: Pairs that the rule has not seen.

    Returns:
        The `rule`, as `Message.to_json` returns it, and the fields of its Ranking; empty without such pairs.
    """
    train_better, train_worse = _both_sides(train)
    better, worse = _both_sides(held_out)
    if not train_better or not better:
        return {}
    rule = find_best_rule(train_better, train_worse)
    return {"rule": rule.message.to_json(), **asdict(measure_rule(rule, better, worse))}


def _both_sides(pairs: Sequence[Mapping[str, str]]) -> tuple[list[str], list[str]]:
    whole_pairs = [pair for pair in pairs if pair.get("chosen") and pair.get("rejected")]
    return [pair["chosen"] for pair in whole_pairs], [pair["rejected"] for pair in whole_pairs]


def prefers_better(rule: SurfaceRule, better: str, worse: str) -> bool:
    """Whether a rule takes the better of two answers."""
    return rule.score(better) > rule.score(worse)


def count_hits(rule: SurfaceRule, better: Sequence[str], worse: Sequence[str]) -> float:
    """The pairs that a rule ranks rightly; a tie counts half."""
    return sum(
        _hit(rule.score(first), rule.score(second)) for first, second in zip(better, worse, strict=True)
    )


def _hit(better_score: float, worse_score: float) -> float:
    return 0.5 if better_score == worse_score else float(better_score > worse_score)


def _candidates(better: Sequence[str], worse: Sequence[str]) -> Iterator[SurfaceRule]:
    """Every rule, with what these answers end in and begin with."""
    reversed_better, reversed_worse = ([text.rstrip()[::-1] for text in texts] for texts in (better, worse))
    for length in EDGE_LENGTHS:
        ending = _telling_opening(reversed_better, reversed_worse, length)[::-1]
        names = [message.format(edge=ending.strip()) for message in (ENDS_IN, ENDS_OTHERWISE)]
        yield from _both_ways(partial(_has_ending, ending), *names)
        opening = _telling_opening(better, worse, length)
        names = [message.format(edge=opening.strip()) for message in (BEGINS_WITH, BEGINS_OTHERWISE)]
        yield from _both_ways(partial(_has_opening, opening), *names)
    for count, more, fewer in COUNTS.values():
        yield from _both_ways(count, more, fewer)


def _both_ways(score: Callable[[str], float], more: Message, fewer: Message) -> Iterator[SurfaceRule]:
    """The rules that take the answer with the higher and with the lower score."""
    yield SurfaceRule(more, score)
    yield SurfaceRule(fewer, lambda text: -score(text))


def _has_ending(ending: str, text: str) -> bool:
    return text.rstrip().endswith(ending)


def _has_opening(opening: str, text: str) -> bool:
    return text.startswith(opening)


def _telling_opening(better: Sequence[str], worse: Sequence[str], length: int) -> str:
    """What most often begins texts of one side and not of the other, as far as they agree."""
    difference = Counter(text[:length] for text in better)
    difference.subtract(text[:length] for text in worse)
    opening = max(difference, key=lambda start: abs(difference[start]))
    side = better if difference[opening] > 0 else worse
    texts = [text for text in side if text.startswith(opening)]
    return os.path.commonprefix(texts)[:MAX_EDGE_CHARS]  # noqa: RUF071 - of characters, no path


def probe_words(better: Sequence[str], worse: Sequence[str]) -> Ranking:
    """How many unseen pairs are ranked rightly by the words, openings, endings and marks of the answers.

    A logistic regression on which of these the better answer has and the worse has not, cross-validated;
    pairs with the same better answer stay in one part.

    Args:
        better: The preferred answers, at least PROBE_FOLDS different ones.
        worse: The other answer of each pair.
    """
    from sklearn.feature_extraction.text import CountVectorizer  # noqa: PLC0415 - takes a second to load
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415
    from sklearn.model_selection import GroupKFold, cross_val_predict  # noqa: PLC0415

    # Every other pair is turned round, so that there are two classes to tell apart.
    turned = [index % 2 == 1 for index in range(len(better))]
    pairs = zip(better, worse, turned, strict=True)
    first, second = zip(*((b, a) if is_turned else (a, b) for a, b, is_turned in pairs), strict=True)
    vectorizer = CountVectorizer(analyzer=surface_features, binary=True, dtype=float)
    vectorizer.fit([*better, *worse])
    differences = vectorizer.transform(first) - vectorizer.transform(second)
    model = LogisticRegression(solver="liblinear", fit_intercept=False)
    folds = GroupKFold(PROBE_FOLDS, shuffle=True, random_state=0)
    predicted = cross_val_predict(model, differences, turned, groups=better, cv=folds)
    n_right = sum(guess == truth for guess, truth in zip(predicted, turned, strict=True))
    return Ranking.of_hits(int(n_right), len(turned))


def surface_features(text: str) -> list[str]:
    """The words, marks, first and last words and last character of a text."""
    shortened = text[:MAX_PROBE_CHARS].lower()
    words = split_words(shortened)
    openings = [f"^{' '.join(words[:count])}" for count in range(1, EDGE_WORDS + 1)]
    last_words = split_words(text[-MAX_PROBE_CHARS:].lower())
    endings = [f"{' '.join(last_words[-count:])}$" for count in range(1, EDGE_WORDS + 1)]
    return [*words, *_MARK.findall(shortened), *openings, *endings, f"{text.rstrip()[-1:]}$"]
