"""Files that people really have, each with what must be learned of it (field cases of November 2026).

Every case is one example of a kind. `CASES` maps a name to the file's name, its bytes, and an `Expected`.
"""

import csv
import gzip
import io
import json
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
import xlsxwriter

N_ROWS = 40


@dataclass(frozen=True)
class Expected:
    """What is learned of the second row (n = 1), or why nothing is.

    Attributes:
        task: The task that is guessed; "" where the file is refused.
        example: The example at `index`, conversations as (role letter, text) pairs.
        sure: Whether the reading counts as certain; None where either is right.
        finding: The kind of a finding that must be among those of the health check.
        says: A part of a note, or of the refusal.
        index: Which example is compared.
        count: How many examples there are; None for any number.
    """

    task: str
    example: object = None
    sure: bool | None = None
    finding: str = ""
    says: str = ""
    index: int = 1
    count: int | None = None


def question(n):
    return f"How do I change the address of order {n}?"


def answer(n):
    return f"Open the settings, choose order {n} and press edit."


def bad(n):
    return f"I know nothing at all of an order {n}, sorry."


def u(text):
    return {"role": "user", "content": text}


def a(text, **more):
    return {"role": "assistant", "content": text, **more}


def s(text):
    return {"role": "system", "content": text}


def jsonl(make, count=N_ROWS):
    lines = (json.dumps(make(n), ensure_ascii=False) for n in range(count))
    return "\n".join(lines).encode()


def table(names, make, count=N_ROWS):
    target = io.StringIO(newline="")
    csv.writer(target).writerows([names, *(make(n) for n in range(count))])
    return target.getvalue().encode()


def records(names, make, count):
    """A table whose `make` returns several lines for each number."""
    target = io.StringIO(newline="")
    csv.writer(target).writerows([names, *(line for n in range(count) for line in make(n))])
    return target.getvalue().encode()


def workbook(*sheets, change=lambda book, pages: None):
    """A workbook of (name, rows) sheets."""
    target = io.BytesIO()
    with xlsxwriter.Workbook(target) as book:
        pages = [book.add_worksheet(name) for name, _ in sheets]
        for page, (_, lines) in zip(pages, sheets, strict=True):
            for index, line in enumerate(lines):
                page.write_row(index, 0, line)
        change(book, pages)
    return target.getvalue()


def parquet(arrow_table):
    target = io.BytesIO()
    pq.write_table(arrow_table, target)
    return target.getvalue()


def arrow(arrow_table):
    target = io.BytesIO()
    with pa.ipc.new_stream(target, arrow_table.schema) as writer:
        writer.write_table(arrow_table)
    return target.getvalue()


def texts(n=1):
    """A question and its answer as two columns make it."""
    return {"prompt": question(n), "response": answer(n)}


def chat(*turns):
    return {"messages": list(turns)}


TURNS = chat(("u", question(1)), ("a", answer(1)))
LONGER = chat(
    ("u", "Hello, I need help."), ("a", "Gladly, what is it?"), ("u", question(1)), ("a", answer(1))
)
PAIR = {"prompt": question(1), "chosen": answer(1), "rejected": bad(1)}
CHAT = Expected("chat", texts(), sure=True)
CHATS = Expected("chat", TURNS, sure=True)
PREFER = Expected("prefer", PAIR, sure=True)
CLASSES = ("billing", "shipping", "account")


def part(kind, key, text):
    return [{"type": kind, key: text}]


def conversation(n):
    return [u(question(n)), a(answer(n))]


def longer(n):
    return [u("Hello, I need help."), a("Gladly, what is it?"), *conversation(n)]


def tree_node(identifier, parent, children, role="", text=""):
    message = {"author": {"role": role}, "content": {"content_type": "text", "parts": [text]}}
    return {
        "id": identifier,
        "parent": parent,
        "children": children,
        "message": message if role else None,
    }


def chatgpt_conversation(n):
    return {
        "title": f"Order {n}",
        "create_time": 1700000000.0 + n,
        "mapping": {
            "r": tree_node("r", None, ["q"]),
            "q": tree_node("q", "r", ["x", "c"], "user", question(n)),
            "x": tree_node("x", "q", [], "assistant", bad(n)),
            "c": tree_node("c", "q", [], "assistant", answer(n)),
        },
        "current_node": "c",
    }


