"""What a text carries from where it came from: HTML is taken out of it, and characters that were read in the wrong encoding are put right."""

import html
import re

import ftfy
import ftfy.badness

# Only names that HTML has: "<name>" in a template, "List<String>" and "a < b" are no tags.
_TAG_NAMES = (
    "a|abbr|address|article|aside|b|big|blockquote|body|br|button|caption|center|cite|code|col|colgroup|dd|del|details|div|dl|dt|em|figcaption"
    "|figure|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input|ins|kbd|li|link|main|mark|meta|nav|ol|option|p|picture|pre|q|s|script|section"
    "|select|small|source|span|strike|strong|style|sub|summary|sup|svg|table|tbody|td|textarea|tfoot|th|thead|title|tr|u|ul|video"
)
# Attributes have values, but for a few: "a<b and b>c" compares.
_ATTRIBUTE_VALUE = r"""(?:"[^"<]{0,2000}+"|'[^'<]{0,2000}+'|[^\s"'<>`]{1,2000}+)"""
_BOOLEAN_ATTRIBUTES = "checked|selected|disabled|readonly|required|multiple|hidden|nowrap|noshade|autofocus|autoplay|controls|open|async|defer|reversed"
_ATTRIBUTES = rf"(?:\s++(?:[a-z_:@][-\w:.@]{{0,60}}+\s*+=\s*+{_ATTRIBUTE_VALUE}|(?:{_BOOLEAN_ATTRIBUTES})(?=[\s/>]))){{0,60}}+"
_TAG = re.compile(
    rf"</(?:{_TAG_NAMES})\s*+>|<(?P<name>{_TAG_NAMES})(?P<more>{_ATTRIBUTES}\s*+/?)>|<!doctype[^<>]{{0,200}}>",
    re.IGNORECASE,
)
_CLOSING_TAG = re.compile(rf"</({_TAG_NAMES})\s*>", re.IGNORECASE)
# Tags that nothing need close.
_UNCLOSED_TAGS = frozenset(
    (
        "br",
        "hr",
        "img",
        "input",
        "link",
        "meta",
        "source",
        "col",
        "li",
        "dt",
        "dd",
        "tr",
        "td",
        "th",
        "option",
    )
)
# What stands between these is not shown; looked for one after the other, so that the time stays linear in hostile texts.
_HIDDEN_ELEMENTS = tuple(
    (re.compile(opening, re.IGNORECASE), re.compile(closing, re.IGNORECASE))
    for opening, closing in (
        ("<!--", "-->"),
        *((rf"<{name}\b[^<>]{{0,2000}}>", rf"</{name}\s*>") for name in ("script", "style", "head")),
    )
)
_BREAK = re.compile(r"<br\s*/?>|</(?:div|li|tr|dt|dd|option|caption)\s*>", re.IGNORECASE)
_PARAGRAPH = re.compile(
    r"</(?:p|h[1-6]|ul|ol|dl|table|blockquote|section|article|pre|figure)\s*>|<hr\s*/?>", re.IGNORECASE
)
_CELL = re.compile(r"</t[dh]\s*>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# HTML that is talked about, in a block of code or in `code`, stays.
_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
# Most texts that were misread hold a letter that stands for the first byte of a UTF-8 character, and another that is not ASCII after it.
_MISREAD = re.compile(r"[\u00c2-\u00f4\u0102-\u017f\u0390-\u0491\u2500-\u25ff√∆¬][^\x00-\x7f\u2e80-\ufffd]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_NOT_CHINESE = re.compile(r"[^\x00-\x7f\u2000-\u206f\u2e80-\u9fff\uff00-\uffef]")
# Real texts have at most two or three layers of HTML or of wrong encodings.
MAX_LAYERS = 8
# What the sign for "unknown character" leaves: itself, or its own three bytes read as GBK.
_LOST_CHARACTERS = re.compile(r"\ufffd|锟斤拷")


def strip_html(text: str) -> str:
    """The text without tags and entities; paragraphs and line breaks stay, HTML in blocks of code too.

    Layers are taken away until none is left ("&amp;lt;b&amp;gt;" has three), MOST_LAYERS at most.
    """
    for _ in range(MAX_LAYERS if "<" in text or "&" in text else 0):
        parts = _CODE.split(text)
        stripped = [_strip_layer(part) if number % 2 == 0 else part for number, part in enumerate(parts)]
        if stripped == parts:
            break
        text = "".join(stripped).strip()
    return text


def _strip_layer(text: str) -> str:
    """A piece without code in it, one layer of HTML taken away."""
    for opening, closing in _HIDDEN_ELEMENTS:
        text = _remove_between(text, opening, closing)
    untagged = _strip_tags(text)
    if untagged != text:
        text = _strip_tags(_CELL.sub("\t", _BREAK.sub("\n", _PARAGRAPH.sub("\n\n", text))), text)
        text = re.sub(r"\n{3,}", "\n\n", re.sub(r"(?<![ \t])[ \t]+\n", "\n", text))
    return _ENTITY.sub(lambda match: html.unescape(match[0]).replace("\xa0", " "), text)


def _strip_tags(text: str, full_text: str = "") -> str:
    """The text without its tags. What follows a letter at once, as in "a<b>c", is one only where it is closed (in the `whole` text)."""
    closed_tags = {name.lower() for name in _CLOSING_TAG.findall(full_text or text)}

    def replace_tag(match: re.Match[str]) -> str:
        name = (match["name"] or "").lower()
        previous_char = text[match.start() - 1 : match.start()]
        is_glued = (
            bool(name)
            and not match["more"]
            and name not in closed_tags | _UNCLOSED_TAGS
            and (previous_char.isalnum() or previous_char == "_")
        )
        return match[0] if is_glued else ""

    return _TAG.sub(replace_tag, text)


def _remove_between(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> str:
    """The text without what stands between an opening and its closing, both included."""
    pieces, position = [], 0
    while (start := opening.search(text, position)) and (end := closing.search(text, start.end())):
        pieces.append(text[position : start.start()])
        position = end.end()
    return "".join(pieces) + text[position:]


def fix_mojibake(text: str) -> str:
    """The text with characters put right that were read in the wrong encoding (mojibake); one that is sound, or past repair, stays as it is.

    UTF-8 read as a Western, Cyrillic or other one-byte encoding is put right by ftfy, UTF-8 read as GBK ("浣犲ソ") here.
    """
    if text.isascii():
        return text
    if _HAN.search(text) and (fixed := _decode_gbk_mojibake(text)):
        return fixed
    if _MISREAD.search(text) and ftfy.badness.is_bad(text):
        for _ in range(MAX_LAYERS):
            if (fixed := ftfy.fix_encoding(text)) == text:
                break
            text = fixed
    return text


def has_lost_characters(text: str) -> bool:
    """Whether characters are missing that an earlier program could not read, so that nothing brings the text back."""
    if _LOST_CHARACTERS.search(text):
        return True
    may_be_truncated = (
        bool(_HAN.search(text)) and "?" in text
    )  # UTF-8 read as GBK loses the last byte of every other text
    return (
        may_be_truncated
        and fix_mojibake(text) == text
        and any(_decode_gbk_mojibake(part, is_complete=False) for part in text.split("?"))
    )


def _decode_gbk_mojibake(text: str, is_complete: bool = True) -> str:
    """The Chinese text whose UTF-8 was read as GBK, empty where this text is none: by chance almost no text's GBK bytes are valid UTF-8.

    Without `end` the last character may be incomplete.
    """
    raw = b""
    try:
        raw = b"\x80".join(
            part.encode("gb18030") for part in text.split("€")
        )  # what browsers and Windows make of this byte
        decoded = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if is_complete or len(raw) - error.start > 3 or error.end < len(raw):
            return ""
        decoded = raw[: error.start].decode("utf-8")
    except UnicodeError:
        return ""
    return decoded if len(_HAN.findall(decoded)) > 1 and not _NOT_CHINESE.search(decoded) else ""
