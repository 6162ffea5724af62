"""Bytes become text: UTF-8 and UTF-16 by their own signs, everything else by what makes the most plausible text."""

import codecs
import io
import re
from collections import Counter
from collections.abc import Callable

from charset_normalizer import from_bytes

from studio.data.rows import EXPORT
from studio.errors import BadData
from studio.words import Words

LOOKED_AT = 100_000
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")
# Signs of which one may divide the fields of a table, and so stand in it often.
DIVIDERS = (b"\x01", b"\x02", b"\x1c", b"\x1d", b"\x1e", b"\x1f")
# Single-byte encodings, the likeliest first; the library's choice among them goes before all but the first.
WESTERN = ("cp1252", "cp1250", "cp1254", "cp1251", "cp1253", "koi8_r", "mac_roman", "cp1255", "cp1256", "cp1257", "cp874")
# What no word has: a sign or a capital within it, letters of two alphabets, four accents in a row, a letter that only Iceland uses.
ODD = re.compile(
    r"(?<=[^\W\d_])[^\w\s\x21-\x7e’´·‘“”„«»‹›~^…–—°®™ªº©€£-]+(?=[^\W\d_])|(?<=[a-zà-ÿ])[À-ÖØ-ÞŠŽŒŸ]|[þðÞÐýÝ]|[À-ÿ]{4,}"
    r"|[A-Za-z][\u0370-\u0e7f]|[\u0370-\u0e7f][A-Za-z]|[\x80-\x9f\ufffd¤¦¬¯¸¨]|[¹²³¼½¾](?=[a-z])"
)


def decode(raw: bytes, name: str) -> str:
    """A file's bytes as text, without NUL. Raises BadData where they are no text."""
    text = _decode(raw, name)
    return text.replace("\0", "") if "\0" in text else text


def _decode(raw: bytes, name: str) -> str:
    marked = next((kind for mark, kind in MARKS if raw.startswith(mark)), "")
    if marked:
        return raw.decode(marked, errors="replace")
    head = raw[:LOOKED_AT]
    wide = _wide(raw) if b"\0" in head else ""
    if wide:
        return raw.decode(wide, errors="replace")
    controls = Counter(CONTROLS.findall(head))
    divides = max(controls[sign] for sign in DIVIDERS)
    if controls.total() - divides > max(3, 0.05 * len(head)):
        raise BadData(
            Words(
                "“{name}” is not text: it holds binary data, whatever its name says.", "“{name}”不是文本：内容是二进制数据，与扩展名不符。"
            ),
            EXPORT,
            name=name,
        )
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("utf-8", errors="replace")
    # Three signs right for one damaged: UTF-8 with damage, since by chance hardly any sign of another encoding is right.
    broken = text.count("\ufffd")
    right = len(text) - len(text.encode("ascii", errors="ignore")) - broken
    return text if broken * 3 <= right else raw.decode(_likeliest(_telling(raw), name), errors="replace")


def _wide(raw: bytes) -> str:
    """UTF-16 without its mark, where the zero bytes of its ASCII signs stand at odd places only, or at even ones."""
    head = raw[: LOOKED_AT // 2 * 2]
    even, odd = head[::2].count(0), head[1::2].count(0)
    share = (even + odd) / len(head)
    if min(even, odd) > 0.05 * max(even, odd) or share < 0.01:
        return ""
    if share < 0.2 and "\ufffd" not in head[:-3].decode("utf-8", errors="replace"):
        return ""  # zeros strewn over a text
    kind = "utf-16-le" if odd > even else "utf-16-be"
    text = head.decode(kind, errors="replace")
    return kind if sum(sign.isprintable() or sign in "\t\r\n" for sign in text) > 0.98 * len(text) else ""


def _telling(raw: bytes) -> bytes:
    """The lines with anything beyond ASCII, as many as are looked at."""
    found: list[bytes] = []
    size = 0
    for line in io.BytesIO(raw):
        if not line.isascii():
            found.append(line[:LOOKED_AT])
            size += len(line)
            if size > LOOKED_AT:
                break
    return b"".join(found)


def _likeliest(raw: bytes, name: str) -> str:
    """The encoding that makes the most everyday signs of the bytes: East Asian ones in pairs, else single accents or other alphabets."""
    eastern = _eastern(raw)
    if eastern:
        return eastern
    if not ODD.search(raw.decode("cp1252", errors="replace")):
        return "cp1252"
    guessed = from_bytes(raw, cp_isolation=list(WESTERN)).best()
    odd = {kind: len(ODD.findall(raw.decode(kind, errors="replace"))) for kind in ([guessed.encoding] if guessed else []) + list(WESTERN)}
    best = min(odd, key=lambda kind: odd[kind])
    high = len(re.findall(rb"[\x80-\xff]", raw))
    if odd[best] > 0.3 * high and high > 0.1 * len(raw):
        raise BadData(Words("“{name}” is not text in an encoding the studio knows.", "“{name}”的编码无法识别。"), EXPORT, name=name)
    return best


def _eastern(raw: bytes) -> str:
    """The East Asian encoding the bytes are in; empty where the bytes beyond ASCII do not stand in pairs that make everyday characters."""
    pairs = re.findall(rb"[\x81-\xfe][\x40-\xfe]", raw)
    if sum(pair[1] >= 0x80 for pair in pairs) < 0.1 * max(len(pairs), 1):
        return ""
    share = {kind: _everyday(raw, kind, usual) for kind, usual in EASTERN.items()}
    kana = len(re.findall(r"[\u3041-\u30fe]", raw.decode("euc_jp", errors="replace")))
    if share["euc_jp"] >= 0.8 and kana > 0.2 * len(pairs):
        return "euc_jp"
    # Korean syllables fill a part of the Chinese table: enough text that stays within that part is Korean.
    if share["cp949"] >= 0.98 and len(pairs) >= 12:
        return "cp949"
    best = max(("gb18030", "big5", "cp932"), key=lambda kind: share[kind])
    best = "gb18030" if share["gb18030"] >= share[best] - 0.05 else best
    return best if share[best] >= 0.8 else ""


def _everyday(raw: bytes, kind: str, usual: Callable[[str], bool]) -> float:
    """The share of everyday signs among all beyond ASCII when the bytes are read as `kind`."""
    signs = [sign for sign in raw.decode(kind, errors="replace") if sign > "\x7f"]
    return sum(map(usual, signs)) / len(signs) if signs else 0.0


def _common(table: str, first: int, last: int) -> Callable[[str], bool]:
    """Whether a sign lies among the punctuation or the everyday characters of a table, told by its leading byte."""

    def usual(sign: str) -> bool:
        pair = sign.encode(table, errors="replace")
        return len(pair) == 2 and (first <= pair[0] <= last or 0xA1 <= pair[0] <= 0xA3)

    return usual


def _chinese(sign: str) -> bool:
    """Whether a character is everyday in China, or in Taiwan and Hong Kong, or an emoji."""
    return GB2312(sign) or BIG5(sign) or "\U0001f300" <= sign <= "\U0001faff"


def _japanese(sign: str) -> bool:
    return "\u3001" <= sign <= "\u30fe" or "\uff01" <= sign <= "\uff60" or JIS(sign)


GB2312, BIG5, JIS = _common("gb2312", 0xB0, 0xD7), _common("big5", 0xA4, 0xC6), _common("euc_jp", 0xB0, 0xCF)
EASTERN: dict[str, Callable[[str], bool]] = {
    "gb18030": _chinese,
    "big5": BIG5,
    "cp949": _common("euc_kr", 0xB0, 0xC8),
    "euc_jp": _japanese,
    "cp932": _japanese,
}
