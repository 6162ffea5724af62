"""Labels that mean the same though they are spelled differently, and how often each occurs."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

_SEPARATORS = re.compile(r"(?<=\w)[\s_-]+(?=\w)")
_INTEGER_FLOAT = re.compile(r"([+-]?\d+)\.0+")
_PLURALS = (
    (re.compile(r"(?<=[a-z]{2})ies$"), "y"),
    (re.compile(r"(?<=s|x|z)es$|(?<=ch|sh)es$"), ""),
    (re.compile(r"(?<=[a-rtvwxyz])s$"), ""),
)


def normalize_label(label: str) -> str:
    """What a label means, whatever its spelling: the same for "Refund ", "refunds", "ＲＥＦＵＮＤ" and "re_fund", "re-fund", "re fund".

    Case, width, spaces, full stops and an English plural make no difference; nor does Excel's 1.0 for 1.
    """
    normalized = _SEPARATORS.sub(
        " ", unicodedata.normalize("NFKC", label).casefold().strip().rstrip(".。!！;；:：,，") or label
    )
    if integer_match := _INTEGER_FLOAT.fullmatch(normalized):
        return integer_match[1]
    for ending, singular in _PLURALS if len(normalized) > 3 else ():
        if ending.search(normalized):
            return ending.sub(singular, normalized)
    return normalized


def count_labels(labels: Sequence[str]) -> Counter[str]:
    """How many there are of each meaning, under its commonest spelling."""
    replacements = map_spellings(labels)
    return Counter(replacements.get(label.strip(), label.strip()) for label in labels)


def map_spellings(labels: Sequence[str]) -> dict[str, str]:
    """Spelling -> the commonest one of the same meaning, for those that differ from it; among equals the first that occurs."""
    spelling_counts: dict[str, Counter[str]] = defaultdict(Counter)
    for label in labels:
        spelling_counts[normalize_label(label)][label.strip()] += 1
    commonest = {
        meaning: max(counter, key=lambda name: counter[name]) for meaning, counter in spelling_counts.items()
    }
    return {
        name: commonest[meaning]
        for meaning, counter in spelling_counts.items()
        for name in counter
        if name != commonest[meaning]
    }
