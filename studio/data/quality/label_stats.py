"""Labels that mean the same although they are spelled differently, and how often each occurs."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

_SEPARATORS = re.compile(r"(?<=\w)[\s_-]+(?=\w)")
_INTEGER_FLOAT = re.compile(r"([+-]?\d+)\.0+")
# A label of so few characters is no plural: "yes", "gas".
MAX_SINGULAR_LENGTH = 3
_PLURALS = (
    (re.compile(r"(?<=[a-z]{2})ies$"), "y"),
    (re.compile(r"(?<=s|x|z)es$|(?<=ch|sh)es$"), ""),
    (re.compile(r"(?<=[a-rtvwxyz])s$"), ""),
)


def normalize_label(label: str) -> str:
    """A label without differences of spelling.

    "Refund ", "refunds" and "ＲＥＦＵＮＤ" become the same, so do "re_fund", "re-fund" and "re fund": case,
    width, spaces, full stops and an English plural make no difference, nor does Excel's 1.0 for 1.
    """
    stripped = unicodedata.normalize("NFKC", label).casefold().strip().rstrip(".。!！;；:：,，")
    normalized = _SEPARATORS.sub(" ", stripped or label)
    integer_match = _INTEGER_FLOAT.fullmatch(normalized)
    if integer_match:
        return integer_match[1]
    if len(normalized) <= MAX_SINGULAR_LENGTH:
        return normalized
    for ending, singular in _PLURALS:
        if ending.search(normalized):
            return ending.sub(singular, normalized)
    return normalized


def count_labels(labels: Sequence[str]) -> Counter[str]:
    """How often each label occurs, under its most common spelling."""
    replacements = map_spellings(labels)
    names = [label.strip() for label in labels]
    return Counter(replacements.get(name, name) for name in names)


def map_spellings(labels: Sequence[str]) -> dict[str, str]:
    """Spelling -> the most common one (of ties, the first) of the same label, where they differ."""
    spelling_counts: dict[str, Counter[str]] = defaultdict(Counter)
    for label in labels:
        spelling_counts[normalize_label(label)][label.strip()] += 1
    replacements = {}
    for counter in spelling_counts.values():
        (commonest, _), *others = counter.most_common()
        replacements.update({name: commonest for name, _ in others})
    return replacements
