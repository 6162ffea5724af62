"""Bytes become text: UTF-8 and UTF-16 by their own signs, others by what makes the most plausible text."""

import codecs
import io
import re
import unicodedata
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

from charset_normalizer import from_bytes

from studio.data.readers.rows import EXPORT_AS_CSV
from studio.errors import BadData
from studio.i18n import Message

BINARY_DATA = Message("“{name}” is not text: it holds binary data, whatever its name says.")
UNKNOWN_ENCODING = Message("“{name}” is not text in an encoding the studio knows.")
ENCODING_GUESSED = Message(
    "The encoding of this file is a guess ({encoding}). Look at its accents and letters; if they are wrong,"
    " save it as UTF-8."
)
SAMPLE_BYTES = 100_000
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
MAX_CONTROL_SHARE, MAX_CONTROLS = 0.05, 3  # a file with more control bytes than either is binary
# Control bytes of which one may divide the fields of a table, and so be frequent in it.
DELIMITER_BYTES = (b"\x01", b"\x02", b"\x1c", b"\x1d", b"\x1e", b"\x1f")
# So many intact characters for each damaged one make a text damaged UTF-8: by chance, hardly any character
# of another encoding is valid UTF-8.
MIN_INTACT_PER_DAMAGED = 3
# Zero bytes of UTF-16 are at odd positions only, or at even ones. There is a minimal share of them, and a
# higher one where the file is also valid UTF-8: fewer are zeros strewn over a text.
MAX_STRAY_ZERO_SHARE, MIN_ZERO_SHARE, MIN_ZERO_SHARE_IN_UTF8 = 0.05, 0.01, 0.2
MIN_PRINTABLE_SHARE = 0.98
# Single-byte encodings, the likeliest first; charset_normalizer's choice goes before all but the first.
SINGLE_BYTE_ENCODINGS = (
    "cp1252",
    "cp1250",
    "cp1254",
    "cp1251",
    "cp1253",
    "koi8_r",
    "mac_roman",
    "cp1255",
    "cp1256",
    "cp1257",
    "cp874",
)
# Of these one is chosen among several that make plausible texts.
ALIKE_ENCODINGS = frozenset(SINGLE_BYTE_ENCODINGS) - {"cp1252", "cp874"}
# What no word has: a sign or a capital within it, letters of two alphabets, four accents in a row, a letter
# that only Icelandic uses.
# Marks of Thai, Hebrew, Arabic and of letters with separate accents are part of words, though no letters.
COMBINING_MARKS = "\u0300-\u036f\u05b0-\u05c7\u064b-\u0652\u0e31\u0e34-\u0e3a\u0e47-\u0e4e"
IMPLAUSIBLE_TEXT = re.compile(
    rf"(?<=[^\W\d_])[^\w\s{COMBINING_MARKS}\x21-\x7e’´·‘“”„«»‹›~^…–—°®™ªº©€£-]+(?=[^\W\d_])"
    r"|(?<=[a-zà-ÿ])[À-ÖØ-ÞŠŽŒŸ]|(?<=[а-яё])[А-ЯЁ]|(?<=[α-ωά-ώ])[Α-Ω]|[þðÞÐýÝ]|[À-ÿĀ-ſ]{4,}"
    r"|[A-Za-z][\u0370-\u0e7f]|[\u0370-\u0e7f][A-Za-z]|[\x80-\x9f\ufffd¤¦¬¯¸¨]|[¹²³¼½¾](?=[a-z])"
)
# Thai: its marks follow a consonant or another mark, its leading vowels stand before a consonant. Text in
# another encoding read as Thai has breaks of these rules all over.
THAI_LETTER, THAI_MARK = re.compile(r"[\u0e01-\u0e4e]"), re.compile(r"[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]")
THAI_BREAK = re.compile(
    r"(?<![\u0e01-\u0e2e\u0e31\u0e34-\u0e3a\u0e47-\u0e4e])[\u0e31\u0e34-\u0e3a\u0e47-\u0e4e]"
    r"|[\u0e40-\u0e44](?![\u0e01-\u0e2e])"
)
MIN_THAI_LETTERS = 30  # fewer may obey the rules by chance
MIN_THAI_SHARE, MIN_MARK_SHARE, MAX_BREAK_SHARE = 0.98, 0.05, 0.01
MAX_IMPLAUSIBLE_SHARE = 0.3  # of the bytes beyond ASCII, where these are MIN_HIGH_SHARE of the text
MIN_HIGH_SHARE = 0.1
# Vietnamese: its tones are letters of their own in its encoding; by chance few of them follow a vowel.
VIETNAMESE, TONE = "cp1258", r"[\u0300\u0301\u0303\u0309\u0323]"
TONE_ON_VOWEL = re.compile(f"[aăâeêioôơuưy]{TONE}", re.IGNORECASE)
MIN_TONES, MIN_TONES_ON_VOWELS = 10, 0.95
# East Asian encodings: the share of the characters beyond ASCII that are common, from which on one is chosen.
MIN_COMMON_SHARE = 0.8
MIN_HIGH_TRAIL_SHARE = 0.1  # of the byte pairs, whose second byte is beyond ASCII, too
MIN_KANA_SHARE = 0.2
MIN_KOREAN_SHARE, MIN_KOREAN_PAIRS = 0.98, 12
GB18030_BONUS = 0.05  # so much less common may a text be as GB18030 than as Big5 or Shift JIS


