"""Find texts that are nearly the same among many, without comparing each pair (MinHash)."""

import itertools
import unicodedata
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import regex  # type: ignore[import-untyped] # ships no types
from rensa import RMinHash  # type: ignore[import-untyped] # ships no types

from studio.storage import ProgressCallback, no_progress

Hashes = npt.NDArray[np.uint64]
Indices = npt.NDArray[np.intp]

# Scripts without spaces between words: each character counts as a word.
_SPACELESS = r"\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}"
_WORD = regex.compile(rf"(?V1)[{_SPACELESS}]\p{{M}}*|[\p{{L}}\p{{M}}\p{{N}}_--[{_SPACELESS}]]+")
_ASCII_WORD = regex.compile(r"\w+", regex.ASCII)
# Hashes per text; the standard error of an estimated similarity s is sqrt(s(1-s)/PERMUTATIONS), 0.035 at 0.8
# (Broder 1997).
PERMUTATIONS, SEED = 128, 1
# The share of pairs exactly at the threshold that must meet in a band; pairs that are more similar meet more
# often.
MIN_BAND_RECALL = 0.995
MAX_ROWS_PER_BAND = 16
# In a band each text is compared with this many neighbours: bounds the time where thousands of texts share a
# frame.
MAX_NEIGHBOURS = 10
# Three standard errors: pairs whose estimate is further below the threshold are skipped, the others are
# compared shingle by shingle.
MARGIN = 0.105
BATCH_SIZE = 2000  # texts hashed between two reports of progress
# Mixes the hashes of a band into one: 2^64 divided by the golden ratio, as in Fibonacci hashing.
HASH_MULTIPLIER, HASH_SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(29)


def split_words(text: str) -> list[str]:
    """The words of a text in lower case and usual width, without punctuation.

    Each character is a word where a script has no spaces.
    """
    if text.isascii():
        return list(_ASCII_WORD.findall(text.lower()))
    return list(_WORD.findall(unicodedata.normalize("NFKC", text).casefold()))


def shingles(text: str) -> frozenset[str]:
    """All pairs of neighbouring words; of a text of one word that word, without words the text itself.

    Two words, so that their order counts, and one changed word in twenty still leaves a similarity of 0.81:
    17 of 21 pairs are shared.
    """
    return _word_pairs(_normalize(text))


def jaccard(first: frozenset[str], second: frozenset[str]) -> float:
    """The Jaccard similarity of two sets: what they share over all they hold (0–1)."""
    shared = len(first & second)
    return shared / (len(first) + len(second) - shared)


