"""Detect the language of a text: by its script first, and within Latin script by a library.

The library is only asked about texts that are long enough to be sure.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import regex  # type: ignore[import-untyped] # ships no types

from studio.i18n import Message, label

# Within Latin script: of the 1,049 English texts of the studio's own samples, none of this length and
# probability was taken for another language (measured with py3langid 0.4); what is shorter or less sure
# counts as the main language.
MIN_LETTERS, MIN_PROBABILITY = 30, 0.9
MAX_CHARS_READ = 400  # characters of a text that are looked at
# Japanese mixes its syllables with Chinese characters: with one syllable in ten characters, all of them are
# Japanese.
CHARACTERS_PER_SYLLABLE = 10
# A character of a script without spaces counts as a word: "我的 iPhone 15 Pro Max 坏了" is Chinese.
_SCRIPTS = {
    "zh": r"\p{Han}",
    "ja": r"[\p{Hiragana}\p{Katakana}]",
    "ko": r"\p{Hangul}+",
    "latin": r"\p{Latin}+",
    "cyrillic": r"\p{Cyrillic}+",
    "arabic": r"\p{Arabic}+",
    "hebrew": r"\p{Hebrew}+",
    "greek": r"\p{Greek}+",
    "thai": r"\p{Thai}",
    "hindi": r"\p{Devanagari}+",
}
_WORD_PATTERNS = {name: regex.compile(form) for name, form in _SCRIPTS.items()}
_NON_WORDS = regex.compile(r"https?://\S+|\S+@\S+|```.*?(?:```|$)|[<{][^<>{}]*[>}]", regex.DOTALL)
LANGUAGE_NAMES: dict[str, Message] = {
    "zh": label("Chinese"),
    "ja": label("Japanese"),
    "ko": label("Korean"),
    "latin": label("Latin letters"),
    "cyrillic": label("Cyrillic letters"),
    "arabic": label("Arabic letters"),
    "hebrew": label("Hebrew"),
    "greek": label("Greek"),
    "thai": label("Thai"),
    "hindi": label("Devanagari (such as Hindi)"),
    "en": label("English"),
    "de": label("German"),
    "fr": label("French"),
    "es": label("Spanish"),
    "pt": label("Portuguese"),
    "it": label("Italian"),
    "nl": label("Dutch"),
    "sv": label("Swedish"),
    "da": label("Danish"),
    "no": label("Norwegian"),
    "fi": label("Finnish"),
    "pl": label("Polish"),
    "cs": label("Czech"),
    "hu": label("Hungarian"),
    "ro": label("Romanian"),
    "hr": label("Croatian"),
    "tr": label("Turkish"),
    "id": label("Indonesian"),
    "ms": label("Malay"),
    "vi": label("Vietnamese"),
    "tl": label("Tagalog"),
    "sw": label("Swahili"),
    "ca": label("Catalan"),
}


@dataclass(frozen=True)
class LanguageMix:
    """The languages of some texts.

    Attributes:
        main: The most common one, a key of LANGUAGE_NAMES; "" where no text holds words.
        others: Language -> number of texts, for all other languages, the most common first.
        other_indices: The indices of the texts that are not in the main language.
        n_texts: The number of texts that hold words at all.
    """

    main: str
    others: dict[str, int]
    other_indices: tuple[int, ...]
    n_texts: int

    @property
    def share(self) -> float:
        """The share of the texts in the main language or too short to tell (0–1); 1 if no text has words."""
        if not self.n_texts:
            return 1.0
        return 1 - len(self.other_indices) / self.n_texts


def language_name(code: str) -> Message:
    """The name of a language on the page; the code itself where it has none."""
    return LANGUAGE_NAMES.get(code, Message(code))


def detect_mix(texts: Sequence[str]) -> LanguageMix:
    """The languages of texts; short ones in Latin script count as the main language if that is in it too."""
    scripts = [detect_script(text) for text in texts]
    script_counts = Counter(script for script in scripts if script)
    main = _commonest(script_counts)
    text_languages = scripts
    if main == "latin":
        text_languages = [
            detect_language(text) if script == "latin" else script
            for text, script in zip(texts, scripts, strict=True)
        ]
        latin_languages = Counter(
            language
            for language, script in zip(text_languages, scripts, strict=True)
            if script == "latin" and language != "latin"
        )
        main = _commonest(latin_languages) or main
        text_languages = [main if language == "latin" else language for language in text_languages]
    others = Counter(language for language in text_languages if language and language != main)
    other_indices = [index for index, language in enumerate(text_languages) if language and language != main]
    return LanguageMix(main, dict(others.most_common()), tuple(other_indices), script_counts.total())


def _commonest(counts: Counter[str]) -> str:
    """The most common name, of ties the first in the alphabet; "" where there is none."""
    return min(counts, key=lambda name: (-counts[name], name), default="")


def detect_script(text: str) -> str:
    """The script of most words of a text, a key of LANGUAGE_NAMES; "" where it holds no words."""
    cleaned = _NON_WORDS.sub(" ", text[:MAX_CHARS_READ])
    counts = {name: len(pattern.findall(cleaned)) for name, pattern in _WORD_PATTERNS.items()}
    if counts["ja"] > 1 and counts["ja"] * CHARACTERS_PER_SYLLABLE >= counts["zh"]:
        counts["ja"] += counts.pop("zh")
    best = max(counts, key=lambda name: counts[name])
    return best if counts[best] else ""


def detect_language(text: str) -> str:
    """The language of a text in Latin script; "latin" if it is too short, or too unlike any to be sure."""
    cleaned = " ".join(_NON_WORDS.sub(" ", text[:MAX_CHARS_READ]).split())
    n_letters = sum(map(str.isalpha, cleaned))
    if n_letters < MIN_LETTERS:
        return "latin"
    name, probability = _identifier().classify(cleaned)
    return str(name) if probability >= MIN_PROBABILITY else "latin"


@lru_cache(maxsize=1)
def _identifier() -> Any:
    """The language identifier, limited to the languages of LANGUAGE_NAMES in Latin script."""
    from py3langid.langid import (  # type: ignore[import-untyped] # noqa: PLC0415 - unpacking its model takes a second
        MODEL_FILE,
        LanguageIdentifier,
    )

    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    languages = [name for name in LANGUAGE_NAMES if len(name) == 2 and name not in _WORD_PATTERNS]
    identifier.set_languages(languages)
    return identifier
