"""What a text carries from where it came from: HTML is taken out of it, and characters that were read in the wrong encoding are put right."""

import html
import re

import ftfy
import ftfy.badness

# Only names that HTML has: "<name>" in a template, "List<String>" and "a < b" are no tags.
_NAMES = (
    "a|abbr|address|article|aside|b|big|blockquote|body|br|button|caption|center|cite|code|col|colgroup|dd|del|details|div|dl|dt|em|figcaption"
    "|figure|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|kbd|li|link|main|mark|meta|nav|ol|option|p|picture|pre|q|s|script|section"
    "|select|small|source|span|strike|strong|style|sub|summary|sup|svg|table|tbody|td|textarea|tfoot|th|thead|title|tr|u|ul|video"
)
# Attributes have values, but for a few: "a<b and b>c" compares.
_VALUE = r"""(?:"[^"<]{0,2000}+"|'[^'<]{0,2000}+'|[^\s"'<>`]{1,2000}+)"""
_BARE = "checked|selected|disabled|readonly|required|multiple|hidden|nowrap|noshade|autofocus|autoplay|controls|open|async|defer|reversed"
_WITH = rf"(?:\s++(?:[a-z_:@][-\w:.@]{{0,60}}+\s*+=\s*+{_VALUE}|(?:{_BARE})(?=[\s/>]))){{0,60}}+"
_TAG = re.compile(rf"</(?:{_NAMES})\s*+>|<(?P<name>{_NAMES})(?P<more>{_WITH}\s*+/?)>|<!doctype[^<>]{{0,200}}>", re.IGNORECASE)
_CLOSING = re.compile(rf"</({_NAMES})\s*>", re.IGNORECASE)
# Tags that nothing need close.
_ALONE = frozenset(("br", "hr", "img", "input", "link", "meta", "source", "col", "li", "dt", "dd", "tr", "td", "th", "option"))
# What stands between these is not shown; looked for one after the other, so that the time stays linear in hostile texts.
_UNSEEN = tuple(
    (re.compile(opening, re.IGNORECASE), re.compile(closing, re.IGNORECASE))
    for opening, closing in (("<!--", "-->"), *((rf"<{name}\b[^<>]{{0,2000}}>", rf"</{name}\s*>") for name in ("script", "style", "head")))
)
_BREAK = re.compile(r"<br\s*/?>|</(?:div|li|tr|dt|dd|option|caption)\s*>", re.IGNORECASE)
_PARAGRAPH = re.compile(r"</(?:p|h[1-6]|ul|ol|dl|table|blockquote|section|article|pre|figure)\s*>|<hr\s*/?>", re.IGNORECASE)
_CELL = re.compile(r"</t[dh]\s*>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# HTML that is talked about, in a block of code or in `code`, stays.
_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
# Most texts that were misread hold a letter that stands for the first byte of a UTF-8 character, and another that is not ASCII after it.
_MISREAD = re.compile(r"[\u00c2-\u00f4\u0102-\u017f\u0390-\u0491\u2500-\u25ff√∆¬][^\x00-\x7f\u2e80-\ufffd]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_NOT_CHINESE = re.compile(r"[^\x00-\x7f\u2000-\u206f\u2e80-\u9fff\uff00-\uffef]")
# Real texts have at most two or three layers of HTML or of wrong encodings.
MOST_LAYERS = 8
# What the sign for "unknown character" leaves: itself, or its own three bytes read as GBK.
_LOST = re.compile(r"\ufffd|锟斤拷")


def without_html(text: str) -> str:
    """The text without tags and entities; paragraphs and line breaks stay, HTML in blocks of code too.

    Layers are taken away until none is left ("&amp;lt;b&amp;gt;" has three), MOST_LAYERS at most.
    """
    for _ in range(MOST_LAYERS if "<" in text or "&" in text else 0):
        parts = _CODE.split(text)
        opened = [_opened(part) if number % 2 == 0 else part for number, part in enumerate(parts)]
        if opened == parts:
            break
        text = "".join(opened).strip()
    return text


def _opened(text: str) -> str:
    """A piece without code in it, one layer of HTML taken away."""
    for opening, closing in _UNSEEN:
        text = _cut(text, opening, closing)
    bare = _untagged(text)
    if bare != text:
        text = _untagged(_CELL.sub("\t", _BREAK.sub("\n", _PARAGRAPH.sub("\n\n", text))), text)
        text = re.sub(r"\n{3,}", "\n\n", re.sub(r"(?<![ \t])[ \t]+\n", "\n", text))
    return _ENTITY.sub(lambda match: html.unescape(match[0]).replace("\xa0", " "), text)


def _untagged(text: str, whole: str = "") -> str:
    """The text without its tags. What follows a letter at once, as in "a<b>c", is one only where it is closed (in the `whole` text)."""
    closed = {name.lower() for name in _CLOSING.findall(whole or text)}

    def kept(found: re.Match[str]) -> str:
        name = (found["name"] or "").lower()
        before = text[found.start() - 1 : found.start()]
        glued = bool(name) and not found["more"] and name not in closed | _ALONE and (before.isalnum() or before == "_")
        return found[0] if glued else ""

    return _TAG.sub(kept, text)


def _cut(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> str:
    """The text without what stands between an opening and its closing, both included."""
    kept, place = [], 0
    while (start := opening.search(text, place)) and (end := closing.search(text, start.end())):
        kept.append(text[place : start.start()])
        place = end.end()
    return "".join(kept) + text[place:]


def repaired(text: str) -> str:
    """The text with characters put right that were read in the wrong encoding (mojibake); one that is sound, or past repair, stays as it is.

    UTF-8 read as a Western, Cyrillic or other one-byte encoding is put right by ftfy, UTF-8 read as GBK ("浣犲ソ") here.
    """
    if text.isascii():
        return text
    if _HAN.search(text) and (found := _from_gbk(text)):
        return found
    if _MISREAD.search(text) and ftfy.badness.is_bad(text):
        for _ in range(MOST_LAYERS):
            if (found := ftfy.fix_encoding(text)) == text:
                break
            text = found
    return text


def lost(text: str) -> bool:
    """Whether characters are missing that an earlier program could not read, so that nothing brings the text back."""
    if _LOST.search(text):
        return True
    cut = bool(_HAN.search(text)) and "?" in text  # UTF-8 read as GBK loses the last byte of every other text
    return cut and repaired(text) == text and any(_from_gbk(part, end=False) for part in text.split("?"))


def _from_gbk(text: str, end: bool = True) -> str:
    """The Chinese text whose UTF-8 was read as GBK, empty where this text is none: by chance almost no text's GBK bytes are valid UTF-8.

    Without `end` the last character may be incomplete.
    """
    raw = b""
    try:
        raw = b"\x80".join(part.encode("gb18030") for part in text.split("€"))  # what browsers and Windows make of this byte
        found = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if end or len(raw) - error.start > 3 or error.end < len(raw):
            return ""
        found = raw[: error.start].decode("utf-8")
    except UnicodeError:
        return ""
    return found if len(_HAN.findall(found)) > 1 and not _NOT_CHINESE.search(found) else ""
