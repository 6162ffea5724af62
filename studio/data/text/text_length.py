"""How much a text says, in whatever script: its weight in English characters, and whether somebody wrote it as a sentence."""

import re

WIDE_CHARS = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
CHARS_PER_WIDE = 3  # English characters that one of Chinese, Japanese or Korean stands for, about
MAX_NAME_WORDS, MIN_WIDE_CHARS = (
    3,
    12,
)  # words of a person's or a firm's name; characters of a Chinese text beyond such a name
SENTENCE_END = re.compile(r"[.?!。？！，；][\"”’)）]?(\s|$)|[，。？！；]")


def weighted_length(text: str) -> int:
    """How long a text is, in English characters."""
    return len(text) + (CHARS_PER_WIDE - 1) * (0 if text.isascii() else len(WIDE_CHARS.findall(text)))


def is_prose(text: str) -> bool:
    """Whether a text reads as somebody wrote it: several words, or a sentence; names, ids and codes do not."""
    n_words, n_wide = len(text.split()), len(WIDE_CHARS.findall(text))
    return (
        n_words > MAX_NAME_WORDS
        or n_wide >= MIN_WIDE_CHARS
        or bool((n_words > 1 or n_wide > 1) and SENTENCE_END.search(text))
    )
