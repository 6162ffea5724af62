"""What a language model cannot learn from is refused by its name: pictures and token ids."""

import re

from studio.data.readers.rows import ParsedRows
from studio.data.reshape import columns
from studio.errors import BadData
from studio.i18n import Message

PICTURE_PARTS = re.compile(
    r'"type"\s*:\s*"(image|image_url|input_image|audio|input_audio|video)"|"(inline_?data|image_url)"\s*:',
    re.IGNORECASE,
)
PICTURE_MARK = re.compile(r"<(image|video|audio)>", re.IGNORECASE)
PICTURE_COLUMNS = ("images", "image", "videos", "audios", "image_path")
TOKEN_COLUMNS = ("input_ids", "token_ids", "tokens_ids")
TOKEN_IDS = re.compile(r"\[\s*\d+(\s*,\s*\d+)*\s*\]")
HOLDS_PICTURES = Message(
    "The examples are about pictures or sounds (column “{column}”), which cannot be learned from."
)
HOLDS_TOKENS = Message("“{column}” holds token ids, the numbers of one model's own vocabulary, and no texts.")


def refuse_unlearnable(parsed: ParsedRows) -> ParsedRows:
    """The rows as they are.

    Raises:
        BadData: They are about pictures or sounds, or hold token ids in the place of texts.
    """
    for column in parsed.columns:
        if columns.has_literals(parsed, column) and columns.holds(parsed, column, _has_picture):
            raise _pictures(column)
    picture_column = columns.first_named(parsed.columns, PICTURE_COLUMNS)
    if picture_column:
        for column in parsed.columns:
            if columns.holds(parsed, column, lambda cell: bool(PICTURE_MARK.search(cell))):
                raise _pictures(picture_column)
    token_column = columns.first_named(parsed.columns, TOKEN_COLUMNS)
    has_text = any(columns.has_prose(parsed, column) for column in parsed.columns)
    if token_column and not has_text and columns.holds(parsed, token_column, _are_token_ids):
        raise BadData(
            HOLDS_TOKENS,
            Message("Bring the texts that they were made of."),
            column=token_column,
        )
    return parsed


def _has_picture(cell: str) -> bool:
    return bool(PICTURE_PARTS.search(cell))


def _are_token_ids(cell: str) -> bool:
    return bool(TOKEN_IDS.fullmatch(cell))


def _pictures(column: str) -> BadData:
    return BadData(
        HOLDS_PICTURES,
        Message("Bring examples whose questions and answers are texts alone."),
        column=column,
    )
