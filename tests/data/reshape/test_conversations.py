"""Logs with one message a row are learned as the conversations that they are."""

import csv
import json

import pytest

from studio.data import examples
from studio.data.readers.read import read_table
from studio.data.reshape import conversations
from studio.data.schema import infer_roles


def table(tmp_path, names, rows, name="log.csv"):
    path = tmp_path / name
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([names, *rows])
    return read_table(path)


def log(user, agent, count=10):
    """Two questions and two answers in each of several conversations."""
    for conversation_id in range(1, count + 1):
        yield conversation_id, user, f"Where is my parcel number {conversation_id}?"
        yield conversation_id, agent, f"It left us on day {conversation_id}."
        yield conversation_id, user, "Thanks, and when will it come?"
        yield conversation_id, agent, "Tomorrow."


@pytest.mark.parametrize(
    ("names", "user", "agent", "column"),
    [
        (("conversation_id", "role", "content"), "user", "assistant", "messages"),
        (("Ticket ID", "Sender", "Message"), "Customer", "Agent", "messages"),
        (("session", "from", "value"), "human", "gpt", "messages"),
        (("会话ID", "发送方", "消息内容"), "用户", "客服", "对话"),
        (("工单编号", "角色", "内容"), "买家", "卖家", "对话"),
    ],
    ids=str,
)
def test_messages_with_the_same_number_are_one_conversation(tmp_path, names, user, agent, column):
    parsed = table(tmp_path, names, log(user, agent))
    assert parsed.notes == (conversations.MESSAGES_JOINED.format(rows=40, count=10, column=names[0]),)
    assert infer_roles.guess_roles(parsed) == infer_roles.RoleGuess("chat", {"messages": column}, True)
    chat_examples, incomplete = examples.build_examples(parsed, "chat", {"messages": column})
    assert (len(chat_examples), incomplete) == (10, 0)
    assert json.loads(chat_examples[2]["messages"]) == [
        {"role": "user", "content": "Where is my parcel number 3?"},
        {"role": "assistant", "content": "It left us on day 3."},
        {"role": "user", "content": "Thanks, and when will it come?"},
        {"role": "assistant", "content": "Tomorrow."},
    ]


def test_conversations_that_went_on_at_once_are_told_apart_and_keep_what_they_have_in_common(tmp_path):
    rows = [
        (conversation_id, "chat", text_time, speaker, text)
        for text_time, (conversation_id, speaker, text) in enumerate(log("user", "assistant"))
    ]
    rows.sort(key=lambda row: row[2] % 4)
    parsed = table(tmp_path, ("conversation_id", "channel", "time", "role", "content"), rows)
    assert parsed.columns == ("conversation_id", "channel", "messages")
    assert [len(json.loads(row["messages"])) for row in parsed.rows] == [4] * 10


def test_numbered_turns_are_put_in_their_order(tmp_path):
    rows = [
        (conversation_id, turn % 4, speaker, text)
        for turn, (conversation_id, speaker, text) in enumerate(log("user", "assistant"))
    ]
    parsed = table(tmp_path, ("conversation_id", "turn", "role", "content"), rows[::-1])
    assert [turn["role"] for turn in json.loads(parsed.rows[0]["messages"])] == ["user", "assistant"] * 2


def test_what_one_says_in_several_rows_is_one_message_and_loose_rows_are_counted(tmp_path):
    rows = [
        row
        for conversation_id in range(9)
        for row in (
            (conversation_id, "user", "Hello."),
            (conversation_id, "user", "Are you there?"),
            (conversation_id, "agent", "Yes, I am."),
        )
    ]
    parsed = table(tmp_path, ("chat_id", "role", "text"), [*rows, ("", "user", "Lost."), (3, "user", "")])
    assert [turn["content"] for turn in json.loads(parsed.rows[0]["messages"])] == [
        "Hello.\nAre you there?",
        "Yes, I am.",
    ]
    assert parsed.notes[1] == conversations.ROWS_DROPPED.format(count=2, column="chat_id")


@pytest.mark.parametrize(
    ("names", "rows"),
    [
        (
            ("id", "author", "text"),
            [(n, ("user", "bot")[n % 2], f"This is text number {n}, who wrote it?") for n in range(12)],
        ),
        (
            ("conversation_id", "prompt", "response"),
            [(n // 2, f"Where is parcel {n}?", f"It left us, {n}.") for n in range(12)],
        ),
    ],
    ids=["who-wrote-it", "both-in-a-row"],
)
def test_other_tables_stay_as_they_are(tmp_path, names, rows):
    parsed = table(tmp_path, names, rows)
    assert (parsed.columns, len(parsed.rows), parsed.notes) == (names, 12, ())


def test_an_automatic_message_costs_no_conversation(tmp_path):
    rows = [
        row
        for conversation_id in range(10)
        for row in (
            (conversation_id, "Automation", "Your ticket was opened."),
            *((conversation_id, ("Customer", "Agent")[turn % 2], f"Message {turn}.") for turn in range(12)),
        )
    ]
    parsed = table(tmp_path, ("Ticket ID", "Sender", "Message"), rows)
    chat_examples, incomplete = examples.build_examples(parsed, "chat", {"messages": "messages"})
    assert (len(chat_examples), incomplete) == (10, 0)
    assert parsed.notes[-1] == conversations.ROWS_DROPPED.format(count=10, column="Ticket ID")


def test_the_number_of_an_order_is_no_number_of_turns(tmp_path):
    rows = [
        (conversation_id, 7000 + conversation_id, f"2026-05-0{1 + turn % 4} 10:00", speaker, text)
        for turn, (conversation_id, speaker, text) in enumerate(log("user", "assistant"))
    ]
    parsed = table(tmp_path, ("conversation_id", "order", "sent at", "role", "content"), rows[::-1])
    assert [turn["role"] for turn in json.loads(parsed.rows[0]["messages"])] == ["user", "assistant"] * 2
