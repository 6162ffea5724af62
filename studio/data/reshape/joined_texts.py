"""Several texts that belong to one example, such as subject and body, become one text."""

from studio.data.readers.rows import ParsedRows, Row
from studio.data.reshape import columns
from studio.data.schema import column_names
from studio.i18n import Message

# The titles of texts, and the texts below them, in any combination.
TITLE_NAMES = (
    *("subject", "ticket_subject", "title", "review_title", "headline", "summary", "betreff"),
    *("标题", "主题"),
)
BODY_NAMES = (
    *("body", "ticket_body", "review_text", "review_body", "review", "description", "ticket_description"),
    *("text", "content", "message", "正文", "内容", "描述"),
)
# Two texts that are compared.
TEXT_PAIRS = (
    *(("premise", "hypothesis"), ("sentence1", "sentence2"), ("question1", "question2")),
    *(("sentence_1", "sentence_2"), ("question_1", "question_2"), ("text1", "text2"), ("text_1", "text_2")),
    *(("text_a", "text_b"), ("sentence_a", "sentence_b")),
)
TARGET_ROLES = ("response", "label", "labels", "rating")
PAIR_TARGET_NAMES = (
    *("label", "gold_label", "is_duplicate", "similarity", "similarity_score", "score", "class", "relation"),
    "标签",
)
TITLE_JOINED = Message("“{first}” and “{second}” were joined into one text.")
PAIR_JOINED = Message("“{first}” and “{second}” are compared: they were joined into one text to classify.")
MIN_TITLE_CHARACTERS = 2


def join_titles(parsed: ParsedRows) -> ParsedRows:
    """Put the titles of texts before them, where something else is to be learned of both."""
    title = columns.first_named(parsed.columns, TITLE_NAMES)
    body = columns.first_named(parsed.columns, BODY_NAMES)
    if not title or not body or not columns.has_prose(parsed, body) or not _differ(parsed, title):
        return parsed
    others = [name for name in parsed.columns if name not in (title, body)]
    has_target = any(column_names.matches_role(name, role) for name in others for role in TARGET_ROLES)
    if not has_target:
        return parsed
    column = f"{title} + {body}"

    def make(row: Row) -> Row:
        parts = [row[name].strip() for name in (title, body)]
        return {column: "\n\n".join(part for part in parts if part)}

    note = TITLE_JOINED.format(first=title, second=body)
    return columns.replace_columns(parsed, (title, body), (column,), make, note)


def join_text_pairs(parsed: ParsedRows) -> ParsedRows:
    """Write two texts that are compared below each other, each after its column's name."""
    target = columns.first_named(parsed.columns, PAIR_TARGET_NAMES)
    for names in TEXT_PAIRS:
        first, second = (columns.first_named(parsed.columns, (name,)) for name in names)
        if first and second and target and "text" not in parsed.columns:
            break
    else:
        return parsed

    def make(row: Row) -> Row:
        if not row[first].strip() or not row[second].strip():
            return {"text": ""}
        return {"text": f"{first}: {row[first].strip()}\n\n{second}: {row[second].strip()}"}

    note = PAIR_JOINED.format(first=first, second=second)
    return columns.replace_columns(parsed, (first, second), ("text",), make, note)


def _differ(parsed: ParsedRows, column: str) -> bool:
    """Whether the cells of a column are texts most of which differ, and not a few classes."""
    cells = columns.sample(parsed, column)
    has_texts = columns.holds(parsed, column, lambda cell: len(cell) >= MIN_TITLE_CHARACTERS)
    return has_texts and 2 * len(set(cells)) > len(cells)
