"""Texts that say nearly the same are found among many, without comparing each with each (MinHash)."""

import itertools
import unicodedata
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import regex  # type: ignore[import-untyped] # ships no types
from rensa import RMinHash  # type: ignore[import-untyped] # ships no types

StepCallback = Callable[[int, int], None]
Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.intp]

# Scripts without spaces between words: each character counts as a word.
_SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = regex.compile(rf"(?V1)[{_SPACELESS}]\p{{M}}*|[\p{{L}}\p{{M}}\p{{N}}_--[{_SPACELESS}]]+")
_ASCII_WORD = regex.compile(r"\w+", regex.ASCII)
# Numbers kept of each text; the estimate of a similarity s is off by sqrt(s(1-s)/PERMUTATIONS), 0.035 at 0.8 (Broder 1997).
PERMUTATIONS, SEED = 128, 1
# The share of pairs exactly as alike as asked for that must meet in a band; pairs that are more alike meet more often.
MIN_BAND_RECALL = 0.995
# In a band each text is compared with this many neighbours: bounds the time where thousands of texts share a frame.
MAX_NEIGHBOURS = 10
# Three standard deviations of the estimate: pairs below are dropped unseen, the others are compared shingle by shingle.
MARGIN = 0.105
BATCH_SIZE = 2000


def ignore_steps(_done: int, _total: int) -> None:
    """Tells nobody."""


def split_words(text: str) -> list[str]:
    """The words of a text in lower case and usual width, without marks; each character is a word where a script has no spaces."""
    if text.isascii():
        tokens: list[str] = _ASCII_WORD.findall(text.lower())
    else:
        tokens = _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    return tokens


