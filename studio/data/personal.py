"""Personal data in a text, such as an e-mail address or a card number, found by its form and its check digits, and masked.

Names are left out: told by form alone every product and town is one, and the models that tell them apart weigh hundreds of
megabytes and still miss. IPv4 addresses too: they carry no check digit, and a version such as 10.0.19.1 looks the same.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import phonenumbers
from stdnum import iban, luhn
from stdnum.cn import ric
from stdnum.us import ssn

from studio.words import Words, label

KINDS: dict[str, Words] = {
    "email": label("e-mail addresses", "邮箱地址"),
    "iban": label("bank accounts (IBAN)", "银行账号（IBAN）"),
    "id": label("Chinese ID numbers", "身份证号"),
    "card": label("card numbers", "银行卡号"),
    "ssn": label("US social security numbers", "美国社会安全号码（SSN）"),
    "phone": label("phone numbers", "电话号码"),
}
# Letters and digits of other scripts may touch a number ("电话13800138000"), ASCII ones may not.
_BEFORE, _AFTER = r"(?<![A-Za-z0-9_])", r"(?![A-Za-z0-9_])"
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9._%+-])[A-Za-z0-9][A-Za-z0-9._%+-]{0,63}@(?:[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?\.){1,8}[A-Za-z]{2,24}"
    + _AFTER
)
_IBAN = re.compile(_BEFORE + r"[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?" + _AFTER)
_ID = re.compile(_BEFORE + r"[1-9][0-9]{16}[0-9Xx]" + _AFTER)
_CARD = re.compile(r"(?<![A-Za-z0-9_.-])[2-6][0-9]{3}(?:[ -]?[0-9]){10,15}(?![A-Za-z0-9_-])")
_SSN = re.compile(r"(?<![A-Za-z0-9_-])[0-9]{3}-[0-9]{2}-[0-9]{4}(?![A-Za-z0-9_-])")
# Issuers' first digits and lengths: Visa, Mastercard, American Express, Discover, Diners, JCB, UnionPay.
_ISSUED = re.compile(
    r"4\d{15}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|6(?:011|4[4-9]\d|5\d\d)\d{12}|3(?:0[0-5]|[68]\d)\d{11}"
    r"|35(?:2[89]|[3-8]\d)\d{12}|62\d{14,17}"
)
# A number without a country's code needs its country's way of writing; ten digits in a row are as likely an order number.
_PHONE = re.compile(r"(?<![A-Za-z0-9_+@#/.-])(?:\+|00)?[(（]?[0-9](?:[ ().（）-]{0,2}[0-9]){6,14}(?![A-Za-z0-9_@/]|[.-][0-9])")
_WRITTEN: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = (
    (re.compile(r"1[3-9][0-9](?:[ -]?[0-9]{4}){2}"), ("CN",)),
    (re.compile(r"(?:1[ -.])?(?:\([2-9][0-9]{2}\) ?|[2-9][0-9]{2}[ .-])[0-9]{3}[ .-][0-9]{4}"), ("US",)),
    (re.compile(r"\(?0[0-9]{1,5}\)?(?:[ -]{1,2}[0-9]{2,8}){1,4}"), ("CN", "GB", "FR", "DE")),
    (re.compile(r"[(（]0[0-9]{2,3}[)）][ -]?[0-9]{3,4}[ -]?[0-9]{4}"), ("CN",)),
    (re.compile(r"0[1-9](?:[ .-][0-9]{2}){4}"), ("FR",)),
)
# Numbers that are free to call, or cost the same from everywhere, are a company's.
_SERVICE = re.compile(r"[48]00[ -]?[0-9]{3}[ -]?[0-9]{4}")
_DATE = re.compile(r"[0-9]{1,2}([ .-])[0-9]{1,2}\1(?:19|20)[0-9]{2}(?![0-9])")
# What has neither an @ nor seven digits near each other holds nothing of this; the IBAN's own digits are as near.
_PERHAPS = re.compile(r"@|[0-9](?:[ ().（）-]{0,2}[0-9]){6}|[A-Z]{2}[0-9]{2} ?[A-Z0-9]{4}")


@dataclass(frozen=True)
class Found:
    """One piece of personal data: its kind, and where in the text it begins and ends (characters)."""

    kind: str
    start: int
    end: int


def find(text: str) -> tuple[Found, ...]:
    """All personal data of the KINDS in a text, in order; no two overlap."""
    if not _PERHAPS.search(text):
        return ()
    taken: list[Found] = []
    for kind, look in _LOOKS.items():
        for start, end in look(text):
            if all(end <= other.start or start >= other.end for other in taken):
                taken.append(Found(kind, start, end))
    return tuple(sorted(taken, key=lambda found: found.start))


def mask(text: str) -> str:
    """The text with each piece of personal data replaced by its kind in brackets, such as [email]."""
    for found in reversed(find(text)):
        text = f"{text[: found.start]}[{found.kind}]{text[found.end :]}"
    return text


def _emails(text: str) -> Iterator[tuple[int, int]]:
    yield from (match.span() for match in _EMAIL.finditer(text)) if "@" in text else ()


def _ibans(text: str) -> Iterator[tuple[int, int]]:
    for match in _IBAN.finditer(text):
        said = match[0]
        ends = [len(said), *(place for place in range(len(said) - 1, 14, -1) if said[place] == " ")]  # capitals may follow: DE89 … AND
        end = next((end for end in ends if iban.is_valid(said[:end])), 0)
        if end:
            yield match.start(), match.start() + end


def _ids(text: str) -> Iterator[tuple[int, int]]:
    yield from (match.span() for match in _ID.finditer(text) if ric.is_valid(match[0]))


def _cards(text: str) -> Iterator[tuple[int, int]]:
    for match in _CARD.finditer(text):
        digits = re.sub(r"[ -]", "", match[0])
        if _ISSUED.fullmatch(digits) and luhn.is_valid(digits):
            yield match.span()


def _ssns(text: str) -> Iterator[tuple[int, int]]:
    yield from (match.span() for match in _SSN.finditer(text) if ssn.is_valid(match[0]))


def _phones(text: str) -> Iterator[tuple[int, int]]:
    yield from (match.span() for match in _PHONE.finditer(text) if _is_phone(match[0]))


def _is_phone(said: str) -> bool:
    """Whether a national numbering plan knows a number written like this."""
    if said.startswith(("+", "00")):
        return _known("+" + said.lstrip("+0"), None)
    if _DATE.match(said) or _SERVICE.fullmatch(said):
        return False
    return any(_known(said, region) for form, regions in _WRITTEN if form.fullmatch(said) for region in regions)


def _known(said: str, region: str | None) -> bool:
    try:
        return phonenumbers.is_valid_number(phonenumbers.parse(said, region))
    except phonenumbers.NumberParseException:
        return False


# The surest first: what one has claimed, the next leaves alone.
_LOOKS: dict[str, Callable[[str], Iterator[tuple[int, int]]]] = {
    "email": _emails,
    "iban": _ibans,
    "id": _ids,
    "card": _cards,
    "ssn": _ssns,
    "phone": _phones,
}
