"""Bytes become text: UTF-8 and UTF-16 by their own signs, everything else by what makes the most plausible text."""

import codecs
import io
import re
from collections import Counter
from collections.abc import Callable

from charset_normalizer import from_bytes

from studio.data.readers.rows import EXPORT_AS_CSV
from studio.errors import BadData
from studio.i18n import Message

SAMPLE_BYTES = 100_000
BYTE_ORDER_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
CONTROL_BYTES = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
# Signs of which one may divide the fields of a table, and so stand in it often.
DELIMITER_BYTES = (b"\x01", b"\x02", b"\x1c", b"\x1d", b"\x1e", b"\x1f")
# Single-byte encodings, the likeliest first; the library's choice among them goes before all but the first.
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
# What no word has: a sign or a capital within it, letters of two alphabets, four accents in a row, a letter that only Iceland uses.
IMPLAUSIBLE_TEXT = re.compile(
    r"(?<=[^\W\d_])[^\w\s\x21-\x7e’´·‘“”„«»‹›~^…–—°®™ªº©€£-]+(?=[^\W\d_])|(?<=[a-zà-ÿ])[À-ÖØ-ÞŠŽŒŸ]|[þðÞÐýÝ]|[À-ÿ]{4,}"
    r"|[A-Za-z][\u0370-\u0e7f]|[\u0370-\u0e7f][A-Za-z]|[\x80-\x9f\ufffd¤¦¬¯¸¨]|[¹²³¼½¾](?=[a-z])"
)


def decode(raw: bytes, name: str) -> str:
    """A file's bytes as text, without NUL. Raises BadData where they are no text."""
    text = _decode(raw, name)
    return text.replace("\0", "") if "\0" in text else text


