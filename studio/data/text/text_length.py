"""The length of a text in any script, and whether somebody wrote it as a sentence."""

import re

WIDE_CHARS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
# English characters that one Chinese, Japanese or Korean character stands for, about.
CHARS_PER_WIDE = 3
# A text with more words than the name of a person or a firm, or with so many Chinese characters, is prose.
MAX_NAME_WORDS, MIN_WIDE_CHARS = 3, 12
SENTENCE_END = re.compile(r"[.?!。？！，；][\"”’)）]?(\s|$)|[，。？！；]")


def weighted_length(text: str) -> int:
    """The length of a text in English characters."""
    if text.isascii():
        return len(text)
    n_wide = len(WIDE_CHARS.findall(text))
    return len(text) + (CHARS_PER_WIDE - 1) * n_wide


def is_prose(text: str) -> bool:
    """Whether somebody seems to have written a text: several words or a sentence, not a name or a code."""
    n_words, n_wide = len(text.split()), len(WIDE_CHARS.findall(text))
    if n_words > MAX_NAME_WORDS or n_wide >= MIN_WIDE_CHARS:
        return True
    return (n_words > 1 or n_wide > 1) and bool(SENTENCE_END.search(text))


def shorten(text: str, max_characters: int) -> str:
    """The beginning of a text that is longer than so many characters, with an ellipsis; else all of it."""
    return text if len(text) <= max_characters else text[:max_characters] + "…"