class Decoded(NamedTuple):
    """A text, and the encoding that was guessed for it; "" where the bytes themselves say it."""

    text: str
    guessed_encoding: str = ""


def decode(raw: bytes, name: str) -> Decoded:
    """Decode the bytes of a file, without NUL characters.

    Args:
        raw: The bytes, in any encoding.
        name: What error messages call the file.

    Raises:
        BadData: They are binary data, or text in an unknown encoding.
    """
    decoded = _decode(raw, name)
    return decoded._replace(text=decoded.text.replace("\0", "")) if "\0" in decoded.text else decoded


def _decode(raw: bytes, name: str) -> Decoded:
    for mark, encoding in BYTE_ORDER_MARKS:
        if raw.startswith(mark):
            return Decoded(raw.decode(encoding, errors="replace"))
    sample = raw[:SAMPLE_BYTES]
    utf16 = _detect_utf16(raw) if b"\0" in sample else ""
    if utf16:
        return Decoded(raw.decode(utf16, errors="replace"))
    if _is_binary(sample):
        raise BadData(
            BINARY_DATA,
            EXPORT_AS_CSV,
            name=name,
        )
    try:
        return Decoded(raw.decode("utf-8"))
    except UnicodeDecodeError:
        text = raw.decode("utf-8", errors="replace")
    damaged_count = text.count("\ufffd")
    ascii_count = len(text.encode("ascii", errors="ignore"))
    intact_count = len(text) - ascii_count - damaged_count
    if damaged_count * MIN_INTACT_PER_DAMAGED <= intact_count:
        return Decoded(text)
    encoding = _guess_encoding(_non_ascii_lines(raw), name)
    text = raw.decode(encoding, errors="replace")
    if encoding == VIETNAMESE:
        return Decoded(unicodedata.normalize("NFC", text))
    return Decoded(text, encoding if encoding in ALIKE_ENCODINGS else "")


def _is_binary(sample: bytes) -> bool:
    """Whether bytes hold more control bytes than a text does, apart from one that may be a delimiter."""
    controls = Counter(CONTROL_BYTES.findall(sample))
    delimiter_count = max(controls[delimiter] for delimiter in DELIMITER_BYTES)
    other_count = controls.total() - delimiter_count
    return other_count > max(MAX_CONTROLS, MAX_CONTROL_SHARE * len(sample))