def shingles(text: str) -> frozenset[str]:
    """All pairs of neighbouring words; a text of one word is that word, one without words itself.

    Two words, so that order counts and yet one changed word in twenty leaves a text 0.81 alike: 17 pairs stay of 21.
    """
    return _word_pairs(_normalize(text))


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """How alike two sets are: what they share, over all they hold (0–1)."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


def group_texts(
    texts: Sequence[str], threshold: float = 0.8, on_progress: StepCallback = ignore_steps
) -> list[int]:
    """A number for each text; texts that are the same, or nearly, share one.

    Nearly: the Jaccard similarity of their shingles is at least `alike` (0–1), or both are near a third. Pairs meet by MinHash
    and are then compared exactly, so no pair is joined that is less alike; of the pairs that are just `alike`, about one in a
    hundred is missed. Where thousands share most of their words, a text is compared with its likeliest NEIGHBOURS alone.
    The order of the texts changes nothing. `tell` hears how many of how many steps are done, and may raise to end it.
    """
    normalized = [_normalize(text) for text in texts]
    unique = sorted(set(normalized))
    index_by_text = {text: index for index, text in enumerate(unique)}
    signatures = _minhash_signatures(unique, lambda done: on_progress(done, 2 * len(unique)))
    roots = np.arange(len(unique))
    low_bytes = signatures.astype(
        np.uint8
    )  # one number in 256 agrees by chance: good enough to drop what is far apart
    bands = list(_hash_bands(signatures, threshold))
    for index, band in enumerate(bands, 1):
        roots = _merge_band(band, low_bytes, roots, unique, threshold)
        on_progress(len(unique) + len(unique) * index // len(bands), 2 * len(unique))
    return [int(roots[index_by_text[text]]) for text in normalized]


def _normalize(text: str) -> str:
    return " ".join(split_words(text)) or text.strip()


def _word_pairs(normalized: str) -> frozenset[str]:
    tokens = normalized.split(" ")
    return frozenset(map(" ".join, itertools.pairwise(tokens)) if len(tokens) > 1 else tokens)


def _minhash_signatures(texts: Sequence[str], on_progress: Callable[[int], None]) -> npt.NDArray[np.uint32]:
    """The MinHash signature of each text, texts x PERMUTATIONS."""
    signatures = np.empty((len(texts), PERMUTATIONS), np.uint32)
    for start in range(0, len(texts), BATCH_SIZE):
        shingle_sets = [_word_pairs(text) for text in texts[start : start + BATCH_SIZE]]
        signatures[start : start + len(shingle_sets)] = RMinHash.digest_matrix_from_token_sets(
            shingle_sets, PERMUTATIONS, SEED
        ).to_rows()
        on_progress(start + len(shingle_sets))
    return signatures


def _hash_bands(signatures: npt.NDArray[np.uint32], threshold: float) -> Iterator[tuple[Hashes, Hashes]]:
    """Each band's hash of each text, and the next band's: texts that agree in a band are worth comparing.

    A band has as many rows r as leave pairs that are `alike` a chance of MEET to agree in one of the b bands: 1 - (1 - alike^r)^b.
    """
    rows = max(
        r for r in range(1, 17) if r == 1 or 1 - (1 - threshold**r) ** (PERMUTATIONS // r) >= MIN_BAND_RECALL
    )
    n_bands = PERMUTATIONS // rows
    hashes = []
    for start in range(0, n_bands * rows, rows):
        band_hash = np.zeros(len(signatures), np.uint64)
        for column in range(start, start + rows):
            band_hash = (band_hash ^ signatures[:, column]) * np.uint64(0x9E3779B97F4A7C15)
            band_hash ^= band_hash >> np.uint64(29)
        hashes.append(band_hash)
    yield from zip(hashes, hashes[1:] + hashes[:1], strict=True)


def _merge_band(
    band: tuple[Hashes, Hashes],
    signatures: npt.NDArray[np.uint8],
    roots: Indices,
    texts: Sequence[str],
    threshold: float,
) -> Indices:
    """The roots once the pairs of a band that are alike are joined; neighbours are those that agree in the next band too."""
    band_hashes, next_hashes = band
    order = np.lexsort((next_hashes, band_hashes))
    equals_next = band_hashes[order[:-1]] == band_hashes[order[1:]]
    order = (
        order[np.append(equals_next, False) | np.insert(equals_next, 0, False)]
        if len(order) > 1
        else order[:0]
    )
    shingle_cache: dict[int, frozenset[str]] = {}
    for distance in range(1, min(MAX_NEIGHBOURS, len(order) - 1) + 1):
        left, right = order[:-distance], order[distance:]
        is_same = band_hashes[left] == band_hashes[right]
        if not is_same.any():
            break
        is_separate = is_same & (roots[left] != roots[right])
        left, right = left[is_separate], right[is_separate]
        is_close = (
            np.count_nonzero(signatures[left] == signatures[right], axis=1)
            >= (threshold - MARGIN) * PERMUTATIONS
        )
        similar_pairs = [
            pair
            for pair in zip(left[is_close].tolist(), right[is_close].tolist(), strict=True)
            if _is_similar(*pair, texts, threshold, shingle_cache)
        ]
        roots = _union_roots(roots, similar_pairs) if similar_pairs else roots
    return roots


def _is_similar(
    left: int, right: int, texts: Sequence[str], threshold: float, shingle_cache: dict[int, frozenset[str]]
) -> bool:
    left_shingles, right_shingles = (
        shingle_cache.get(index) or shingle_cache.setdefault(index, _word_pairs(texts[index]))
        for index in (left, right)
    )
    return jaccard(left_shingles, right_shingles) >= threshold


def _union_roots(roots: Indices, pairs: Sequence[tuple[int, int]]) -> Indices:
    """The roots once these pairs share theirs; the smaller root stays."""
    parents: dict[int, int] = {}

    def find_root(index: int) -> int:
        while (parent := parents.get(index, index)) != index:
            parents[index] = parents.get(parent, parent)
            index = parent
        return index

    for left, right in pairs:
        smaller_root, larger_root = sorted((find_root(int(roots[left])), find_root(int(roots[right]))))
        if smaller_root != larger_root:
            parents[larger_root] = smaller_root
    final_roots = np.arange(len(roots))
    for index in parents:
        final_roots[index] = find_root(index)
    return final_roots[roots]
