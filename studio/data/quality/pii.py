"""Find personal data such as e-mail addresses and card numbers by their form and check digits, and mask it.

Names are not looked for: by form alone every product and town is one, and the models that can tell them apart
weigh hundreds of megabytes and still miss some. Nor are IPv4 addresses: they have no check digit, and a
version such as 10.0.19.1 looks the same.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import phonenumbers
from stdnum import iban, luhn
from stdnum.cn import ric
from stdnum.us import ssn

from studio.i18n import Message, label

PII_KINDS: dict[str, Message] = {
    "email": label("e-mail addresses"),
    "iban": label("bank accounts (IBAN)"),
    "id": label("Chinese ID numbers"),
    "card": label("card numbers"),
    "ssn": label("US social security numbers"),
    "phone": label("phone numbers"),
}
# Letters and digits of other scripts may touch a number ("电话13800138000"), ASCII ones may not.
_WORD_START, _WORD_END = r"(?<![A-Za-z0-9_])", r"(?![A-Za-z0-9_])"
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}"
    r"@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}" + _WORD_END
)
_IBAN = re.compile(_WORD_START + r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?" + _WORD_END)
MIN_IBAN_LENGTH = 15  # characters
_ID = re.compile(_WORD_START + r"[1-9][0-9]{16}[0-9Xx]" + _WORD_END)
_CARD = re.compile(r"(?<![A-Za-z0-9_.-])[2-6][0-9]{3}(?:[ -]?[0-9]){10,15}(?![A-Za-z0-9_-])")
_SSN = re.compile(r"(?<![A-Za-z0-9_-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![A-Za-z0-9_-])")
# Issuers' first digits and lengths: Visa, Mastercard, American Express, Discover, Diners, JCB, UnionPay.
_CARD_ISSUERS = re.compile(
    r"4\d{15}"
    r"|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}"
    r"|3[47]\d{13}"
    r"|6(?:011|4[4-9]\d|5\d\d)\d{12}"
    r"|3(?:0[0-5]|[68]\d)\d{11}"
    r"|35(?:2[89]|[3-8]\d)\d{12}"
    r"|62\d{14,17}"
)
# A number without a country code must be written as its country does; ten digits in a row are as likely an
# order number.
_PHONE = re.compile(
    r"(?<![A-Za-z0-9_+@#/.-])(?:\+|00)?[(（]?[0-9](?:[ ().（）-]{0,2}[0-9]){6,14}(?![A-Za-z0-9_@/]|[.-][0-9])"
)
_PHONE_FORMATS: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"1[3-9][0-9](?:[ -]?[0-9]{4}){2}"), ("CN",)),
    (re.compile(r"(?:1[ -.])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[0-9]{3}[ .-][0-9]{4}"), ("US",)),
    (re.compile(r"\(?0[0-9]{1,5}\)?(?:[ -]{1,2}[0-9]{2,8}){1,4}"), ("CN", "GB", "FR", "DE")),
    (re.compile(r"[(（]0[0-9]{2,3}[)）][ -]?[0-9]{3,4}[ -]?[0-9]{4}"), ("CN",)),
    (re.compile(r"0[1-9](?:[ .-][0-9]{2}){4}"), ("FR",)),
)
# Toll-free numbers, and those that cost the same from everywhere, belong to companies.
_SERVICE_NUMBER = re.compile(r"[48]00[ -]?[0-9]{3}[ -]?[0-9]{4}")
_DATE = re.compile(r"[0-9]{1,2}([ .-])[0-9]{1,2}\1(?:19|20)[0-9]{2}(?![0-9])")
# A text without an @, without seven digits close together and without the beginning of an IBAN holds none of
# these.
_POSSIBLE_PII = re.compile(r"@|[0-9](?:[ ().（）-]{0,2}[0-9]){6}|[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4}")


@dataclass(frozen=True)
class PiiSpan:
    """One piece of personal data: its kind (a key of PII_KINDS), its start and its end (characters)."""

    kind: str
    start: int
    end: int


def find_pii(text: str) -> tuple[PiiSpan, ...]:
    """All personal data of the PII_KINDS in a text, in order of position; no two spans overlap."""
    if not _POSSIBLE_PII.search(text):
        return ()
    spans: list[PiiSpan] = []
    for kind, find_spans in _FINDERS.items():
        for start, end in find_spans(text):
            is_free = all(end <= other.start or start >= other.end for other in spans)
            if is_free:
                spans.append(PiiSpan(kind, start, end))
    return tuple(sorted(spans, key=lambda span: span.start))


def mask_pii(text: str) -> str:
    """The text with each piece of personal data replaced by its kind in brackets, such as [email]."""
    for span in reversed(find_pii(text)):
        text = f"{text[: span.start]}[{span.kind}]{text[span.end :]}"
    return text


def _find_emails(text: str) -> Iterator[tuple[int, int]]:
    if "@" not in text:
        return
    for match in _EMAIL.finditer(text):
        yield match.span()


def _find_ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in _IBAN.finditer(text):
        length = _iban_length(match[0])
        if length:
            yield match.start(), match.start() + length


def _iban_length(candidate: str) -> int:
    """The length of the IBAN at the start of a candidate, 0 for none; capitals may follow: "DE89 … AND"."""
    spaces = [index for index, char in enumerate(candidate) if char == " " and index >= MIN_IBAN_LENGTH]
    for end in (len(candidate), *reversed(spaces)):
        if iban.is_valid(candidate[:end]):
            return end
    return 0


def _find_ids(text: str) -> Iterator[tuple[int, int]]:
    for match in _ID.finditer(text):
        if ric.is_valid(match[0]):
            yield match.span()


def _find_cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"[ -]", "", match[0])
        if _CARD_ISSUERS.fullmatch(digits) and luhn.is_valid(digits):
            yield match.span()


def _find_ssns(text: str) -> Iterator[tuple[int, int]]:
    for match in _SSN.finditer(text):
        if ssn.is_valid(match[0]):
            yield match.span()


def _find_phones(text: str) -> Iterator[tuple[int, int]]:
    for match in _PHONE.finditer(text):
        if _is_phone(match[0]):
            yield match.span()


def _is_phone(number: str) -> bool:
    """Whether a number written like this is valid in a national numbering plan."""
    if number.startswith(("+", "00")):
        return _is_valid_number("+" + number.lstrip("+0"), None)
    if _DATE.match(number) or _SERVICE_NUMBER.fullmatch(number):
        return False
    for pattern, regions in _PHONE_FORMATS:
        if pattern.fullmatch(number) and any(_is_valid_number(number, region) for region in regions):
            return True
    return False


def _is_valid_number(number: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(number, region))
    except phonenumbers.NumberParseException:
        return False


# The most certain first: a span that one of them yields is not given to the next.
_FINDERS: dict[str, Callable[[str], Iterator[tuple[int, int]]]] = {
    "email": _find_emails,
    "iban": _find_ibans,
    "id": _find_ids,
    "card": _find_cards,
    "ssn": _find_ssns,
    "phone": _find_phones,
}
