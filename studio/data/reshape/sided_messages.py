"""Prompts and completions that are messages, as TRL has them, become conversations or rated answers."""

from studio.data.readers.rows import ParsedRows, Row
from studio.data.reshape import columns
from studio.data.text import chat_format
from studio.i18n import Message

RATING_NAMES = ("label", "kto_tag", "verdict", "thumbs", "feedback", "rating", "liked", "good")
SIDES_JOINED = Message("The messages in “{prompt}” and “{completion}” were joined into conversations.")
RATINGS_KEPT = Message("“{rating}” says which answers in “{column}” are good.")


def join_sides(parsed: ParsedRows) -> ParsedRows:
    """Join the messages of a prompt with those of its completion; rated ones stay apart, as texts."""
    prompt = columns.first_named(parsed.columns, columns.QUESTION_NAMES)
    completion = columns.first_named(parsed.columns, columns.ANSWER_NAMES)
    if not prompt or not completion:
        return parsed
    if not any(columns.has_messages(parsed, column) for column in (prompt, completion)):
        return parsed
    rating = rating_column(parsed)
    if rating:
        note = RATINGS_KEPT.format(rating=rating, column=completion)
        return columns.replace_columns(
            parsed,
            (prompt, completion),
            ("prompt", "completion"),
            lambda row: _rated_cells(chat_format.parse_prompt(row[prompt]), row[completion]),
            note,
        )
    note = SIDES_JOINED.format(prompt=prompt, completion=completion)
    return columns.replace_columns(
        parsed,
        (prompt, completion),
        ("messages",),
        lambda row: {"messages": _joined(row[prompt], row[completion])},
        note,
    )


def split_rated_conversations(parsed: ParsedRows) -> ParsedRows:
    """Divide conversations beside a rating into the question and the answer that was rated."""
    messages_column = columns.conversation_column(parsed)
    rating = rating_column(parsed)
    if not messages_column or not rating:
        return parsed

    def make(row: Row) -> Row:
        messages = chat_format.trim_to_answer(chat_format.parse_messages(row[messages_column]))
        return _rated_cells(messages[:-1], messages[-1]["content"] if messages else "")

    note = RATINGS_KEPT.format(rating=rating, column=messages_column)
    return columns.replace_columns(parsed, (messages_column,), ("prompt", "completion"), make, note)


def rating_column(parsed: ParsedRows) -> str:
    """The column that says of every row whether its answer is good; "" where there is none."""
    column = columns.first_named(parsed.columns, RATING_NAMES)
    if not column:
        return ""
    cells = [row[column] for row in parsed.rows]
    uses_stars = chat_format.is_star_rating(cells)
    verdicts = {chat_format.parse_label(cell, uses_stars) for cell in cells}
    has_both = {True, False} <= verdicts
    return column if has_both and (uses_stars or None not in verdicts) else ""


def _joined(prompt: str, completion: str) -> str:
    """A conversation of a prompt and the answer to it; "" where one of them is missing."""
    messages = chat_format.parse_prompt(prompt)
    answers = chat_format.parse_messages(completion)
    if not answers and completion.strip():
        answers = [{"role": "assistant", "content": completion.strip()}]
    return chat_format.dump_messages([*messages, *answers]) if messages and answers else ""


def _rated_cells(messages: list[chat_format.ChatMessage], completion: str) -> Row:
    _, answer = chat_format.split_answer(completion)
    return {"prompt": columns.dump_prompt(messages) if messages else "", "completion": answer}
