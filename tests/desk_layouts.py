"""Tables that help desks, shops and teams keep, with columns named as people name them, and what is right.

`DESKS` has the form of `public_layouts.LAYOUTS`.
"""

from field_cases import answer, bad, jsonl, question, table
from public_layouts import QA, A, Q, label, labelled, long, short

NAMES = ("Anna Meyer", "Ben O'Hara", "Chen Wei", "Li Na")


def name(n):
    return NAMES[n % 4]


def zh_q(n):
    return f"请问第{n}号订单什么时候发货？"


def zh_a(n):
    return f"您好，第{n}号订单明天发货，请您留意。"


KINDS = ("发货", "退款", "换货")
SUMMARY = ("chat", {"prompt": long(1), "response": short(1)})
GERMAN = ("Wie ändere ich Bestellung {}?", "Öffne die Bestellung {} und drücke dort auf Ändern.")
ZH = ("chat", {"prompt": zh_q(1), "response": zh_a(1)})


def turn(n):
    """A question, then its answer."""
    return (question, answer)[n % 2](n // 2)


def csv(head, make, count=40):
    return "a.csv", table(head, make, count)


DESKS = {
    "customer and agent": (*csv(("Customer", "Agent"), lambda n: (question(n), answer(n))), [QA]),
    "names beside messages": (
        *csv(
            ("Customer Name", "Customer Message", "Agent Name", "Agent Message"),
            lambda n: (name(n), question(n), name(n + 1), answer(n)),
        ),
        [QA],
    ),
    "inquiry and reply": (*csv(("Inquiry", "Reply"), lambda n: (question(n), answer(n))), [QA]),
    "request and solution": (
        *csv(("Request", "Solution", "Solved by"), lambda n: (question(n), answer(n), name(n))),
        [QA],
    ),
    "user says and bot says": (*csv(("User Says", "Bot Says"), lambda n: (question(n), answer(n))), [QA]),
    "question with sources": (
        *csv(
            ("Question", "Answer", "Source URL", "Last updated"),
            lambda n: (question(n), answer(n), f"https://a.example/{n}", "2024-05-01"),
        ),
        [QA],
    ),
    "question with a comment column": (
        *csv(
            ("Question", "Answer", "Comments"),
            lambda n: (question(n), answer(n), "" if n % 4 else "Please check this with the team again."),
        ),
        [QA],
    ),
    "two drafts": (
        *csv(("question", "draft", "final"), lambda n: (question(n), bad(n), answer(n))),
        [QA],
    ),
    "answer before question": (*csv(("Answer", "Question"), lambda n: (answer(n), question(n))), [QA]),
    "ticket text and queue": (
        *csv(("Ticket", "Queue"), lambda n: (long(n), label(n))),
        [labelled(long(1))],
    ),
    "message and intent": (
        *csv(("id", "message", "intent", "confidence"), lambda n: (n, question(n), label(n), 0.5 + n / 100)),
        [labelled(Q)],
    ),
    "complaint types": (
        *csv(
            (
                "Date received",
                "Product",
                "Issue",
                "Consumer complaint narrative",
                "Company response to consumer",
            ),
            lambda n: ("05/01/2024", label(n), "Billing dispute", long(n), ("Closed", "In progress")[n % 2]),
            60,
        ),
        [labelled(long(1))],
    ),
    "feedback with sentiment": (
        *csv(("Feedback", "Sentiment", "Reviewer"), lambda n: (long(n), ("good", "bad")[n % 2], name(n))),
        [labelled(long(1), "bad")],
    ),
    "reviews with stars": (
        *csv(("Review", "Stars"), lambda n: (long(n), n % 5 + 1), 60),
        [("classify", {"text": long(1), "rating": "2"})],
    ),
    "spam or not": (
        *csv(("email", "is_spam"), lambda n: (long(n), n % 2)),
        [labelled(long(1), "1")],
    ),
    "urgent or not": (
        *csv(("text", "urgent"), lambda n: (long(n), ("yes", "no")[n % 2])),
        [labelled(long(1), "no")],
    ),
    "replies with csat": (
        *csv(
            ("query", "reply", "CSAT score"),
            lambda n: (question(n), (bad if n % 2 else answer)(n), n % 5 + 1),
        ),
        [],
    ),
    "replies with quality": (
        *csv(
            ("prompt", "completion", "quality"),
            lambda n: (question(n), (bad if n % 2 else answer)(n), ("good", "bad")[n % 2]),
        ),
        [],
    ),
    "replies marked as approved": (
        *csv(
            ("prompt", "response", "approved"),
            lambda n: (question(n), (bad if n % 2 else answer)(n), ("yes", "no")[n % 2]),
        ),
        [],
    ),
    "replies reviewed": (
        *csv(
            ("question", "answer", "review_status"),
            lambda n: (question(n), (bad if n % 2 else answer)(n), ("accepted", "rejected")[n % 2]),
        ),
        [],
    ),
    "answers flagged wrong": (
        *csv(
            ("question", "answer", "correct"),
            lambda n: (question(n), (bad if n % 2 else answer)(n), ("TRUE", "FALSE")[n % 2]),
        ),
        [],
    ),
    "product texts": (
        *csv(
            ("sku", "title", "features", "description"),
            lambda n: (f"L{n}", f"Lamp {n}", f"bright, small, {n} watts, made of brass and glass", long(n)),
        ),
        [("chat", {"prompt": "bright, small, 1 watts, made of brass and glass", "response": long(1)})],
    ),
    "text and summary": (
        *csv(("Text", "Summary"), lambda n: (long(n), short(n))),
        [("chat", {"prompt": long(1), "response": short(1)})],
    ),
    "source and target": (
        *csv(("source", "target"), lambda n: (short(n), f"Die Lampe {n} verkauft sich gut bei uns.")),
        [("chat", {"prompt": short(1), "response": "Die Lampe 1 verkauft sich gut bei uns."})],
    ),
    "formal and informal": (
        *csv(("informal", "formal"), lambda n: (short(n), long(n))),
        [("chat", {"prompt": short(1), "response": long(1)})],
    ),
    "Chinese desk": (
        *csv(
            ("工单编号", "客户问题", "客服回复", "处理人", "满意度"),
            lambda n: (n, zh_q(n), zh_a(n), "小王", 5),
        ),
        [ZH],
    ),
    "Chinese desk with ratings": (
        *csv(
            ("客户问题", "客服回复", "满意度评分"),
            lambda n: (zh_q(n), zh_a(n) if n % 2 else f"第{n}号订单我不知道，你自己去看看。", n % 5 + 1),
        ),
        [("prefer", {"prompt": zh_q(1), "chosen": "", "rejected": zh_a(1)})],
    ),
    "Chinese classes": (
        *csv(
            ("内容", "一级分类", "二级分类"),
            lambda n: (zh_q(n), ("物流", "售后")[n % 2], ("发货", "退款", "换货")[n % 3]),
            60,
        ),
        [labelled(zh_q(1), "售后"), labelled(zh_q(1), "退款")],
    ),
    "Chinese questions and standard answers": (
        *csv(("问题", "参考答案"), lambda n: (zh_q(n), zh_a(n))),
        [ZH],
    ),
    "German desk": (
        *csv(
            ("Frage", "Antwort"),
            lambda n: (
                f"Wie ändere ich Bestellung {n}?",
                f"Öffne die Bestellung {n} und drücke dort auf Ändern.",
            ),
        ),
        [
            (
                "chat",
                {
                    "prompt": "Wie ändere ich Bestellung 1?",
                    "response": "Öffne die Bestellung 1 und drücke dort auf Ändern.",
                },
            )
        ],
    ),
    "form answers": (
        *csv(
            ("Timestamp", "What is your question?", "What should we have answered?"),
            lambda n: (f"5/{n % 28 + 1}/2024 10:05:00", question(n), answer(n)),
        ),
        [QA],
    ),
    "slack export": (
        "a.json",
        b"["
        + b",".join(
            jsonl(
                lambda n: {
                    "type": "message",
                    "user": f"U{n % 3}",
                    "text": question(n) if n % 2 else answer(n),
                    "ts": f"17000000{n:02}.000100",
                }
            ).split(b"\n")
        )
        + b"]",
        [],
    ),
    "evaluation of a bot": (
        *csv(
            ("Test case", "User input", "Expected output", "Actual output", "Pass/Fail"),
            lambda n: (f"TC-{n}", question(n), answer(n), bad(n), ("Pass", "Fail")[n % 2]),
        ),
        [QA],
    ),
    "prompts and outputs of two models": (
        *csv(("prompt", "gpt4_output", "llama_output"), lambda n: (question(n), answer(n), bad(n))),
        [QA],
    ),
    "answers by two teams": (
        *csv(("question", "answer 1", "answer 2"), lambda n: (question(n), answer(n), bad(n))),
        [],
    ),
    "messages with direction": (
        *csv(
            ("ticket_id", "direction", "body"),
            lambda n: (
                n // 2,
                ("inbound", "outbound")[n % 2],
                question(n // 2) if n % 2 == 0 else answer(n // 2),
            ),
            80,
        ),
        [("chat", {"messages": [("u", Q), ("a", A)]})],
    ),
    "messages with names of speakers": (
        *csv(
            ("chat_id", "name", "message"),
            lambda n: (
                n // 2,
                ("Anna", "Support Team")[n % 2],
                question(n // 2) if n % 2 == 0 else answer(n // 2),
            ),
            80,
        ),
        [("chat", {"messages": [("u", Q), ("a", A)]})],
    ),
    "a log without conversations": (
        *csv(
            ("time", "sender", "message"),
            lambda n: (
                f"2024-05-01 10:{n:02}:00",
                ("customer", "agent")[n % 2],
                question(n // 2) if n % 2 == 0 else answer(n // 2),
            ),
        ),
        [],
    ),
    "keys and values": (*csv(("key", "value"), lambda n: (f"faq.order.{n}", answer(n))), []),
    "half of the answers missing": (
        *csv(("question", "answer"), lambda n: (question(n), answer(n) if n % 5 == 1 else "")),
        [],
    ),
}
