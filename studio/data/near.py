"""Texts that say nearly the same are found among many, without comparing each with each (MinHash)."""

import itertools
import unicodedata
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import regex  # type: ignore[import-untyped] # ships no types
from rensa import RMinHash  # type: ignore[import-untyped] # ships no types

Tell = Callable[[int, int], None]
Hashes = npt.NDArray[np.uint64]
Places = npt.NDArray[np.intp]

# Scripts without spaces between words: each character counts as a word.
_SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = regex.compile(rf"(?V1)[{_SPACELESS}]\p{{M}}*|[\p{{L}}\p{{M}}\p{{N}}_--[{_SPACELESS}]]+")
_ASCII_WORD = regex.compile(r"\w+", regex.ASCII)
# Numbers kept of each text; the estimate of a similarity s is off by sqrt(s(1-s)/PERMUTATIONS), 0.035 at 0.8 (Broder 1997).
PERMUTATIONS, SEED = 128, 1
# The share of pairs exactly as alike as asked for that must meet in a band; pairs that are more alike meet more often.
MEET = 0.995
# In a band each text is compared with this many neighbours: bounds the time where thousands of texts share a frame.
NEIGHBOURS = 10
# Three standard deviations of the estimate: pairs below are dropped unseen, the others are compared shingle by shingle.
MARGIN = 0.105
PORTION = 2000


def quiet(_done: int, _total: int) -> None:
    """Tells nobody."""


def words(text: str) -> list[str]:
    """The words of a text in lower case and usual width, without marks; each character is a word where a script has no spaces."""
    if text.isascii():
        found: list[str] = _ASCII_WORD.findall(text.lower())
    else:
        found = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return found


def shingles(text: str) -> frozenset[str]:
    """All pairs of neighbouring words; a text of one word is that word, one without words itself.

    Two words, so that order counts and yet one changed word in twenty leaves a text 0.81 alike: 17 pairs stay of 21.
    """
    return _pairs(_plain(text))


def jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    """How alike two sets are: what they share, over all they hold (0–1)."""
    shared = len(one & other)
    return shared / (len(one) + len(other) - shared)


def groups(texts: Sequence[str], alike: float = 0.8, tell: Tell = quiet) -> list[int]:
    """A number for each text; texts that are the same, or nearly, share one.

    Nearly: the Jaccard similarity of their shingles is at least `alike` (0–1), or both are near a third. Pairs meet by MinHash
    and are then compared exactly, so no pair is joined that is less alike; of the pairs that are just `alike`, about one in a
    hundred is missed. Where thousands share most of their words, a text is compared with its likeliest NEIGHBOURS alone.
    The order of the texts changes nothing. `tell` hears how many of how many steps are done, and may raise to end it.
    """
    plain = [_plain(text) for text in texts]
    unique = sorted(set(plain))
    numbers = {text: number for number, text in enumerate(unique)}
    signs = _signs(unique, lambda done: tell(done, 2 * len(unique)))
    roots = np.arange(len(unique))
    small = signs.astype(np.uint8)  # one number in 256 agrees by chance: good enough to drop what is far apart
    bands = list(_bands(signs, alike))
    for number, band in enumerate(bands, 1):
        roots = _join(band, small, roots, unique, alike)
        tell(len(unique) + len(unique) * number // len(bands), 2 * len(unique))
    return [int(roots[numbers[text]]) for text in plain]


def _plain(text: str) -> str:
    return " ".join(words(text)) or text.strip()


def _pairs(plain: str) -> frozenset[str]:
    found = plain.split(" ")
    return frozenset(map(" ".join, itertools.pairwise(found)) if len(found) > 1 else found)


def _signs(texts: Sequence[str], tell: Callable[[int], None]) -> npt.NDArray[np.uint32]:
    """The MinHash signature of each text, texts x PERMUTATIONS."""
    found = np.empty((len(texts), PERMUTATIONS), np.uint32)
    for start in range(0, len(texts), PORTION):
        sets = [_pairs(text) for text in texts[start : start + PORTION]]
        found[start : start + len(sets)] = RMinHash.digest_matrix_from_token_sets(sets, PERMUTATIONS, SEED).to_rows()
        tell(start + len(sets))
    return found


def _bands(signs: npt.NDArray[np.uint32], alike: float) -> Iterator[tuple[Hashes, Hashes]]:
    """Each band's hash of each text, and the next band's: texts that agree in a band are worth comparing.

    A band has as many rows r as leave pairs that are `alike` a chance of MEET to agree in one of the b bands: 1 - (1 - alike^r)^b.
    """
    rows = max(r for r in range(1, 17) if r == 1 or 1 - (1 - alike**r) ** (PERMUTATIONS // r) >= MEET)
    count = PERMUTATIONS // rows
    hashes = []
    for start in range(0, count * rows, rows):
        mixed = np.zeros(len(signs), np.uint64)
        for column in range(start, start + rows):
            mixed = (mixed ^ signs[:, column]) * np.uint64(0x9E3779B97F4A7C15)
            mixed ^= mixed >> np.uint64(29)
        hashes.append(mixed)
    yield from zip(hashes, hashes[1:] + hashes[:1], strict=True)


def _join(band: tuple[Hashes, Hashes], signs: npt.NDArray[np.uint8], roots: Places, texts: Sequence[str], alike: float) -> Places:
    """The roots once the pairs of a band that are alike are joined; neighbours are those that agree in the next band too."""
    own, following = band
    order = np.lexsort((following, own))
    twins = own[order[:-1]] == own[order[1:]]
    order = order[np.append(twins, False) | np.insert(twins, 0, False)] if len(order) > 1 else order[:0]
    seen: dict[int, frozenset[str]] = {}
    for distance in range(1, min(NEIGHBOURS, len(order) - 1) + 1):
        left, right = order[:-distance], order[distance:]
        same = own[left] == own[right]
        if not same.any():
            break
        apart = same & (roots[left] != roots[right])
        left, right = left[apart], right[apart]
        close = np.count_nonzero(signs[left] == signs[right], axis=1) >= (alike - MARGIN) * PERMUTATIONS
        found = [pair for pair in zip(left[close].tolist(), right[close].tolist(), strict=True) if _near(*pair, texts, alike, seen)]
        roots = _merged(roots, found) if found else roots
    return roots


def _near(one: int, other: int, texts: Sequence[str], alike: float, seen: dict[int, frozenset[str]]) -> bool:
    first, second = (seen.get(place) or seen.setdefault(place, _pairs(texts[place])) for place in (one, other))
    return jaccard(first, second) >= alike


def _merged(roots: Places, pairs: Sequence[tuple[int, int]]) -> Places:
    """The roots once these pairs share theirs; the smaller root stays."""
    leads: dict[int, int] = {}

    def lead(place: int) -> int:
        while (to := leads.get(place, place)) != place:
            leads[place] = leads.get(to, to)
            place = to
        return place

    for one, other in pairs:
        first, second = sorted((lead(int(roots[one])), lead(int(roots[other]))))
        if first != second:
            leads[second] = first
    table = np.arange(len(roots))
    for place in leads:
        table[place] = lead(place)
    return table[roots]
