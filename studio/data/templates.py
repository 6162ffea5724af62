"""Templates: for each task a table to fill in, with a header and two example rows, as CSV and as Excel."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from studio.plan import REQUIRED_ROLES, Task

# Two example rows for each task, in the order of its roles.
EXAMPLES_EN: dict[Task, tuple[tuple[str, ...], ...]] = {
    "chat": (
        (
            "Where is my parcel? It was due on Monday.",
            "It left us today and reaches you tomorrow before noon. You will get a message with the "
            "tracking number by 6 pm.",
        ),
        (
            "Can I change the colour of the chair I ordered?",
            "Yes, until it is packed on Thursday. Tell me the colour you would like, and I will change "
            "the order today.",
        ),
    ),
    "complete": (
        (
            "The Fernhill garden fork has four forged tines and an ash handle. It turns heavy soil "
            "without bending and weighs 1.9 kg.",
        ),
        (
            "The Fernhill watering can holds seven litres. Its brass rose gives a rain soft enough for "
            "seedlings.",
        ),
    ),
    "classify": (
        ("I was charged twice for one order.", "billing"),
        ("The parcel has not moved for three days.", "delivery"),
    ),
    "prefer": (
        (
            "Do you ship to islands?",
            "Yes, in three to five days and at the same price. Enter the island’s postcode at the till "
            "to see the day.",
            "Maybe. Look at the website.",
        ),
        (
            "The lid of my kettle is cracked.",
            "A new lid leaves us today and is free. Keep the old one until it has arrived on Friday.",
            "You must have dropped it.",
        ),
    ),
    "prompts": (
        ("A box holds 12 pens. How many pens are in 7 boxes?", "84"),
        ("A train leaves at 9:40 and arrives at 11:05. How many minutes does it take?", "85"),
    ),
}


EXAMPLES_ZH: dict[Task, tuple[tuple[str, ...], ...]] = {
    "chat": (
        (
            "我的包裹到哪儿了？说好周一到的。",
            "包裹今天已经发出，明天中午前送到。今晚六点前会发短信告诉您快递单号。",
        ),
        ("订的椅子还能换颜色吗？", "可以，周四打包前都能换。请告诉我想要的颜色，我今天就帮您改单。"),
    ),
    "complete": (
        ("蕨山园艺叉有四根锻造叉齿和白蜡木柄，翻硬土也不弯，重 1.9 公斤。",),
        ("蕨山洒水壶能装七升水，黄铜花洒出水细柔，浇幼苗也合适。",),
    ),
    "classify": (("同一个订单扣了我两次钱。", "账单"), ("包裹三天没有动静了。", "物流")),
    "prefer": (
        (
            "你们能寄到海岛吗？",
            "可以，三到五天送到，运费一样。结账时填海岛的邮编，就能看到送达日期。",
            "也许吧，自己看网站。",
        ),
        ("水壶的盖子裂了。", "新盖子今天免费寄出。旧的请先留着，周五收到新的再扔。", "肯定是你自己摔的。"),
    ),
    "prompts": (
        ("一盒装 12 支笔，7 盒一共有多少支？", "84"),
        ("火车 9:40 开，11:05 到，一共开多少分钟？", "85"),
    ),
}
EXAMPLE_ROWS = {"en": EXAMPLES_EN, "zh": EXAMPLES_ZH}
COLUMN_NAMES_ZH = {
    "prompt": "问题",
    "response": "回答",
    "text": "文本",
    "label": "标签",
    "chosen": "较好的回答",
    "rejected": "较差的回答",
    "answer": "答案",
}


def header_row(task: Task, lang: str = "en") -> tuple[str, ...]:
    """The column names of a task's table."""
    roles = REQUIRED_ROLES[task]
    if task == "prompts":
        roles = (*roles, "answer")
    if lang == "zh":
        return tuple(COLUMN_NAMES_ZH[role] for role in roles)
    return roles


def write_template(task: Task, kind: Literal["csv", "xlsx"], folder: Path, lang: str = "en") -> Path:
    """Write the template of a task in a language to a folder, and return its path."""
    suffix = "-zh" if lang == "zh" else ""
    path = folder / f"template-{task}{suffix}.{kind}"
    rows = [header_row(task, lang), *EXAMPLE_ROWS[lang][task]]
    if kind == "csv":
        _write_csv(path, rows)
    else:
        _write_workbook(path, rows)
    return path


def _write_csv(path: Path, rows: Sequence[Sequence[str]]) -> None:
    # With a byte order mark, by which Excel opens the file as UTF-8.
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(rows)


def _write_workbook(path: Path, rows: Sequence[Sequence[str]]) -> None:
    from xlsxwriter import Workbook  # noqa: PLC0415 - only here

    with Workbook(str(path), {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        sheet = book.add_worksheet("examples")
        header_format = book.add_format({"bold": True, "bottom": 1})
        cell_format = book.add_format({"text_wrap": True, "valign": "top"})
        sheet.set_column(0, len(rows[0]) - 1, 50)
        sheet.freeze_panes(1, 0)
        for index, row in enumerate(rows):
            sheet.write_row(index, 0, row, cell_format if index else header_format)
