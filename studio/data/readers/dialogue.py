"""Conversations written out in a text file: questions with answers, turns after names, WeChat's export."""

import re
from collections.abc import Iterator

from studio.data.readers import csv as csv_reader
from studio.data.readers import plain_text, rows
from studio.data.readers.rows import ParsedRows
from studio.data.readers.spec import Reader, SourceFile
from studio.data.reshape import message_times
from studio.data.text import chat_format, transcripts
from studio.data.text.chat_format import ChatMessage

# A line of WeChat's export: who wrote, and when; what they wrote is below.
WECHAT_LINE = re.compile(
    r"^(?P<name>\S[^\n]{0,40}?)[ \t]+"
    r"(?P<time>\d{4}[-/年]\d{1,2}[-/月]\d{1,2}日?[ \t]+\d{1,2}:\d{2}(?::\d{2})?)[ \t]*$",
    re.MULTILINE,
)
ANSWERING_NAME = re.compile(r"客服|助手|坐席|support|agent|service|assistant|bot\b", re.IGNORECASE)
BLOCK_END = re.compile(r"\n[ \t]*(?:[-=*_]{3,}[ \t]*)?\n")
MIN_BLOCKS = 2
MIN_SHARE = 0.8  # of the blocks must be conversations (0–1)
SAMPLE_LENGTH = 20_000  # characters by which a text is recognised
# After such a silence the next message begins another conversation.
MAX_SILENCE_SECONDS = 3600
MIN_CHAT_LINES = 6


def is_dialogue(source: SourceFile) -> bool:
    """Whether a text is made of conversations, and not called a table."""
    if source.extension in csv_reader.TABLE_EXTENSIONS:
        return False
    start = source.text[:SAMPLE_LENGTH].replace("\r\n", "\n")
    if len(source.text) > SAMPLE_LENGTH:
        start = start.rpartition("\n\n")[0] or start.rpartition("\n")[0]
    return bool(_conversations(start))


def read_dialogue(text: str) -> ParsedRows:
    """Read one conversation a row.

    Raises:
        BadData: There is more than a data set may hold.
    """
    rows.check_line_count(text)
    conversations = _conversations(text.replace("\r\n", "\n").replace("\r", "\n"))
    parsed, bad_lines = rows.collect(
        enumerate(conversations, 1), lambda messages: {"messages": chat_format.dump_messages(messages)}
    )
    return ParsedRows(("messages",) if parsed else (), parsed, bad_lines)


def _conversations(text: str) -> list[list[ChatMessage]]:
    """The conversations that a text holds; empty where it is another text."""
    if len(WECHAT_LINE.findall(text)) >= MIN_CHAT_LINES:
        return list(_wechat_conversations(text))
    questions = transcripts.split_questions(text)
    if len(questions) >= MIN_BLOCKS:
        return questions
    blocks = [block for block in BLOCK_END.split(text) if block.strip()]
    conversations = [transcripts.parse_transcript(block.strip()) for block in blocks]
    n_read = sum(map(bool, conversations))
    if n_read < MIN_BLOCKS or n_read < MIN_SHARE * len(blocks):
        return []
    joined: list[list[ChatMessage]] = []
    for block, messages in zip(blocks, conversations, strict=True):
        if messages:
            joined.append(messages)
        elif joined:  # a further paragraph of the last message; before the first one stands a title
            joined[-1][-1]["content"] += f"\n\n{block.strip()}"
    return joined


def _wechat_conversations(text: str) -> Iterator[list[ChatMessage]]:
    """The conversations of a WeChat export, a new one after an hour of silence.

    Whose name says that they answer, answers; else whoever does not write first.
    """
    marks = list(WECHAT_LINE.finditer(text))
    ends = [mark.start() for mark in marks[1:]] + [len(text)]
    texts = [text[mark.end() : end].strip() for mark, end in zip(marks, ends, strict=True)]
    names = [mark["name"] for mark in marks]
    answering = {name for name in names if ANSWERING_NAME.search(name)} or set(names) - {names[0]}
    times = message_times.parse_times([[mark["time"] for mark in marks]])
    (seconds,) = times or ([0.0] * len(marks),)
    messages: list[ChatMessage] = []
    for index, (name, content) in enumerate(zip(names, texts, strict=True)):
        is_silent = index > 0 and seconds[index] - seconds[index - 1] > MAX_SILENCE_SECONDS
        if is_silent and messages:
            yield messages
            messages = []
        role = "assistant" if name in answering else "user"
        if not content:
            continue
        if messages and messages[-1]["role"] == role:
            messages[-1]["content"] += f"\n{content}"
        else:
            messages.append({"role": role, "content": content})
    if messages:
        yield messages


READER = Reader(
    name="dialogue",
    label=plain_text.LABEL,
    extensions=(),
    read=lambda source: read_dialogue(source.text),
    matches=is_dialogue,
    names_columns=True,
    pasted_extension=lambda _: ".txt",
)