def group_texts(
    texts: Sequence[str], threshold: float = 0.8, on_progress: ProgressCallback = no_progress
) -> list[int]:
    """Group texts that are the same or nearly the same.

    Pairs meet by MinHash and are then compared exactly, so no pair below the threshold is joined; of the
    pairs just at the threshold, about one in a hundred is missed. Where thousands of texts share most of
    their words, a text is compared with its MAX_NEIGHBOURS likeliest neighbours only. The order of the texts
    changes nothing.

    Args:
        texts: The texts.
        threshold: Two texts are in one group if the Jaccard similarity of their shingles is at least this
            (0–1), or if both are that similar to a third one.
        on_progress: Called with the steps done and their total; may raise to end the search.

    Returns:
        The id of each text's group.
    """
    normalized = [_normalize(text) for text in texts]
    unique = sorted(set(normalized))
    index_by_text = {text: index for index, text in enumerate(unique)}
    total_steps = 2 * len(unique)  # one to hash each text, one to compare it
    signatures = _minhash_signatures(unique, lambda done: on_progress(done, total_steps))
    roots = np.arange(len(unique))
    # One byte in 256 agrees by chance: good enough to skip pairs that are far from similar.
    low_bytes = signatures.astype(np.uint8)
    bands = list(_hash_bands(signatures, threshold))
    for index, band in enumerate(bands, 1):
        roots = _merge_band(band, low_bytes, roots, unique, threshold)
        on_progress(len(unique) + len(unique) * index // len(bands), total_steps)
    return [int(roots[index_by_text[text]]) for text in normalized]


def _normalize(text: str) -> str:
    return " ".join(split_words(text)) or text.strip()


def _word_pairs(normalized: str) -> frozenset[str]:
    tokens = normalized.split(" ")
    if len(tokens) == 1:
        return frozenset(tokens)
    return frozenset(f"{first} {second}" for first, second in itertools.pairwise(tokens))


def _minhash_signatures(texts: Sequence[str], on_progress: Callable[[int], None]) -> npt.NDArray[np.uint32]:
    """The MinHash signature of each text, texts x PERMUTATIONS."""
    signatures = np.empty((len(texts), PERMUTATIONS), np.uint32)
    for start in range(0, len(texts), BATCH_SIZE):
        shingle_sets = [_word_pairs(text) for text in texts[start : start + BATCH_SIZE]]
        end = start + len(shingle_sets)
        digests = RMinHash.digest_matrix_from_token_sets(shingle_sets, PERMUTATIONS, SEED)
        signatures[start:end] = digests.to_rows()
        on_progress(end)
    return signatures


def _hash_bands(signatures: npt.NDArray[np.uint32], threshold: float) -> Iterator[tuple[Hashes, Hashes]]:
    """Each band's hash of each text, with the next band's: texts that agree in a band are worth comparing."""
    rows = _rows_per_band(threshold)
    n_bands = PERMUTATIONS // rows
    hashes = []
    for start in range(0, n_bands * rows, rows):
        band_hash = np.zeros(len(signatures), np.uint64)
        for column in range(start, start + rows):
            band_hash = (band_hash ^ signatures[:, column]) * HASH_MULTIPLIER
            band_hash ^= band_hash >> HASH_SHIFT
        hashes.append(band_hash)
    yield from zip(hashes, hashes[1:] + hashes[:1], strict=True)


def _rows_per_band(threshold: float) -> int:
    """The most rows r of a band with which pairs at the threshold still meet often enough.

    Their chance to agree in one of the b bands is 1 - (1 - threshold^r)^b, and has to be at least
    MIN_BAND_RECALL.
    """

    def recall(rows: int) -> float:
        return 1 - (1 - threshold**rows) ** (PERMUTATIONS // rows)

    candidates = range(2, MAX_ROWS_PER_BAND + 1)
    return max((rows for rows in candidates if recall(rows) >= MIN_BAND_RECALL), default=1)


def _merge_band(
    band: tuple[Hashes, Hashes],
    signatures: npt.NDArray[np.uint8],
    roots: Indices,
    texts: Sequence[str],
    threshold: float,
) -> Indices:
    """The roots once the similar pairs of a band are joined; neighbours also agree in the next band."""
    band_hashes, next_hashes = band
    if len(band_hashes) < 2:
        return roots
    order = np.lexsort((next_hashes, band_hashes))
    equals_next = band_hashes[order[:-1]] == band_hashes[order[1:]]
    shares_hash = np.append(equals_next, False) | np.insert(equals_next, 0, False)
    order = order[shares_hash]
    shingle_cache: dict[int, frozenset[str]] = {}
    for distance in range(1, min(MAX_NEIGHBOURS, len(order) - 1) + 1):
        firsts, seconds = order[:-distance], order[distance:]
        is_same = band_hashes[firsts] == band_hashes[seconds]
        if not is_same.any():
            break
        is_separate = is_same & (roots[firsts] != roots[seconds])
        firsts, seconds = firsts[is_separate], seconds[is_separate]
        n_equal = np.count_nonzero(signatures[firsts] == signatures[seconds], axis=1)
        is_close = n_equal >= (threshold - MARGIN) * PERMUTATIONS
        close_pairs = zip(firsts[is_close].tolist(), seconds[is_close].tolist(), strict=True)
        similar_pairs = []
        for pair in close_pairs:
            first, second = (_cached_word_pairs(index, texts, shingle_cache) for index in pair)
            if jaccard(first, second) >= threshold:
                similar_pairs.append(pair)
        if similar_pairs:
            roots = _union_roots(roots, similar_pairs)
    return roots


def _cached_word_pairs(
    index: int, texts: Sequence[str], shingle_cache: dict[int, frozenset[str]]
) -> frozenset[str]:
    if index not in shingle_cache:
        shingle_cache[index] = _word_pairs(texts[index])
    return shingle_cache[index]


def _union_roots(roots: Indices, pairs: Sequence[tuple[int, int]]) -> Indices:
    """The roots once these pairs share theirs; the smaller root remains."""
    parents: dict[int, int] = {}

    def find_root(index: int) -> int:
        while index in parents:
            parent = parents[index]
            parents[index] = parents.get(parent, parent)
            index = parent
        return index

    for first, second in pairs:
        pair_roots = find_root(int(roots[first])), find_root(int(roots[second]))
        smaller_root, larger_root = sorted(pair_roots)
        if smaller_root != larger_root:
            parents[larger_root] = smaller_root
    final_roots = np.arange(len(roots))
    for index in parents:
        final_roots[index] = find_root(index)
    return final_roots[roots]
