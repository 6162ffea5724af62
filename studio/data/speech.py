"""How much a text says, in whatever script: its weight in English characters, and whether somebody wrote it as a sentence."""

import re

WIDE = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
SAYS = 3  # English characters that one of Chinese, Japanese or Korean stands for, about
MOST_OF_A_NAME, LEAST_WIDE = 3, 12  # words of a person's or a firm's name; characters of a Chinese text beyond such a name
SENTENCE = re.compile(r"[.?!。？！，；][\"”’)）]?(\s|$)|[，。？！；]")


def weight(text: str) -> int:
    """How long a text is, in English characters."""
    return len(text) + (SAYS - 1) * (0 if text.isascii() else len(WIDE.findall(text)))


def spoken(text: str) -> bool:
    """Whether a text reads as somebody wrote it: several words, or a sentence; names, ids and codes do not."""
    words, wide = len(text.split()), len(WIDE.findall(text))
    return words > MOST_OF_A_NAME or wide >= LEAST_WIDE or bool((words > 1 or wide > 1) and SENTENCE.search(text))