def oasst(n):
    tree = f"t{n}"
    return [
        (tree, f"q{n}", "", "prompter", question(n), ""),
        (tree, f"b{n}", f"q{n}", "assistant", bad(n), 1),
        (tree, f"a{n}", f"q{n}", "assistant", answer(n), 0),
    ]


def ticket(n):
    return (
        f"Order {n}",
        f"Dear team, how do I change the address of order {n}? It should go elsewhere.",
        f"Open the settings, choose order {n} and press edit, then save it.",
        ("Incident", "Request", "Problem")[n % 3],
        ("Billing", "Shipping", "Account")[n // 3 % 3],
        ("low", "high")[n % 2],
        "en",
        ("Address", "Delivery", "Login")[n % 3],
    )


CSV_ROWS = [(question(n), answer(n)) for n in range(N_ROWS)]
HEAD = ["question", "answer"]
QA = [HEAD, *map(list, CSV_ROWS)]
THAI = ["วิธีเปลี่ยนที่อยู่ของคำสั่งซื้อหมายเลข", "เปิดการตั้งค่าแล้วเลือกแก้ไขคำสั่งซื้อ"]
HINDI = ["मैं ऑर्डर का पता कैसे बदलूं", "सेटिंग खोलें और ऑर्डर चुनें"]


def lines(make, count=N_ROWS, head="question,answer"):
    return "\n".join((head, *(make(n) for n in range(count)))).encode()


CASES = {
    # 1: machine text
    "A1 prompt and completion as messages": (
        "a.jsonl",
        jsonl(lambda n: {"prompt": [u(question(n))], "completion": [a(answer(n))]}),
        Expected("chat", TURNS, sure=True),
    ),
    "A1 with earlier turns and a system prompt": (
        "a.jsonl",
        jsonl(lambda n: {"prompt": [s("Be kind."), *longer(n)[:-1]], "completion": [a(answer(n))]}),
        Expected("chat", chat(("s", "Be kind."), *LONGER["messages"]), sure=True),
    ),
    "A1b one side as messages": (
        "a.jsonl",
        jsonl(lambda n: {"prompt": question(n), "completion": [a(answer(n))]}),
        Expected("chat", TURNS, sure=True),
    ),
    "A1b an answer in a list": (
        "a.jsonl",
        jsonl(lambda n: {"prompt": question(n), "response": [answer(n)]}),
        CHAT,
    ),
    "A1b an answer in an object": (
        "a.jsonl",
        jsonl(lambda n: {"prompt": question(n), "response": {"text": answer(n)}}),
        CHAT,
    ),
    "A2 content parts with values": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "messages": [
                    {"role": "user", "content": part("text", "value", question(n))},
                    {"role": "assistant", "content": part("text", "value", answer(n))},
                ]
            }
        ),
        CHATS,
    ),
    "A3 chosen and rejected messages in parts": (
        "a.jsonl",
        jsonl(
            lambda n: {
                f"{name}_messages": [
                    {"role": "user", "content": part("text", "value", question(n))},
                    {"role": "assistant", "content": part("text", "value", text(n))},
                ]
                for name, text in (("chosen", answer), ("rejected", bad))
            }
        ),
        PREFER,
    ),
    "A3b chosen and rejected messages": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "chosen_messages": conversation(n),
                "rejected_messages": [u(question(n)), a(bad(n))],
            }
        ),
        PREFER,
    ),
    "A4 Cohere's roles": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "messages": [
                    {"role": "System", "content": "Be kind."},
                    {"role": "User", "content": question(n)},
                    {"role": "Chatbot", "content": answer(n)},
                ]
            }
        ),
        Expected("chat", chat(("s", "Be kind."), *TURNS["messages"]), sure=True),
    ),
    "A6 Capybara": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "source": "x",
                "conversation": [
                    {"input": "Hello, I need help.", "output": "Gladly, what is it?"},
                    {"input": question(n), "output": answer(n)},
                ],
            }
        ),
        Expected("chat", LONGER, sure=True),
    ),
    "A9 generations and ratings": (
        "a.jsonl",
        jsonl(lambda n: {"instruction": question(n), "generations": [bad(n), answer(n)], "ratings": [1, 5]}),
        PREFER,
    ),
    "A10 Label Studio": (
        "a.json",
        json.dumps(
            [
                {
                    "id": n,
                    "data": {"text": question(n)},
                    "annotations": [
                        {"result": [{"type": "choices", "value": {"choices": [CLASSES[n % 3]]}}]}
                    ],
                }
                for n in range(N_ROWS)
            ]
        ).encode(),
        Expected("classify", {"text": question(1), "label": "shipping"}, sure=True),
    ),
    "A14 pictures": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": question(n)},
                            {"type": "image_url", "image_url": {"url": "https://a.example/b.png"}},
                        ],
                    },
                    a(answer(n)),
                ]
            }
        ),
        Expected("", says="picture"),
    ),
    "A14b pictures beside the text": (
        "a.jsonl",
        jsonl(lambda n: {"messages": [u(f"<image>{question(n)}"), a(answer(n))], "images": [f"a{n}.jpg"]}),
        Expected("", says="picture"),
    ),
    "token ids": (
        "a.jsonl",
        jsonl(
            lambda n: {"input_ids": [1, 2, 3 + n, 4], "attention_mask": [1, 1, 1, 1], "labels": [1, 2, 3, 4]}
        ),
        Expected("", says="token"),
    ),
    "A15 SQuAD": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "id": f"{n}f",
                "title": "Orders",
                "question": question(n),
                "context": f"Order {n} can be changed. {answer(n)}",
                "answers": {"text": [answer(n), "no"], "answer_start": [27, 3]},
            }
        ),
        Expected(
            "chat",
            {
                "prompt": f"{question(1)}\n\nOrder 1 can be changed. {answer(1)}",
                "response": answer(1),
            },
            sure=True,
        ),
    ),
    "extraction stays as it is": (
        "a.jsonl",
        jsonl(lambda n: {"prompt": question(n), "answer": {"intent": "address", "order": n}}),
        Expected("chat", {"prompt": question(1), "response": '{"intent": "address", "order": 1}'}, sure=True),
    ),
    "objects that nobody knows": (
        "a.jsonl",
        jsonl(lambda n: {"prompt": [{"speaks": "p1", "says": question(n)}], "response": answer(n)}),
        Expected("chat", sure=False, finding="machine_text"),
    ),
    # 2: bad as good
    "B1 unpaired preferences": (
        "a.jsonl",
        jsonl(
            lambda n: {"messages": [u(question(n)), a(bad(n) if n % 2 else answer(n))], "label": n % 2 == 0}
        ),
        Expected("prefer", {"prompt": question(0), "chosen": answer(0), "rejected": ""}, index=0),
    ),
    "B1 TRL's unpaired form": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "prompt": [u(question(n // 2))],
                "completion": [a(bad(n // 2) if n % 2 else answer(n // 2))],
                "label": n % 2 == 0,
            }
        ),
        Expected("prefer", PAIR, count=20),
    ),
    "B4 messages and a rejected response": (
        "a.jsonl",
        jsonl(lambda n: {"messages": conversation(n), "rejected_response": bad(n)}),
        PREFER,
    ),
    "B4 messages and rejected messages": (
        "a.jsonl",
        jsonl(lambda n: {"messages": conversation(n), "rejected_messages": [a(bad(n))]}),
        PREFER,
    ),
    "B5 replies with a rating": (
        "a.csv",
        table(
            ("customer_message", "agent_reply", "csat"),
            lambda n: (question(n), bad(n) if n % 2 else answer(n), 1 if n % 2 else 5),
        ),
        Expected("chat", sure=False, finding="rated_answers", index=0),
    ),
    "B6 thumbs on single answers": (
        "a.csv",
        table(
            ("question", "answer", "thumbs"),
            lambda n: (question(n), bad(n) if n % 2 else answer(n), "down" if n % 2 else "up"),
        ),
        Expected("prefer", {"prompt": question(0), "chosen": answer(0), "rejected": ""}, index=0),
    ),
    "B7 a weight of 0": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "messages": [u("Hello, I need help."), a("Gladly, what is it?", weight=0), *conversation(n)]
            }
        ),
        Expected("chat", LONGER, sure=True, says="weight"),
    ),
    "thoughts beside the answers": (
        "a.jsonl",
        jsonl(
            lambda n: {"messages": [u(question(n)), a(answer(n), reasoning_content="They want to move it.")]}
        ),
        Expected("chat", TURNS, sure=True, says="thoughts"),
    ),
    "B9 an ideal response": (
        "a.csv",
        table(
            ("Customer Query", "Bot Response", "Ideal Response"),
            lambda n: (question(n), bad(n), answer(n)),
        ),
        Expected("chat", texts()),
    ),
    "B11 scored answers": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "prompt": question(n // 2),
                "response": bad(n // 2) if n % 2 == 0 else answer(n // 2),
                "helpfulness": 1 if n % 2 == 0 else 4,
                "correctness": 2,
                "verbosity": 1,
            }
        ),
        Expected("chat", sure=False, finding="rated_answers"),
    ),
    # 3: instructions
    "C2 system prompt first": (
        "a.csv",
        table(
            ("System Prompt", "User Message", "Assistant Message"),
            lambda n: ("Be kind.", question(n), answer(n)),
        ),
        Expected("chat", chat(("s", "Be kind."), *TURNS["messages"]), sure=True),
    ),
    "C2b system prompt in the middle": (
        "a.csv",
        table(
            ("User Prompt", "System Prompt", "Response"),
            lambda n: (question(n), f"Be kind in case {n % 3}.", answer(n)),
        ),
        Expected("chat", chat(("s", "Be kind in case 1."), *TURNS["messages"]), sure=True),
    ),
    "C1 a system key beside messages": (
        "a.jsonl",
        jsonl(lambda n: {"system": "Be kind.", "messages": conversation(n)}),
        Expected("chat", chat(("s", "Be kind."), *TURNS["messages"]), sure=True),
    ),
    "C1 Bedrock": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "system": [{"text": "Be kind."}],
                "messages": [
                    {"role": "user", "content": [{"text": question(n)}]},
                    {"role": "assistant", "content": [{"text": answer(n)}]},
                ],
            }
        ),
        Expected("chat", chat(("s", "Be kind."), *TURNS["messages"]), sure=True),
    ),
    "C5 history": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "system": "Be kind.",
                "query": question(n),
                "response": answer(n),
                "history": [["Hello, I need help.", "Gladly, what is it?"]] if n % 2 else [],
            }
        ),
        Expected("chat", chat(("s", "Be kind."), *LONGER["messages"]), sure=True),
    ),
    # 4: order and branches
    "D1 newest first": (
        "a.csv",
        records(
            ("Conversation ID", "Sent at", "Sender", "Message"),
            lambda n: [
                (f"C{n}", "2024-05-01 10:08:00", "agent", "You are welcome."),
                (f"C{n}", "2024-05-01 10:07:00", "customer", "Thank you."),
                (f"C{n}", "2024-05-01 10:06:00", "agent", answer(n)),
                (f"C{n}", "2024-05-01 10:05:00", "customer", question(n)),
            ],
            N_ROWS,
        ),
        Expected("chat", chat(*TURNS["messages"], ("u", "Thank you."), ("a", "You are welcome.")), sure=True),
    ),
    "D1 newest first, days first": (
        "a.csv",
        records(
            ("Conversation ID", "Sent at", "Sender", "Message"),
            lambda n: [
                (f"C{n}", f"0{n % 8 + 2}/11/2024 09:06", "agent", answer(n)),
                (f"C{n}", f"0{n % 8 + 1}/11/2024 17:05", "customer", question(n)),
            ],
            N_ROWS,
        ),
        CHATS,
    ),
    "D3 an oasst tree": (
        "a.csv",
        records(("message_tree_id", "message_id", "parent_id", "role", "text", "rank"), oasst, N_ROWS),
        CHATS,
    ),
    "D5b Intercom's parts": (
        "a.csv",
        records(
            ("conversation_id", "author_type", "body", "created_at"),
            lambda n: [
                (f"C{n}", "user", question(n), 1700000000 + n),
                (f"C{n}", "admin", answer(n), 1700000060 + n),
            ],
            N_ROWS,
        ),
        CHATS,
    ),
    "E8 tweets with reply ids": (
        "a.csv",
        records(
            ("tweet_id", "author_id", "inbound", "text", "in_response_to_tweet_id"),
            lambda n: [
                (2 * n + 2, "AcmeHelp", "False", answer(n), 2 * n + 1),
                (2 * n + 1, f"{n + 115000}", "True", question(n), ""),
            ],
            N_ROWS,
        ),
        CHATS,
    ),
    # 5: help desks
    "E1 tickets with a subject, a body and an answer": (
        "a.csv",
        table(("subject", "body", "answer", "type", "queue", "priority", "language", "tag_1"), ticket, 64),
        Expected(
            "chat",
            {
                "prompt": "Order 1\n\nDear team, how do I change the address of order 1? "
                "It should go elsewhere.",
                "response": "Open the settings, choose order 1 and press edit, then save it.",
            },
        ),
    ),
    "E3 tickets with a type and a channel": (
        "a.csv",
        table(
            (
                *("Ticket ID", "Customer Name", "Ticket Type", "Ticket Subject", "Ticket Description"),
                *("Ticket Status", "Ticket Priority", "Ticket Channel"),
            ),
            lambda n: (
                *(n, "Anna Meyer", ("Refund", "Technical issue", "Billing")[n % 3]),
                *(("Device", "Account")[n % 2], f"I have an issue with order {n}. Please assist me soon."),
                *(("Open", "Closed")[n % 2], ("Low", "High", "Critical")[n // 2 % 3]),
                ("Email", "Phone", "Chat")[n // 3 % 3],
            ),
            80,
        ),
        Expected(
            "classify",
            {"text": "I have an issue with order 1. Please assist me soon.", "label": "Technical issue"},
            sure=False,
        ),
    ),
    "E4 a constant column beside the classes": (
        "a.csv",
        "\n".join(
            f'"{4 if n % 2 else 0}","{1467810369 + n}","Mon Apr 06 22:19:{n % 60:02} PDT 2009","NO_QUERY",'
            f'"user{n}","The weather of day {n} is {"fine" if n % 2 else "awful"} here"'
            for n in range(80)
        ).encode(),
        Expected("classify", {"text": "The weather of day 1 is fine here", "label": "4"}),
    ),
    "E5 reviews with a title and a rating": (
        "a.csv",
        table(
            ("Review Title", "Review Text", "Rating"),
            lambda n: (
                ("Good", "Poor", "Fair enough")[n % 3] + f" lamp {n}",
                f"The lamp of order {n} is bright and came on time.",
                n % 5 + 1,
            ),
            80,
        ),
        Expected(
            "classify",
            {"text": "Poor lamp 1\n\nThe lamp of order 1 is bright and came on time.", "rating": "2"},
        ),
    ),
    "E6 links as answers": (
        "a.csv",
        table(HEAD, lambda n: (question(n), f"https://help.example/orders/{n}")),
        Expected(
            "chat",
            {"prompt": question(1), "response": "https://help.example/orders/1"},
            sure=False,
            finding="links",
        ),
    ),
    "E12 class names in Parquet": (
        "a.parquet",
        parquet(
            pa.table(
                {"text": [question(n) for n in range(N_ROWS)], "label": [n % 2 for n in range(N_ROWS)]}
            ).replace_schema_metadata(
                {
                    "huggingface": json.dumps(
                        {
                            "info": {
                                "features": {
                                    "text": {"dtype": "string", "_type": "Value"},
                                    "label": {"names": ["billing", "shipping"], "_type": "ClassLabel"},
                                }
                            }
                        }
                    )
                }
            )
        ),
        Expected("classify", {"text": question(1), "label": "shipping"}, sure=True),
    ),
    "E13b missing answers as pandas writes them": (
        "a.csv",
        table(
            HEAD,
            lambda n: (question(n), ("nan", "N/A", "#N/A", "null")[n // 4 % 4] if n % 4 == 0 else answer(n)),
        ),
        Expected("chat", texts(1), index=0, count=30),
    ),
    "E15 SHP": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "post_id": f"p{n}",
                "domain": "askanything",
                "history": question(n),
                "human_ref_A": answer(n),
                "human_ref_B": bad(n),
                "labels": 1,
                "score_A": 30 + n,
                "score_B": 3,
            }
        ),
        Expected("prefer", PAIR),
    ),
    # 6: delimited text
    "F8 Thai in cp874": (
        "a.csv",
        lines(lambda n: f"{THAI[0]} {n},{THAI[1]} {n}").decode().encode("cp874"),
        Expected("chat", {"prompt": f"{THAI[0]} 1", "response": f"{THAI[1]} 1"}, sure=True),
    ),
    "F8 Thai in cp874, many": (
        "a.csv",
        lines(lambda n: f"{THAI[0]} {n},{THAI[1]} {n}", 200).decode().encode("cp874"),
        Expected("chat", {"prompt": f"{THAI[0]} 1", "response": f"{THAI[1]} 1"}, sure=True),
    ),
    "F8 Vietnamese in cp1258": (
        "a.csv",
        lines(lambda n: f"Làm sao để đổi địa chi đơn hàng {n}?,Mo cài đặt rồi chon đơn {n} và sua.")
        .decode()
        .encode("cp1258", "ignore"),
        Expected("chat"),
    ),
    "F1 backslash before quotes": (
        "a.csv",
        lines(lambda n: f'"{question(n)}","Press \\"Edit\\", then choose order {n}."'),
        Expected(
            "chat", {"prompt": question(1), "response": 'Press "Edit", then choose order 1.'}, count=N_ROWS
        ),
    ),
    "F2 single quotes": (
        "a.csv",
        lines(lambda n: f"'{question(n)}','First, open the settings, then choose order {n}.'"),
        Expected(
            "chat",
            {"prompt": question(1), "response": "First, open the settings, then choose order 1."},
            count=N_ROWS,
        ),
    ),
    "F3 the last column runs over": (
        "a.csv",
        lines(
            lambda n: (
                f"{question(n)},First{',' if n % 3 else ''} open the settings{',' if n % 2 else ''}"
                f" then choose order {n}."
            )
        ),
        Expected(
            "chat",
            {"prompt": question(1), "response": "First, open the settings, then choose order 1."},
            count=N_ROWS,
        ),
    ),
    "F4 Qualtrics": (
        "a.csv",
        records(
            ("StartDate", "Q1", "Q2"),
            lambda n: (
                [
                    ("Start Date", "What did you ask?", "What was the answer?"),
                    ('{"ImportId":"startDate"}', '{"ImportId":"QID1"}', '{"ImportId":"QID2"}'),
                ]
                if n == 0
                else [("2024-05-01 10:05:00", question(n), answer(n))]
            ),
            N_ROWS,
        ),
        Expected("chat", texts(1), index=0, count=N_ROWS - 1),
    ),
    "F6 two header lines": (
        "a.xlsx",
        workbook(
            (
                "Log",
                [
                    ["Customer", "", "Agent", ""],
                    ["Name", "Message", "Name", "Reply"],
                    *(["Anna", question(n), "Tom", answer(n)] for n in range(N_ROWS)),
                ],
            ),
            change=lambda book, pages: (
                pages[0].merge_range(0, 0, 0, 1, "Customer"),
                pages[0].merge_range(0, 2, 0, 3, "Agent"),
            ),
        ),
        Expected("chat", texts(1), count=N_ROWS),
    ),
    "F7 full-width comma": (
        "a.csv",
        lines(lambda n: f"怎么修改第{n}个地址？，请打开设置并选择第{n}项。", head="问题，回答"),
        Expected(
            "chat", {"prompt": "怎么修改第1个地址？", "response": "请打开设置并选择第1项。"}, count=N_ROWS
        ),
    ),
    "F10 line ends of Windows in cells": (
        "a.csv",
        table(HEAD, lambda n: (f"Hello,\r\n{question(n)}", f"{answer(n)}\r\nBye.")),
        Expected("chat", {"prompt": f"Hello,\n{question(1)}", "response": f"{answer(1)}\nBye."}, sure=True),
    ),
    "F11 written-out line ends": (
        "a.csv",
        table(HEAD, lambda n: (f"Hello,\\n{question(n)}", f"{answer(n)}\\n\\nBye.")),
        Expected("chat", finding="line_ends"),
    ),
    "numbers alone": (
        "a.csv",
        lines(lambda n: f"{n},{n * 2}", 20, head="a,b"),
        Expected("", says="numbers"),
    ),
    # 8: wrong cause
    "Gemini": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "systemInstruction": {"role": "system", "parts": [{"text": "Be kind."}]},
                "contents": [
                    {"role": "user", "parts": [{"text": question(n)}]},
                    {"role": "model", "parts": [{"text": answer(n)}]},
                ],
            }
        ),
        Expected("chat", chat(("s", "Be kind."), *TURNS["messages"]), sure=True),
    ),
    "OpenAI tool calls after an answer": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "messages": [
                    *conversation(n),
                    u("And move it."),
                    {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "move"}}]},
                    {"role": "tool", "tool_call_id": "1", "content": "moved"},
                    a("It is moved."),
                ],
                "tools": [{"type": "function", "function": {"name": "move"}}],
            }
        ),
        Expected("chat", TURNS, says="tool"),
    ),
    "OpenAI tool calls alone": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "messages": [
                    u(question(n)),
                    {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "move"}}]},
                ],
                "tools": [{"type": "function", "function": {"name": "move"}}],
            }
        ),
        Expected("", says="tool"),
    ),
    "ChatGPT's export": (
        "conversations.json",
        json.dumps([chatgpt_conversation(n) for n in range(N_ROWS)]).encode(),
        CHATS,
    ),
    "a read-me sheet first": (
        "a.xlsx",
        workbook(
            ("Read me", [["About", "Text"], ["this", "file holds questions"], ["two", "lines"]]), ("Data", QA)
        ),
        Expected("chat", texts(), count=N_ROWS),
    ),
    "two months of like columns": (
        "a.xlsx",
        workbook(("May", QA), ("June", [HEAD, *([question(n + 99), answer(n)] for n in range(12))])),
        Expected("chat", texts(), count=N_ROWS, says="June"),
    ),
    "rows hidden by a filter": (
        "a.xlsx",
        workbook(
            ("Data", QA),
            change=lambda book, pages: [pages[0].set_row(n, None, None, {"hidden": True}) for n in (3, 4, 5)],
        ),
        Expected("chat", texts(), says="hidden"),
    ),
    "JSON with a comma too many": (
        "a.json",
        b"["
        + b",\n".join(
            b'{"question": "%s", "answer": "%s",}' % (question(n).encode(), answer(n).encode())
            for n in range(N_ROWS)
        )
        + b"]",
        Expected("chat", texts(), count=N_ROWS),
    ),
    "JSON in Python's quotes": (
        "a.json",
        (
            "[" + ",\n".join(str({"question": question(n), "answer": answer(n)}) for n in range(N_ROWS)) + "]"
        ).encode(),
        Expected("chat", texts(), count=N_ROWS),
    ),
    # Missing
    "### Human": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "text": f"### Human: Hello, I need help.\n### Assistant: Gladly, what is it?"
                f"\n### Human: {question(n)}\n### Assistant: {answer(n)}"
            }
        ),
        Expected("chat", LONGER, sure=True),
    ),
    "### Instruction": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "text": "Below is an instruction that describes a task. Write a response.\n\n"
                f"### Instruction:\n{question(n)}\n\n### Response:\n{answer(n)}"
            }
        ),
        Expected(
            "chat",
            chat(
                ("s", "Below is an instruction that describes a task. Write a response."), *TURNS["messages"]
            ),
            sure=True,
        ),
    ),
    "ChatML": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "text": f"<|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>user\n{question(n)}<|im_end|>\n"
                f"<|im_start|>assistant\n{answer(n)}<|im_end|>"
            }
        ),
        Expected("chat", chat(("s", "Be kind."), *TURNS["messages"]), sure=True),
    ),
    "Llama's [INST]": (
        "a.jsonl",
        jsonl(lambda n: {"text": f"<s>[INST] {question(n)} [/INST] {answer(n)} </s>"}),
        CHATS,
    ),
    "Human and Assistant": (
        "a.jsonl",
        jsonl(lambda n: {"text": f"Human: {question(n)}\nAssistant: {answer(n)}"}),
        CHATS,
    ),
    "Customer and Agent in a cell": (
        "a.csv",
        table(
            ("id", "transcript"),
            lambda n: (
                f"T{n}",
                f"Customer: Hello, I need help.\nAgent: Gladly, what is it?\n"
                f"Customer: {question(n)}\nAgent: {answer(n)}",
            ),
        ),
        Expected("chat", LONGER, sure=True),
    ),
    "Q and A in a text": (
        "a.txt",
        "\n\n".join(f"Q: {question(n)}\nA: {answer(n)}" for n in range(N_ROWS)).encode(),
        Expected("chat", TURNS, sure=True, count=N_ROWS),
    ),
    "问 and 答 in a text": (
        "a.txt",
        "\n".join(
            f"问：怎么修改第{n}个地址？\n答：请打开设置并选择第{n}项。" for n in range(N_ROWS)
        ).encode(),
        Expected(
            "chat",
            chat(("u", "怎么修改第1个地址？"), ("a", "请打开设置并选择第1项。")),
            sure=True,
            count=N_ROWS,
        ),
    ),
    "WeChat": (
        "a.txt",
        "\n\n".join(
            f"张三 2024-{n // 28 + 5:02}-{n % 28 + 1:02} 09:10:05\n怎么修改第{n}个地址？\n\n"
            f"客服小李 2024-{n // 28 + 5:02}-{n % 28 + 1:02} 09:12:35\n请打开设置并选择第{n}项。"
            for n in range(N_ROWS)
        ).encode(),
        Expected("chat", chat(("u", "怎么修改第1个地址？"), ("a", "请打开设置并选择第1项。")), count=N_ROWS),
    ),
    "a Markdown table": (
        "a.md",
        "\n".join(
            ("# Help", "", "| question | answer |", "|---|---|", *(f"| {q} | {r} |" for q, r in CSV_ROWS))
        ).encode(),
        Expected("chat", texts(), sure=True, count=N_ROWS),
    ),
    "fastText": (
        "a.txt",
        "\n".join(f"__label__{CLASSES[n % 3]} {question(n)}" for n in range(N_ROWS)).encode(),
        Expected("classify", {"text": question(1), "label": "shipping"}, sure=True, count=N_ROWS),
    ),
    "pairs of texts with a class": (
        "a.csv",
        table(
            ("premise", "hypothesis", "label"),
            lambda n: (question(n), f"Somebody ordered item {n}.", ("entailment", "neutral", "no")[n % 3]),
            60,
        ),
        Expected(
            "classify",
            {"text": f"premise: {question(1)}\n\nhypothesis: Somebody ordered item 1.", "label": "neutral"},
        ),
    ),
    "duplicate questions": (
        "a.csv",
        table(
            ("id", "qid1", "qid2", "question1", "question2", "is_duplicate"),
            lambda n: (n, 2 * n, 2 * n + 1, question(n), f"Can order {n} go elsewhere?", n % 2),
            60,
        ),
        Expected(
            "classify",
            {"text": f"question1: {question(1)}\n\nquestion2: Can order 1 go elsewhere?", "label": "1"},
        ),
    ),
    "labels in columns of their own": (
        "a.csv",
        table(
            ("comment", "toxic", "insult", "threat"),
            lambda n: (f"The comment of person {n} is a long one.", n % 2, n // 2 % 2, n // 4 % 2),
            80,
        ),
        Expected(
            "classify",
            {"text": "The comment of person 3 is a long one.", "labels": '["insult", "toxic"]'},
            index=3,
        ),
    ),
    "several labels in a cell": (
        "a.csv",
        table(
            ("text", "tags"),
            lambda n: (
                question(n),
                ("billing, refund", "billing", "refund, shipping", "shipping, billing")[n % 4],
            ),
        ),
        Expected("classify", {"text": question(1), "labels": '["billing"]'}, sure=True),
    ),
    "a split column": (
        "a.csv",
        table(
            ("text", "label", "split"),
            lambda n: (question(n), CLASSES[n % 3], "test" if n % 5 == 0 else "train"),
            60,
        ),
        Expected("classify", {"text": question(1), "label": "shipping"}, index=0, count=48, says="split"),
    ),
    "gzip": (
        "a.jsonl.gz",
        gzip.compress(jsonl(lambda n: {"prompt": question(n), "response": answer(n)})),
        CHAT,
    ),
    "Arrow": (
        "a.arrow",
        arrow(
            pa.table(
                {
                    "prompt": [question(n) for n in range(N_ROWS)],
                    "response": [answer(n) for n in range(N_ROWS)],
                }
            )
        ),
        CHAT,
    ),
    "unfilled placeholders": (
        "a.csv",
        table(HEAD, lambda n: (question(n), f"Dear {{{{name}}}}, {answer(n)}")),
        Expected("chat", finding="placeholders"),
    ),
    "quoted mails and signatures": (
        "a.csv",
        table(
            HEAD,
            lambda n: (
                question(n),
                f"{answer(n)}\n\nKind regards,\nTom\n\n"
                f"On Mon, May 6, 2024 at 10:05 AM Anna <a@b.example> wrote:\n"
                f"> {question(n)}",
            ),
        ),
        Expected("chat", finding="quoted_mails"),
    ),
    "answers that are all the same": (
        "a.csv",
        table(HEAD, lambda n: (question(n), "Please call us." if n % 8 else answer(n))),
        Expected("chat", sure=False, finding="same_answer"),
    ),
    "a second column of answers": (
        "a.csv",
        table(
            ("question", "answer", "long explanation"),
            lambda n: (
                question(n),
                answer(n),
                f"The reason of case {n} is that orders can be changed there.",
            ),
        ),
        Expected("chat", texts(), finding="unused_text"),
    ),
}
