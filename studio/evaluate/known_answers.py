"""Whether a text gives the known answer to a question."""

import math
import re

# A minus between two numbers, as in 10-12, is no sign.
NUMBER_PATTERN = re.compile(r"(?:(?<!\w)[-\N{MINUS SIGN}])?\d+(?:[.,]\d+)*")
# A letter of a Latin, Greek or Cyrillic alphabet, or a digit.
LETTER = r"[0-9A-Za-z\u00C0-\u024F\u0370-\u03FF\u0400-\u04FF]"
THOUSANDS_WITH_COMMAS = re.compile(r"-?[1-9]\d{0,2}(,\d{3})+(\.\d+)?")
THOUSANDS_WITH_POINTS = re.compile(r"-?[1-9]\d{0,2}((\.\d{3})+,\d+|(\.\d{3}){2,})")


def is_correct(text: str, answer: str, check: str = "data") -> bool:
    """Whether a text gives the known answer.

    Args:
        text: The text.
        answer: The known answer.
        check: How they are compared: "number", the last of each; "exact", all of both; "contains", the
            answer's words in the text; "data", by the number where the answer has one, else "contains".
    """
    if check == "number" or (check == "data" and has_number(answer)):
        return last_number(text) == last_number(answer)
    if check == "exact":
        return text.strip().casefold() == answer.strip().casefold()
    return _contains_words(text, answer.strip())


def _contains_words(text: str, answer: str) -> bool:
    """Whether an answer's words stand in a text: not inside others, as “no” does in “know”.

    Words are told apart where letters and digits of an alphabet meet; Chinese has none between them. A single
    capital is the name of a choice and not the article.
    """
    starts = rf"(?<!{LETTER})" if re.match(LETTER, answer) else ""
    ends = rf"(?!{LETTER})" if re.match(LETTER, answer[-1:]) else ""
    is_choice = len(answer) == 1 and answer.isupper()
    pattern = re.compile(starts + re.escape(answer) + ends, 0 if is_choice else re.IGNORECASE)
    return pattern.search(text) is not None


def has_number(text: str) -> bool:
    """Whether there is a number in a text."""
    return NUMBER_PATTERN.search(text) is not None


def last_number(text: str) -> float:
    """The last number of a text; NaN, which equals nothing, where there is none or it cannot be read."""
    numbers = NUMBER_PATTERN.findall(text)
    return _parse_number(numbers[-1]) if numbers else math.nan


def _parse_number(text: str) -> float:
    """A number with marks between its thousands and before its decimals, as in English or as in German.

    1,234 are thousands, 3,5 and 3.5 decimals, as is 1.234.
    """
    digits = text.replace("\N{MINUS SIGN}", "-")
    if THOUSANDS_WITH_COMMAS.fullmatch(digits):
        digits = digits.replace(",", "")
    elif THOUSANDS_WITH_POINTS.fullmatch(digits):
        digits = digits.replace(".", "")
    digits = digits.replace(",", ".")
    return float(digits) if digits.count(".") < 2 else math.nan
