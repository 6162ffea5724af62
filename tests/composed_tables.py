"""Tables composed by chance: a question and an answer, or a text and its class, among other columns."""

import random

from field_cases import N_ROWS, answer, bad, question, table
from public_layouts import label, long

QUESTION_NAMES = (
    *(
        "prompt",
        "Question",
        "user_input",
        "Customer Query",
        "customer message",
        "Inquiry",
        "request",
        "instruction",
    ),
    *(
        "Problem Description",
        "userMessage",
        "问题",
        "客户问题",
        "客户留言",
        "提问内容",
        "user_prompt",
        "Issue",
    ),
)
ANSWER_NAMES = (
    *(
        "response",
        "Answer",
        "assistant_output",
        "Agent Reply",
        "agent response",
        "Reply",
        "completion",
        "output",
    ),
    *("Resolution", "botReply", "回答", "客服回复", "标准答案", "回复内容", "support_answer", "target"),
)
TEXT_NAMES = (
    "text",
    "Review",
    "message",
    "Ticket",
    "comment_text",
    "Feedback",
    "文本",
    "评论内容",
    "email body",
)
LABEL_NAMES = (
    "label",
    "Category",
    "intent",
    "topic",
    "Sentiment",
    "类别",
    "意图",
    "ticket_category",
    "class",
)


def dates(n, chance):
    return f"2024-0{n % 9 + 1}-1{n % 9} 10:0{n % 10}"


# Columns that stand beside the others and change nothing: their names, and their cells.
NEUTRAL = (
    (("id", "Ticket ID", "编号"), lambda n, chance: f"T-{n:05}"),
    (("created_at", "Date", "提交时间"), dates),
    (
        ("customer_name", "Agent Name", "客户姓名"),
        lambda n, chance: chance.choice(("Anna Meyer", "Li Na", "Tom Fox")),
    ),
    (("language", "Channel", "渠道"), lambda n, chance: chance.choice(("en", "mail", "chat"))),
    (("url", "Link"), lambda n, chance: f"https://a.example/{n}"),
    (("version", "company"), lambda n, chance: "Acme"),
    (("word_count", "response_time"), lambda n, chance: str(chance.randrange(400))),
    (("email", "contact_email"), lambda n, chance: f"a{n}@b.example"),
    (("model", "is_vip"), lambda n, chance: chance.choice(("yes", "no"))),
    (("empty", "备注"), lambda n, chance: ""),
)
# Columns that rate an answer: with one of them nothing may be called sure that learns every answer.
RATING = (
    (("rating", "CSAT", "满意度", "helpfulness"), lambda n: n % 5 + 1),
    (("thumbs", "feedback", "accepted"), lambda n: ("up", "down")[n % 2]),
    (("approved", "correct", "is_good"), lambda n: ("TRUE", "FALSE")[n % 2]),
    (("review", "status", "判断"), lambda n: ("accepted", "rejected")[n % 2]),
    (("quality score", "评分"), lambda n: (0.1, 0.9, 0.5)[n % 3]),
)
# Columns with other texts: with one of them the reading may be doubted, and must be right where it is not.
TEXTS = (
    (
        ("notes", "internal_note", "explanation"),
        lambda n: f"The team of floor {n} should look at this case again.",
    ),
    (("previous answer", "draft_reply", "old_response"), bad),
    (("system_prompt", "System Message"), lambda n: "You are kind and brief."),
)


def compose(seed):
    """A table: its file's name and bytes, what is right, and whether every answer is good.

    What is right is the task with the columns of its roles.
    """
    chance = random.Random(seed)
    is_chat = chance.random() < 0.7
    columns = {}
    if is_chat:
        names = chance.choice(QUESTION_NAMES), chance.choice(ANSWER_NAMES)
        columns = {names[0]: question, names[1]: answer}
        right = ("chat", dict(zip(("prompt", "response"), names, strict=True)))
    else:
        names = chance.choice(TEXT_NAMES), chance.choice(LABEL_NAMES)
        columns = {names[0]: long, names[1]: label}
        right = ("classify", dict(zip(("text", "label"), names, strict=True)))
    for kind, make in chance.sample(NEUTRAL, chance.randrange(4)):
        columns.setdefault(chance.choice(kind), lambda n, make=make: make(n, chance))
    is_rated = is_chat and chance.random() < 0.25
    if is_rated:
        kind, make = chance.choice(RATING)
        columns.setdefault(chance.choice(kind), make)
    if chance.random() < 0.25:
        kind, make = chance.choice(TEXTS)
        columns.setdefault(chance.choice(kind), make)
    order = list(columns)
    chance.shuffle(order)
    content = table(order, lambda n: [columns[name](n) for name in order], N_ROWS)
    return "a.csv", content, right, is_rated