def _detect_utf16(raw: bytes) -> str:
    """UTF-16 without a mark, by where the zero bytes of its ASCII characters are; "" for other text."""
    sample = raw[: SAMPLE_BYTES // 2 * 2]
    even_zeros = sample[::2].count(0)
    odd_zeros = sample[1::2].count(0)
    zero_share = (even_zeros + odd_zeros) / len(sample)
    has_stray_zeros = min(even_zeros, odd_zeros) > MAX_STRAY_ZERO_SHARE * max(even_zeros, odd_zeros)
    if has_stray_zeros or zero_share < MIN_ZERO_SHARE:
        return ""
    # The sample may end within a character.
    is_utf8 = "\ufffd" not in sample[:-3].decode("utf-8", errors="replace")
    if zero_share < MIN_ZERO_SHARE_IN_UTF8 and is_utf8:
        return ""
    encoding = "utf-16-le" if odd_zeros > even_zeros else "utf-16-be"
    text = sample.decode(encoding, errors="replace")
    printable_count = sum(char.isprintable() or char in "\t\r\n" for char in text)
    return encoding if printable_count > MIN_PRINTABLE_SHARE * len(text) else ""


def _non_ascii_lines(raw: bytes) -> bytes:
    """The first lines with anything beyond ASCII, about SAMPLE_BYTES of them."""
    lines: list[bytes] = []
    size_bytes = 0
    for line in io.BytesIO(raw):
        if line.isascii():
            continue
        lines.append(line[:SAMPLE_BYTES])
        size_bytes += len(line)
        if size_bytes > SAMPLE_BYTES:
            break
    return b"".join(lines)


def _guess_encoding(raw: bytes, name: str) -> str:
    """The encoding in which the bytes make the most plausible text.

    That is an East Asian one where pairs of bytes are common characters, else a single-byte one.
    """
    if _is_thai(raw):
        return "cp874"
    if _is_vietnamese(raw):
        return VIETNAMESE
    east_asian = _detect_east_asian(raw)
    if east_asian:
        return east_asian
    if not IMPLAUSIBLE_TEXT.search(raw.decode("cp1252", errors="replace")):
        return "cp1252"
    guess = from_bytes(raw, cp_isolation=list(SINGLE_BYTE_ENCODINGS)).best()
    candidates = [guess.encoding] if guess else []
    candidates += SINGLE_BYTE_ENCODINGS
    implausible_counts = {
        encoding: len(IMPLAUSIBLE_TEXT.findall(raw.decode(encoding, errors="replace")))
        for encoding in candidates
    }
    best = min(implausible_counts, key=lambda encoding: implausible_counts[encoding])
    high_byte_count = len(re.findall(rb"[\x80-\xff]", raw))
    is_implausible = implausible_counts[best] > MAX_IMPLAUSIBLE_SHARE * high_byte_count
    if is_implausible and high_byte_count > MIN_HIGH_SHARE * len(raw):
        raise BadData(UNKNOWN_ENCODING, EXPORT_AS_CSV, name=name)
    return best


def _is_thai(raw: bytes) -> bool:
    """Whether the bytes make words by the rules of Thai."""
    text = raw.decode("cp874", errors="replace")
    n_beyond_ascii = sum(char > "\x7f" for char in text)
    n_letters = len(THAI_LETTER.findall(text))
    if n_letters < MIN_THAI_LETTERS or n_letters < MIN_THAI_SHARE * n_beyond_ascii:
        return False
    n_marks = len(THAI_MARK.findall(text))
    n_breaks = len(THAI_BREAK.findall(text))
    return n_marks >= MIN_MARK_SHARE * n_letters and n_breaks <= MAX_BREAK_SHARE * n_letters


def _is_vietnamese(raw: bytes) -> bool:
    """Whether the bytes make words by the rules of Vietnamese: its tones follow a vowel."""
    text = raw.decode(VIETNAMESE, errors="replace")
    n_tones = len(re.findall(TONE, text))
    n_on_vowels = len(TONE_ON_VOWEL.findall(text))
    has_own_letters = any(letter in text.lower() for letter in "đơư")
    if not has_own_letters or n_tones < MIN_TONES or IMPLAUSIBLE_TEXT.search(text):
        return False
    return n_on_vowels >= MIN_TONES_ON_VOWELS * n_tones


def _detect_east_asian(raw: bytes) -> str:
    """The East Asian encoding of the bytes; "" where they are not pairs that make common characters."""
    byte_pairs = re.findall(rb"[\x81-\xfe][\x40-\xfe]", raw)
    high_trail_count = sum(byte_pair[1] >= 0x80 for byte_pair in byte_pairs)
    if high_trail_count < MIN_HIGH_TRAIL_SHARE * max(len(byte_pairs), 1):
        return ""
    shares = {
        encoding: _common_share(raw, encoding, is_common)
        for encoding, is_common in EAST_ASIAN_ENCODINGS.items()
    }
    kana_count = len(re.findall(r"[\u3041-\u30fe]", raw.decode("euc_jp", errors="replace")))
    if shares["euc_jp"] >= MIN_COMMON_SHARE and kana_count > MIN_KANA_SHARE * len(byte_pairs):
        return "euc_jp"
    # Korean syllables fill a part of the Chinese table: enough text that stays within that part is Korean.
    if shares["cp949"] >= MIN_KOREAN_SHARE and len(byte_pairs) >= MIN_KOREAN_PAIRS:
        return "cp949"
    best = max(("gb18030", "big5", "cp932"), key=lambda encoding: shares[encoding])
    if shares["gb18030"] >= shares[best] - GB18030_BONUS:
        best = "gb18030"
    return best if shares[best] >= MIN_COMMON_SHARE else ""


def _common_share(raw: bytes, encoding: str, is_common: Callable[[str], bool]) -> float:
    """The share of common characters among all beyond ASCII, where the bytes are read in an encoding."""
    chars = [char for char in raw.decode(encoding, errors="replace") if char > "\x7f"]
    return sum(map(is_common, chars)) / len(chars) if chars else 0.0


def _common_char_test(encoding: str, first_lead: int, last_lead: int) -> Callable[[str], bool]:
    """A test whether a character is punctuation or common in an encoding.

    East Asian tables are sorted by how common characters are, so that the first byte of two tells.

    Args:
        encoding: The table.
        first_lead: The first byte with which common characters begin.
        last_lead: The last one.
    """

    def is_common(char: str) -> bool:
        encoded = char.encode(encoding, errors="replace")
        if len(encoded) != 2:
            return False
        is_punctuation = 0xA1 <= encoded[0] <= 0xA3
        return is_punctuation or first_lead <= encoded[0] <= last_lead

    return is_common


IS_COMMON_GB2312 = _common_char_test("gb2312", 0xB0, 0xD7)
IS_COMMON_BIG5 = _common_char_test("big5", 0xA4, 0xC6)
IS_COMMON_JIS = _common_char_test("euc_jp", 0xB0, 0xCF)


def _is_common_chinese(char: str) -> bool:
    """Whether a character is common in China, or in Taiwan and Hong Kong, or is an emoji."""
    return IS_COMMON_GB2312(char) or IS_COMMON_BIG5(char) or "\U0001f300" <= char <= "\U0001faff"


def _is_common_japanese(char: str) -> bool:
    """Whether a character is Japanese punctuation, kana, of full width, or a common kanji."""
    return "\u3001" <= char <= "\u30fe" or "\uff01" <= char <= "\uff60" or IS_COMMON_JIS(char)


EAST_ASIAN_ENCODINGS: dict[str, Callable[[str], bool]] = {
    "gb18030": _is_common_chinese,
    "big5": IS_COMMON_BIG5,
    "cp949": _common_char_test("euc_kr", 0xB0, 0xC8),
    "euc_jp": _is_common_japanese,
    "cp932": _is_common_japanese,
}
