"""Labels that mean the same though they are spelled differently, and how often each occurs."""

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence

_JOINTS = re.compile(r"(?<=\w)[\s_-]+(?=\w)")
_WHOLE = re.compile(r"([+-]?\d+)\.0+")
_PLURALS = (
    (re.compile(r"(?<=[a-z]{2})ies$"), "y"),
    (re.compile(r"(?<=s|x|z)es$|(?<=ch|sh)es$"), ""),
    (re.compile(r"(?<=[a-rtvwxyz])s$"), ""),
)


def key(label: str) -> str:
    """What a label means, whatever its spelling: the same for "Refund ", "refunds", "ＲＥＦＵＮＤ" and "re_fund", "re-fund", "re fund".

    Case, width, spaces, full stops and an English plural make no difference; nor does Excel's 1.0 for 1.
    """
    found = _JOINTS.sub(" ", unicodedata.normalize("NFKC", label).casefold().strip().rstrip(".。!！;；:：,，") or label)
    if whole := _WHOLE.fullmatch(found):
        return whole[1]
    for ending, singular in _PLURALS if len(found) > 3 else ():
        if ending.search(found):
            return ending.sub(singular, found)
    return found


def counts(labels: Sequence[str]) -> Counter[str]:
    """How many there are of each meaning, under its commonest spelling."""
    spelled = spellings(labels)
    return Counter(spelled.get(label.strip(), label.strip()) for label in labels)


def spellings(labels: Sequence[str]) -> dict[str, str]:
    """Spelling -> the commonest one of the same meaning, for those that differ from it; among equals the first that occurs."""
    same: dict[str, Counter[str]] = defaultdict(Counter)
    for label in labels:
        same[key(label)][label.strip()] += 1
    best = {meaning: max(found, key=lambda name: found[name]) for meaning, found in same.items()}
    return {name: best[meaning] for meaning, found in same.items() for name in found if name != best[meaning]}