def _decode(raw: bytes, name: str) -> str:
    bom_encoding = next((encoding for bom, encoding in BYTE_ORDER_MARKS if raw.startswith(bom)), "")
    if bom_encoding:
        return raw.decode(bom_encoding, errors="replace")
    sample = raw[:SAMPLE_BYTES]
    utf16 = _detect_utf16(raw) if b"\0" in sample else ""
    if utf16:
        return raw.decode(utf16, errors="replace")
    controls = Counter(CONTROL_BYTES.findall(sample))
    delimiter_count = max(controls[delimiter] for delimiter in DELIMITER_BYTES)
    if controls.total() - delimiter_count > max(3, 0.05 * len(sample)):
        raise BadData(
            Message("“{name}” is not text: it holds binary data, whatever its name says."),
            EXPORT_AS_CSV,
            name=name,
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("utf-8", errors="replace")
    # Three signs right for one damaged: UTF-8 with damage, since by chance hardly any sign of another encoding is right.
    damaged_count = text.count("\ufffd")
    intact_count = len(text) - len(text.encode("ascii", errors="ignore")) - damaged_count
    return (
        text
        if damaged_count * 3 <= intact_count
        else raw.decode(_guess_encoding(_non_ascii_lines(raw), name), errors="replace")
    )


def _detect_utf16(raw: bytes) -> str:
    """UTF-16 without its mark, where the zero bytes of its ASCII signs stand at odd places only, or at even ones."""
    sample = raw[: SAMPLE_BYTES // 2 * 2]
    even_zeros, odd_zeros = sample[::2].count(0), sample[1::2].count(0)
    zero_share = (even_zeros + odd_zeros) / len(sample)
    if min(even_zeros, odd_zeros) > 0.05 * max(even_zeros, odd_zeros) or zero_share < 0.01:
        return ""
    if zero_share < 0.2 and "\ufffd" not in sample[:-3].decode("utf-8", errors="replace"):
        return ""  # zeros strewn over a text
    encoding = "utf-16-le" if odd_zeros > even_zeros else "utf-16-be"
    text = sample.decode(encoding, errors="replace")
    return encoding if sum(char.isprintable() or char in "\t\r\n" for char in text) > 0.98 * len(text) else ""


def _non_ascii_lines(raw: bytes) -> bytes:
    """The lines with anything beyond ASCII, as many as are looked at."""
    lines: list[bytes] = []
    size_bytes = 0
    for line in io.BytesIO(raw):
        if not line.isascii():
            lines.append(line[:SAMPLE_BYTES])
            size_bytes += len(line)
            if size_bytes > SAMPLE_BYTES:
                break
    return b"".join(lines)


def _guess_encoding(raw: bytes, name: str) -> str:
    """The encoding that makes the most everyday signs of the bytes: East Asian ones in pairs, else single accents or other alphabets."""
    east_asian = _detect_east_asian(raw)
    if east_asian:
        return east_asian
    if not IMPLAUSIBLE_TEXT.search(raw.decode("cp1252", errors="replace")):
        return "cp1252"
    guessed = from_bytes(raw, cp_isolation=list(SINGLE_BYTE_ENCODINGS)).best()
    odd_counts = {
        encoding: len(IMPLAUSIBLE_TEXT.findall(raw.decode(encoding, errors="replace")))
        for encoding in ([guessed.encoding] if guessed else []) + list(SINGLE_BYTE_ENCODINGS)
    }
    best = min(odd_counts, key=lambda encoding: odd_counts[encoding])
    high_byte_count = len(re.findall(rb"[\x80-\xff]", raw))
    if odd_counts[best] > 0.3 * high_byte_count and high_byte_count > 0.1 * len(raw):
        raise BadData(
            Message("“{name}” is not text in an encoding the studio knows."), EXPORT_AS_CSV, name=name
        )
    return best


def _detect_east_asian(raw: bytes) -> str:
    """The East Asian encoding the bytes are in; empty where the bytes beyond ASCII do not stand in pairs that make everyday characters."""
    byte_pairs = re.findall(rb"[\x81-\xfe][\x40-\xfe]", raw)
    if sum(byte_pair[1] >= 0x80 for byte_pair in byte_pairs) < 0.1 * max(len(byte_pairs), 1):
        return ""
    shares = {
        encoding: _common_share(raw, encoding, is_common)
        for encoding, is_common in EAST_ASIAN_ENCODINGS.items()
    }
    kana_count = len(re.findall(r"[\u3041-\u30fe]", raw.decode("euc_jp", errors="replace")))
    if shares["euc_jp"] >= 0.8 and kana_count > 0.2 * len(byte_pairs):
        return "euc_jp"
    # Korean syllables fill a part of the Chinese table: enough text that stays within that part is Korean.
    if shares["cp949"] >= 0.98 and len(byte_pairs) >= 12:
        return "cp949"
    best = max(("gb18030", "big5", "cp932"), key=lambda encoding: shares[encoding])
    best = "gb18030" if shares["gb18030"] >= shares[best] - 0.05 else best
    return best if shares[best] >= 0.8 else ""


def _common_share(raw: bytes, encoding: str, is_common: Callable[[str], bool]) -> float:
    """The share of everyday signs among all beyond ASCII when the bytes are read as `kind`."""
    chars = [char for char in raw.decode(encoding, errors="replace") if char > "\x7f"]
    return sum(map(is_common, chars)) / len(chars) if chars else 0.0


def _common_char_test(encoding: str, first_lead: int, last_lead: int) -> Callable[[str], bool]:
    """Whether a sign lies among the punctuation or the everyday characters of a table, told by its leading byte."""

    def is_common(char: str) -> bool:
        encoded = char.encode(encoding, errors="replace")
        return len(encoded) == 2 and (first_lead <= encoded[0] <= last_lead or 0xA1 <= encoded[0] <= 0xA3)

    return is_common


def _is_common_chinese(char: str) -> bool:
    """Whether a character is everyday in China, or in Taiwan and Hong Kong, or an emoji."""
    return IS_COMMON_GB2312(char) or IS_COMMON_BIG5(char) or "\U0001f300" <= char <= "\U0001faff"


def _is_common_japanese(char: str) -> bool:
    return "\u3001" <= char <= "\u30fe" or "\uff01" <= char <= "\uff60" or IS_COMMON_JIS(char)


IS_COMMON_GB2312, IS_COMMON_BIG5, IS_COMMON_JIS = (
    _common_char_test("gb2312", 0xB0, 0xD7),
    _common_char_test("big5", 0xA4, 0xC6),
    _common_char_test("euc_jp", 0xB0, 0xCF),
)
EAST_ASIAN_ENCODINGS: dict[str, Callable[[str], bool]] = {
    "gb18030": _is_common_chinese,
    "big5": IS_COMMON_BIG5,
    "cp949": _common_char_test("euc_kr", 0xB0, 0xC8),
    "euc_jp": _is_common_japanese,
    "cp932": _is_common_japanese,
}
