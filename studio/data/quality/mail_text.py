"""What exports of mails leave in texts: written-out line ends, and the quoted mail and signature below."""

import re

# A backslash and an n that stand for a line end, and not in a path, in code or in a formula.
WRITTEN_LINE_END = re.compile(
    r"(?<![\\:])(?:(?:\\r)?\\n)++(?=[^a-z\W]|\\|\s|$|[-*•(#])|(?<=[.,!?。，！？])(?:(?:\\r)?\\n)++(?![\"'])"
)
# How mail programs begin what they quote, in the languages of their users.
QUOTE_START = re.compile(
    r"\n[ \t]*(?:On\b[^\n]{4,150}\bwrote:|Am\b[^\n]{4,150}\bschrieb[^\n]{0,80}:"
    r"|Le\b[^\n]{4,150}\ba écrit ?:|El\b[^\n]{4,150}\bescribió:|在[^\n]{4,80}写道[:：]"
    r"|-{3,10} ?(?:Original Message|Ursprüngliche Nachricht|Message d'origine|原始邮件) ?-{3}"
    r"|(?:From|Von|发件人)[:：][^\n]{1,200}\n(?:Sent|Gesendet|Date|Datum|发送时间|日期)[:：])",
    re.IGNORECASE,
)
SIGNATURE = re.compile(
    r"\n[ \t]*(?:--[ \t]*\n|(?:kind|best|warm|many) regards|best wishes|sincerely(?: yours)?|yours sincerely"
    r"|mit freundlichen grüßen|viele grüße|cordialement|sent from my \w{1,20})"
    r"[^\n]{0,20}(?:\n[^\n]{0,80}){0,6}\Z",
    re.IGNORECASE,
)
MAIL_SIGNS = (
    "wrote",
    "schrieb",
    "écrit",
    "escribió",
    "写道",
    "\n>",
    "---",
    "From:",
    "Von:",
    "发件人",
    "--\n",
)
MIN_QUOTED_LINES = 2
# So few words above a mail say what to do with it.
MAX_FORWARDING_WORDS = 6


def insert_line_ends(text: str) -> str:
    """The text with real line ends in the place of those written out as a backslash and an n."""
    return WRITTEN_LINE_END.sub(lambda match: "\n" * match[0].count("n"), text) if "\\n" in text else text


def strip_mail_tail(text: str) -> str:
    """The text without the mail that it quotes and the signature above it; unchanged where it quotes none."""
    if "\n" not in text or not any(sign in text for sign in MAIL_SIGNS):
        return text
    start = QUOTE_START.search(text)
    stripped = _without_quoted_mail(text, start) if start else _without_quoted_lines(text)
    if stripped == text and "\n--" not in text:
        return text
    return SIGNATURE.sub("", stripped.rstrip()).strip() or text


def _without_quoted_mail(text: str, start: "re.Match[str]") -> str:
    """The text without the mail whose quotation begins here; what is answered below it stays.

    What is forwarded is the message itself: below a few words such as “please handle” all stays.
    """
    above = text[: start.start()]
    introduction, _, below = text[start.start() :].lstrip("\n").partition("\n")
    lines = below.split("\n")
    if any(line.lstrip().startswith(">") for line in lines):
        answers = [line for line in lines if not line.lstrip().startswith(">")]
        return "\n".join([above.rstrip(), "", *answers]).rstrip() if any(map(str.strip, answers)) else above
    is_forwarded = not introduction.rstrip().endswith(":") and len(above.split()) <= MAX_FORWARDING_WORDS
    return text if is_forwarded else above


def _without_quoted_lines(text: str) -> str:
    """The text without the lines after ">" that it ends in."""
    lines = text.rstrip().split("\n")
    end = len(lines)
    while end and lines[end - 1].lstrip().startswith(">"):
        end -= 1
    return "\n".join(lines[:end]) if len(lines) - end >= MIN_QUOTED_LINES else text
