"""What a text to classify is to get: one label, several labels, or a number such as stars."""

import ast
import itertools
import json
import re
import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from studio.plan import target_role

# What stands between the labels of a cell; the signs in one string mean the same.
SEPARATORS = (";；", "|｜", "\n", ",，、")
# A column has several labels a cell if at least so many cells hold more than one, and such a share of those
# labels also occurs in another combination (0 to 1). So "Travel, leisure" stays one label.
MIN_LISTS, MIN_KNOWN_SHARE = 3, 2 / 3
# At most so many different labels, each so often on average (times), and none longer than this (characters).
MAX_LABELS, MIN_REPEATS, MAX_LABEL_LENGTH = 200, 3, 60
MAX_LIST_LENGTH = 10_000  # characters of a list in a cell
# Numbers with fewer different values rather name classes; with more than the second, they have no steps.
MIN_RATING_VALUES, MAX_SCALE_VALUES = 4, 21
# What people write behind a number of stars: 4/5, 4 stars, 4 分.
RATING_MARKS = re.compile(r"\s*(/\s*\d+|stars?|[★⭐星分])$", re.IGNORECASE)
STARS = re.compile(r"([★⭐]+)☆*")
NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
DECIMAL_COMMA = re.compile(r"(?<=\d),(?=\d{1,2}$)")
# From this probability on a label counts as given.
LABEL_THRESHOLD = 0.5
# The name of the one output of a model that learns numbers.
RATING_LABEL = "rating"


def find_separator(cells: Sequence[str]) -> str:
    """What stands between the labels of most cells, one of SEPARATORS; "" where no cell has any of them."""
    plain_cells = [cell for cell in cells if not cell.startswith("[")]
    counts = {
        separator: sum(any(sign in cell for sign in separator) for cell in plain_cells)
        for separator in SEPARATORS
    }
    separator = max(SEPARATORS, key=lambda name: counts[name])
    return separator if counts[separator] else ""


def split_labels(cell: str, separator: str) -> list[str]:
    """The labels of a cell, each once and in alphabetical order: a list in JSON, or names with signs between.

    Args:
        cell: The cell; "[]" says that no label applies.
        separator: The signs between names, see `find_separator`; "" where each cell is one label.
    """
    names = _load_list(cell)
    if names is None:
        names = re.split(f"[{re.escape(separator)}]", cell) if separator else [cell]
    return sorted({name.strip() for name in names} - {""})


def _load_list(cell: str) -> list[str] | None:
    """The items of a list in JSON, or as pandas writes it; None where the cell is no list of names."""
    if not cell.startswith("[") or len(cell) > MAX_LIST_LENGTH:
        return None
    try:
        items = ast.literal_eval(cell)  # it builds values and runs nothing; a list in JSON is one, too
    except (ValueError, SyntaxError, MemoryError):
        return None
    if not isinstance(items, list) or any(isinstance(item, list | dict) for item in items):
        return None
    return [str(item) for item in items]


def dump_labels(cell: str, separator: str) -> str:
    """The labels of a cell as an example holds them: a list in JSON; "" for an empty cell."""
    return dump_names(split_labels(cell, separator)) if cell else ""


def dump_names(names: Sequence[str]) -> str:
    """Labels as one cell: a list in JSON, each once and in alphabetical order."""
    return json.dumps(sorted(set(names)), ensure_ascii=False)


def has_several_labels(cells: Sequence[str]) -> bool:
    """Whether cells hold lists of labels: names that occur in many combinations, with one sign between."""
    separator = find_separator(cells)
    combinations = [split_labels(cell, separator) for cell in cells if cell]
    mentions = Counter(name for names in combinations for name in names)
    if not mentions or len(mentions) > MAX_LABELS or max(map(len, mentions)) > MAX_LABEL_LENGTH:
        return False
    if len(mentions) * MIN_REPEATS > mentions.total() or 2 * len(mentions) > len(combinations):
        return False
    different = {tuple(names) for names in combinations}
    n_combinations = Counter(name for names in different for name in names)
    listed = [name for names in different if len(names) > 1 for name in names]
    n_known = sum(n_combinations[name] > 1 for name in listed)
    n_lists = sum(len(names) > 1 for names in combinations)
    return n_lists >= MIN_LISTS and n_known >= MIN_KNOWN_SHARE * len(listed)


def parse_rating(cell: str) -> float | None:
    """The number in a cell such as 4, 4.5, 4,5, 4/5, 4 stars or ★★★★☆; None where it is none."""
    if stars := STARS.fullmatch(cell.strip()):
        return float(len(stars[1]))
    text = DECIMAL_COMMA.sub(".", RATING_MARKS.sub("", cell.strip()).strip())
    return float(text) if NUMBER.fullmatch(text) else None


def dump_rating(cell: str) -> str:
    """The number of a cell as an example holds it; "" where it is none."""
    rating = parse_rating(cell)
    return "" if rating is None else f"{rating:g}"


def has_ratings(cells: Sequence[str]) -> bool:
    """Whether all cells are numbers, of which at least MIN_RATING_VALUES differ."""
    ratings = {parse_rating(cell) for cell in cells if cell}
    return None not in ratings and len(ratings) >= MIN_RATING_VALUES


def labels_of(example: Mapping[str, str]) -> list[str]:
    """The labels of an example: one, several or none; of one with a number, the name of the output."""
    role = target_role(example)
    if role == "rating":
        return [RATING_LABEL]
    return list(json.loads(example["labels"])) if role == "labels" else [example["label"]]


def describe(example: Mapping[str, str]) -> str:
    """What an example is to get, as people read it."""
    role = target_role(example)
    return example[role] if role != "labels" else "; ".join(labels_of(example)) or "–"


def classes_of(example: Mapping[str, str]) -> list[str]:
    """What an example counts for where classes are counted: its labels, or its number."""
    return [example["rating"]] if target_role(example) == "rating" else labels_of(example)


@dataclass(frozen=True)
class RatingScale:
    """How the numbers of the training examples lie.

    Attributes:
        mean: Their mean; 0 where a model's head has no bias that could hold it.
        deviation: Their standard deviation; 1 where they are all the same.
        median: Their median: what always guessing would best answer.
        step: The smallest difference between two of them; 0 where so many differ that there are no steps.
    """

    mean: float
    deviation: float
    median: float
    step: float

    def standardize(self, example: Mapping[str, str]) -> dict[str, str]:
        """An example with its number on the scale that is learned: less the mean, over the deviation."""
        return {**example, "rating": repr((float(example["rating"]) - self.mean) / self.deviation)}


def fit_scale(examples: Sequence[Mapping[str, str]], has_bias: bool) -> RatingScale:
    """The scale of the numbers of training examples, at least one.

    Args:
        examples: The examples, with `rating`.
        has_bias: Whether the model's head has a bias, which holds the mean in the end.
    """
    ratings = [float(example["rating"]) for example in examples]
    values = sorted(set(ratings))
    gaps = [second - first for first, second in itertools.pairwise(values)]
    mean = statistics.fmean(ratings) if has_bias else 0.0
    return RatingScale(
        mean,
        statistics.pstdev(ratings) or 1.0,
        statistics.median(ratings),
        min(gaps) if gaps and len(values) <= MAX_SCALE_VALUES else 0.0,
    )
