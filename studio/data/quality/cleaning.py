"""Clean texts of traces of their origin: strip HTML, and repair characters read in the wrong encoding."""

import html
import re

import ftfy
import ftfy.badness

# Only names of HTML elements: "<name>" in a template, "List<String>" and "a < b" are no tags.
_TAG_NAMES = (
    "a|abbr|address|article|aside|b|big|blockquote|body|br|button|caption|center|cite|code|col|colgroup|dd|del"
    "|details|div|dl|dt|em|figcaption|figure|font|footer|form|h[1-6]|head|header|hr|html|i|iframe|img|input"
    "|ins|kbd|li|link|main|mark|meta|nav|ol|option|p|picture|pre|q|s|script|section|select|small|source|span"
    "|strike|strong|style|sub|summary|sup|svg|table|tbody|td|textarea|tfoot|th|thead|title|tr|u|ul|video"
)
# Attributes have values, except for a few: "a<b and b>c" is a comparison.
_ATTRIBUTE_VALUE = r"""(?:"[^"<]{0,2000}+"|'[^'<]{0,2000}+'|[^\s"'<>`]{1,2000}+)"""
_BOOLEAN_ATTRIBUTES = (
    "checked|selected|disabled|readonly|required|multiple|hidden|nowrap|noshade|autofocus|autoplay|controls"
    "|open|async|defer|reversed"
)
_ATTRIBUTES = (
    rf"(?:\s++(?:[a-z_:@][-\w:.@]{{0,60}}+\s*+=\s*+{_ATTRIBUTE_VALUE}"
    rf"|(?:{_BOOLEAN_ATTRIBUTES})(?=[\s/>]))){{0,60}}+"
)
_TAG = re.compile(
    rf"</(?:{_TAG_NAMES})\s*+>|<(?P<name>{_TAG_NAMES})(?P<attributes>{_ATTRIBUTES}\s*+/?)>|<!doctype[^<>]{{0,200}}>",
    re.IGNORECASE,
)
_CLOSING_TAG = re.compile(rf"</({_TAG_NAMES})\s*>", re.IGNORECASE)
# Tags that need no closing tag.
_UNCLOSED_TAGS = {
    *("br", "hr", "img", "input", "link", "meta", "source", "col"),
    *("li", "dt", "dd", "tr", "td", "th", "option"),
}
# What a browser does not show; opening and closing are searched one after the other, so that the time stays
# linear in hostile texts.
_HIDDEN_ELEMENTS = (
    (re.compile("<!--"), re.compile("-->")),
    *(
        (
            re.compile(rf"<{name}\b[^<>]{{0,2000}}>", re.IGNORECASE),
            re.compile(rf"</{name}\s*>", re.IGNORECASE),
        )
        for name in ("script", "style", "head")
    ),
)
_BREAK = re.compile(r"<br\s*/?>|</(?:div|li|tr|dt|dd|option|caption)\s*>", re.IGNORECASE)
_PARAGRAPH = re.compile(
    r"</(?:p|h[1-6]|ul|ol|dl|table|blockquote|section|article|pre|figure)\s*>|<hr\s*/?>", re.IGNORECASE
)
_CELL = re.compile(r"</t[dh]\s*>", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# HTML that a text talks about, in a block of code or in `code`, stays.
_CODE = re.compile(r"(```.*?```|`[^`\n]+`)", re.DOTALL)
# Most garbled texts hold a letter in the place of the first byte of a UTF-8 character, with another character
# after it that is not ASCII.
_MISREAD = re.compile(r"[\u00c2-\u00f4\u0102-\u017f\u0390-\u0491\u2500-\u25ff√∆¬][^\x00-\x7f\u2e80-\ufffd]")
_HAN = re.compile(r"[\u3400-\u9fff]")
_NOT_CHINESE = re.compile(r"[^\x00-\x7f\u2000-\u206f\u2e80-\u9fff\uff00-\uffef]")
# Real texts have at most two or three layers of HTML or of wrong encodings.
MAX_LAYERS = 8
# What the replacement character leaves: itself, or its own three bytes read as GBK.
_LOST_CHARACTERS = re.compile(r"\ufffd|锟斤拷")


def strip_html(text: str) -> str:
    """The text without tags and entities.

    Paragraphs and line breaks stay, and so does HTML in blocks of code. Layers are stripped until none
    remains ("&amp;lt;b&amp;gt;" has three), at most MAX_LAYERS.
    """
    if "<" not in text and "&" not in text:
        return text
    for _ in range(MAX_LAYERS):
        parts = _CODE.split(text)  # text and code in turn
        stripped = list(parts)
        stripped[::2] = map(_strip_layer, parts[::2])
        if stripped == parts:
            break
        text = "".join(stripped).strip()
    return text


def _strip_layer(text: str) -> str:
    """A text without code in it, less one layer of HTML."""
    for opening, closing in _HIDDEN_ELEMENTS:
        text = _remove_between(text, opening, closing)
    untagged = _strip_tags(text)
    if untagged != text:
        laid_out = _PARAGRAPH.sub("\n\n", text)
        laid_out = _BREAK.sub("\n", laid_out)
        laid_out = _CELL.sub("\t", laid_out)
        text = _strip_tags(laid_out, text)
        text = re.sub(r"(?<![ \t])[ \t]+\n", "\n", text)
        text = re.sub(r"\n{3,}", "\n\n", text)
    return _ENTITY.sub(lambda match: html.unescape(match[0]).replace("\xa0", " "), text)


def _strip_tags(text: str, full_text: str = "") -> str:
    """The text without its tags.

    What follows a letter immediately, as in "a<b>c", is a tag only where `full_text` (default: the text)
    closes it.
    """
    closed_tags = {name.lower() for name in _CLOSING_TAG.findall(full_text or text)}

    def replace_tag(match: re.Match[str]) -> str:
        name = (match["name"] or "").lower()
        previous_char = text[match.start() - 1 : match.start()]
        follows_word = previous_char.isalnum() or previous_char == "_"
        is_bare_opening = bool(name) and not match["attributes"]
        needs_closing = name not in closed_tags and name not in _UNCLOSED_TAGS
        is_tag = not (follows_word and is_bare_opening and needs_closing)
        return "" if is_tag else match[0]

    return _TAG.sub(replace_tag, text)


def _remove_between(text: str, opening: re.Pattern[str], closing: re.Pattern[str]) -> str:
    """The text without everything from an opening to its closing, both included."""
    pieces = []
    position = 0
    while (start := opening.search(text, position)) and (end := closing.search(text, start.end())):
        pieces.append(text[position : start.start()])
        position = end.end()
    return "".join(pieces) + text[position:]


def fix_mojibake(text: str) -> str:
    """Repair characters that were read in the wrong encoding (mojibake).

    UTF-8 read as a Western, Cyrillic or other one-byte encoding is repaired by ftfy, UTF-8 read as GBK
    ("浣犲ソ") here. A text that is sound, or past repair, is returned as it is.
    """
    if text.isascii():
        return text
    if _HAN.search(text):
        decoded = _decode_gbk_mojibake(text)
        if decoded:
            return decoded
    if not _MISREAD.search(text) or not ftfy.badness.is_bad(text):
        return text
    for _ in range(MAX_LAYERS):
        fixed = ftfy.fix_encoding(text)
        if fixed == text:
            break
        text = fixed
    return text


def has_lost_characters(text: str) -> bool:
    """Whether an earlier program lost characters that it could not read, so that nothing can restore them."""
    if _LOST_CHARACTERS.search(text):
        return True
    # UTF-8 read as GBK loses the last byte of every other text, and shows "?" for it.
    if "?" not in text or not _HAN.search(text) or fix_mojibake(text) != text:
        return False
    return any(_decode_gbk_mojibake(part, is_complete=False) for part in text.split("?"))


def _decode_gbk_mojibake(text: str, is_complete: bool = True) -> str:
    """The Chinese text whose UTF-8 was read as GBK; empty if there is none.

    Almost no text's GBK bytes are valid UTF-8 by chance. Unless the text `is_complete`, its last character
    may lack bytes.
    """
    raw = b""
    try:
        # Browsers and Windows read the byte 0x80 as a euro sign.
        raw = b"\x80".join(part.encode("gb18030") for part in text.split("€"))
        decoded = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        if is_complete or len(raw) - error.start > 3 or error.end < len(raw):
            return ""
        decoded = raw[: error.start].decode("utf-8")
    except UnicodeError:
        return ""
    is_chinese = len(_HAN.findall(decoded)) > 1 and not _NOT_CHINESE.search(decoded)
    return decoded if is_chinese else ""
