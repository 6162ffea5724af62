"""A fix repairs what it is for and nothing else, and does not change the table that it gets."""

import copy
import json

import pytest

from studio.data.quality import findings, fixes, health, mail_text
from studio.data.quality.fixes import Change
from studio.data.quality.health import CheckOptions
from studio.data.readers.read import Table
from studio.errors import BadData

LONG = "word for word this answer goes on for a while, so that it is not short at all"


def chat(*pairs, more=20):
    """A table of questions, answers and notes, with `more` rows that have no problem."""
    pairs = [
        *pairs,
        *(
            (
                f"Question {'abcdefghijklmnopqrstuvwxyz'[n] * 3} about a thing?",
                f"{'xyz'[n % 3] * n} {LONG} {n}",
            )
            for n in range(more)
        ),
    ]
    rows = tuple(
        {"q": question, "a": answer, "note": f"<b>{index}</b>"}
        for index, (question, answer) in enumerate(pairs)
    )
    return Table("t.csv", ("q", "a", "note"), rows)


def rated(*ratings):
    """Questions and answers with a rating each."""
    table = chat(more=len(ratings))
    rows = tuple({**row, "csat": rating} for row, rating in zip(table.rows, ratings, strict=True))
    return Table("t.csv", (*table.columns, "csat"), rows)


def classify(*pairs):
    return Table("t.csv", ("t", "l"), tuple({"t": text, "l": label} for text, label in pairs))


def prefer(*triples):
    more = [(f"Question {n}?", f"good {LONG} {n}", f"bad {LONG} {n}") for n in range(20)]
    rows = tuple(dict(zip("qcr", triple, strict=True)) for triple in (*triples, *more))
    return Table("t.csv", ("q", "c", "r"), rows)


CHAT, CLASSES, PAIRS = (
    {"prompt": "q", "response": "a"},
    {"text": "t", "label": "l"},
    {"prompt": "q", "chosen": "c", "rejected": "r"},
)
TWENTY = (
    "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)
LABELLED = [(f"text number {n} of its own kind", "ab"[n % 2]) for n in range(20)]
GARBLED = "你好，世界".encode().decode("latin-1")
# kind, task, columns, table, rows dropped, cells changed
CASES = [
    ("empty", "chat", CHAT, chat(("asked", " "), ("", "answered"), ("a", "b")), (0, 1), ()),
    ("duplicates", "chat", CHAT, chat(("a", LONG), ("b", LONG), ("a", LONG), ("a ", LONG)), (2, 3), ()),
    (
        "near_duplicates",
        "chat",
        CHAT,
        chat((TWENTY, LONG), (f"{TWENTY} more", LONG), ("b", "c"), (TWENTY.upper(), LONG)),
        (0, 3),
        (),
    ),
    (
        "contradictions",
        "chat",
        CHAT,
        chat(("When?", "at five"), ("when? ", "at six"), ("When?", "At  six"), ("Who?", "we")),
        (0,),
        (),
    ),
    ("contradictions", "chat", CHAT, chat(("When?", "at five"), ("When?", "at six")), (1,), ()),
    (
        "contradictions",
        "classify",
        CLASSES,
        classify(("x", "a"), ("x", "A"), ("x", "b"), *LABELLED),
        (2,),
        (),
    ),
    ("contradictions", "classify", CLASSES, classify(("x", "a"), ("X", "b"), *LABELLED), (0, 1), ()),
    (
        "contradictions",
        "prefer",
        PAIRS,
        prefer(("q", "one", "other"), ("q", "other", "one"), ("q", "one", "third")),
        (0, 1),
        (),
    ),
    (
        "contradictions",
        "prompts",
        {"prompt": "q", "answer": "a"},
        chat(("2+2?", "4"), ("2+2?", "5"), ("2+2?", "")),
        (0, 1),
        (),
    ),
    ("same_pairs", "prefer", PAIRS, prefer(("q", "same", "Same "), ("q", "one", "other")), (0,), ()),
    ("echoes", "chat", CHAT, chat(("say this", "Say  this"), ("say this", "that")), (0,), ()),
    (
        "alike_labels",
        "classify",
        CLASSES,
        classify(
            ("x", "Refund "),
            ("y", "refund"),
            ("z", "refunds"),
            ("u", "ｒｅｆｕｎｄ"),
            ("v", "refund"),
            ("w", "other"),
            *LABELLED,
        ),
        (),
        ((0, "l", "refund"), (2, "l", "refund"), (3, "l", "refund")),
    ),
    (
        "rare_labels",
        "classify",
        CLASSES,
        classify(*LABELLED, *((f"rare {n}", "c") for n in range(4))),
        (20, 21, 22, 23),
        (),
    ),
    (
        "personal",
        "chat",
        CHAT,
        chat(("I am a@b.example", "Noted."), ("My card: 4111111111111111", "Thanks, write to c@d.example")),
        (),
        ((0, "q", "I am [email]"), (1, "q", "My card: [card]"), (1, "a", "Thanks, write to [email]")),
    ),
    (
        "html",
        "chat",
        CHAT,
        chat(
            ("<p>One</p><p>two<br>three &amp; four</p>", "1 < 2 and 3 > 2"),
            ("What is `<b>`?", "&lt;b&gt;old&lt;/b&gt;"),
        ),
        (),
        ((0, "q", "One\n\ntwo\nthree & four"), (1, "a", "old")),
    ),
    (
        "mojibake",
        "chat",
        CHAT,
        chat((GARBLED, "CafÃ© crÃ¨me"), ("浣犲ソ", "Café, “fine” – 你好")),
        (),
        ((0, "q", "你好，世界"), (0, "a", "Café crème"), (1, "q", "你好")),
    ),
    (
        "line_ends",
        "chat",
        CHAT,
        chat((r"Hello,\n\nhow are you?", r"It is in C:\new, and \nabla is a sign."), ("a", r"1.\r\n2.")),
        (),
        ((0, "q", "Hello,\n\nhow are you?"), (1, "a", "1.\n2.")),
    ),
    (
        "quoted_mails",
        "chat",
        CHAT,
        chat(
            ("Q", f"{LONG}.\n\nKind regards,\nTom\n\nOn Monday, May 6, 2024 Anna wrote:\n> Q\n> and so on"),
            ("What is > for?", f"{LONG}:\n> one quoted line"),
            ("问", "已处理。\n\n在 2024年5月6日，张三写道：\n> 请处理"),
        ),
        (),
        ((0, "a", f"{LONG}."), (2, "a", "已处理。")),
    ),
    ("rated_answers", "chat", CHAT, rated(*"5143", ""), (1, 3), ()),
    ("rated_answers", "chat", CHAT, rated("up", "down", "up", "down"), (1, 3), ()),
]


@pytest.mark.parametrize(
    ("kind", "task", "columns", "table", "drop", "cells"),
    CASES,
    ids=[f"{case[0]}-{case[1]}" for case in CASES],
)
def test_a_fix_does_what_it_says_and_the_check_then_finds_no_more_of_it(
    kind, task, columns, table, drop, cells
):
    before = copy.deepcopy(table)
    assert kind in {finding.kind for finding in health.check_health(table, task, columns).findings}
    change = fixes.build_fix(kind, table, task, columns)
    assert (change.kind, change.drop, change.cells) == (kind, drop, cells)
    after = fixes.apply(table, [change])
    assert kind not in {finding.kind for finding in health.check_health(after, task, columns).findings}
    assert fixes.build_fix(kind, after, task, columns) == Change(kind)
    assert table == before
    changed = {(row, column): text for row, column, text in cells}
    remaining = [row for row in range(len(table.rows)) if row not in drop]
    assert after.rows == tuple(
        {name: changed.get((row, name), text) for name, text in table.rows[row].items()} for row in remaining
    )


def find_contradiction(task, columns, table):
    return next(
        finding
        for finding in health.check_health(table, task, columns).findings
        if finding.kind == "contradictions"
    )


@pytest.mark.parametrize(
    ("task", "columns", "table", "strategy", "drop"),
    [
        (
            "chat",
            CHAT,
            chat(("When?", "at five"), ("When?", "at six")),
            "first",
            (1,),
        ),
        (
            "chat",
            CHAT,
            chat(*[("When?", "at six")] * 2, ("When?", "at five")),
            "most",
            (2,),
        ),
        (
            "classify",
            CLASSES,
            classify(("x", "a"), ("x", "b"), *LABELLED),
            "all",
            (0, 1),
        ),
    ],
)
def test_the_fix_of_a_contradiction_says_what_it_does_and_how_many_rows_go(
    task, columns, table, strategy, drop
):
    finding = find_contradiction(task, columns, table)
    assert finding.fix == findings.CONTRADICTION_FIX_LABELS[strategy].format(drops=len(drop))
    assert fixes.build_fix("contradictions", table, task, columns).drop == drop
    assert "undecided" not in finding.why.values


def test_where_some_answers_prevail_the_others_are_left_for_a_person_until_asked_for_again():
    table = classify(("x", "a"), ("x", "a"), ("x", "b"), ("y", "a"), ("y", "b"), *LABELLED)
    finding = find_contradiction("classify", CLASSES, table)
    assert finding.count == 5
    assert finding.fix == findings.CONTRADICTION_FIX_LABELS["most"].format(drops=1)
    assert finding.why.values["undecided"] == findings.UNDECIDED_ROWS.format(undecided=2)
    change = fixes.build_fix("contradictions", table, "classify", CLASSES)
    assert change.drop == (2,)
    remaining = fixes.apply(table, [change])
    next_fix = find_contradiction("classify", CLASSES, remaining).fix
    assert next_fix == findings.CONTRADICTION_FIX_LABELS["all"].format(drops=2)


def test_every_fix_that_is_offered_exists_and_is_tried_here():
    offered = {
        finding.kind
        for *case, _, _ in CASES
        for finding in health.check_health(case[3], case[1], case[2]).findings
        if finding.fix
    }
    assert (
        offered
        == {case[0] for case in CASES}
        == {*fixes.DROP_FIXES, "alike_labels", *fixes.TEXT_FIXES} - {"leak"}
    )


def test_rows_that_stand_in_the_test_set_leave_the_examples_and_the_test_set_stays():
    near = f"{TWENTY} indeed"
    table, test = (
        chat(("Where is it?", "There."), (TWENTY, LONG)),
        ({"prompt": "where is it?", "response": "Gone."}, {"prompt": near, "response": LONG}),
    )
    before = copy.deepcopy(test)
    assert "leak" in {
        finding.kind
        for finding in health.check_health(table, "chat", CHAT, CheckOptions(test=test)).findings
        if finding.fix
    }
    change = fixes.build_fix("leak", table, "chat", CHAT, test)
    assert change == Change("leak", drop=(0, 1))
    after = fixes.apply(table, [change])
    assert "leak" not in {
        finding.kind for finding in health.check_health(after, "chat", CHAT, CheckOptions(test=test)).findings
    }
    assert (len(after.rows), test) == (len(table.rows) - 2, before)
    assert fixes.build_fix("leak", table, "chat", CHAT) == Change("leak"), (
        "without a test set nothing leaks into one"
    )


@pytest.mark.parametrize("kind", ["few", "cut", "edit", ""])
def test_what_has_no_fix_says_which_do(kind):
    with pytest.raises(BadData) as caught:
        fixes.build_fix(kind, chat(), "chat", CHAT)
    assert caught.value.message == fixes.NO_SUCH_FIX.format(
        kind=kind, known=caught.value.message.values["known"]
    )
    assert set(caught.value.hint.values["known"]) == {*fixes.DROP_FIXES, "alike_labels", *fixes.TEXT_FIXES}


def test_a_fix_of_a_table_without_the_column_says_so():
    with pytest.raises(BadData, match="gone"):
        fixes.build_fix("duplicates", chat(), "chat", {"prompt": "q", "response": "gone"})


@pytest.mark.parametrize(
    ("conversation", "text_key", "position"),
    [
        (
            {
                "messages": [
                    {"role": "user", "content": "<p>a@b.example</p>", "name": "<p>"},
                    {"role": "assistant", "content": "Yes"},
                ]
            },
            "content",
            0,
        ),
        (
            [{"from": "human", "value": "<p>a@b.example</p>", "weight": 1}, {"from": "gpt", "value": "Yes"}],
            "value",
            0,
        ),
    ],
)
def test_in_a_conversation_only_what_is_said_is_changed(conversation, text_key, position):
    table = Table("t.jsonl", ("m",), ({"m": json.dumps(conversation)},) * 9)
    for kind, text in (("html", "a@b.example"), ("personal", "<p>[email]</p>")):
        after = json.loads(
            fixes.apply(table, [fixes.build_fix(kind, table, "chat", {"messages": "m"})]).rows[0]["m"]
        )
        turns, old = (
            value["messages"] if isinstance(value, dict) else value for value in (after, conversation)
        )
        assert turns[position] == {**old[position], text_key: text}
        assert turns[1] == old[1]


def test_changes_are_made_in_their_order_each_numbered_as_it_found_the_rows():
    table = chat(("a", "b"), ("c", "d"), ("e", "f"), more=0)
    after = fixes.apply(
        table,
        [
            Change("edit", drop=(0,)),
            Change("edit", cells=((0, "q", "C"), (0, "a", "D"))),
            Change("edit", drop=(1,)),
        ],
    )
    assert [(row["q"], row["a"]) for row in after.rows] == [("C", "D")]
    assert [row["q"] for row in table.rows] == ["a", "c", "e"]
    assert fixes.apply(table, []) == table


def test_a_change_that_drops_and_edits_counts_its_rows_before_either():
    table = chat(("a", "b"), ("c", "d"), ("e", "f"), more=0)
    change = Change("edit", drop=(0, 2), cells=((0, "q", "gone"), (1, "q", "C"), (1, "a", "D")))
    for drop in (change.drop, change.drop[::-1]):
        after = fixes.apply(table, [Change("edit", drop, change.cells)])
        assert [(row["q"], row["a"]) for row in after.rows] == [("C", "D")]
    edit_last = Change("edit", drop=(1,), cells=((2, "a", "F"),))
    assert [row["a"] for row in fixes.apply(table, [edit_last]).rows] == ["b", "F"]


@pytest.mark.parametrize(
    "change",
    [
        Change("edit", drop=(3,)),
        Change("edit", drop=(-1,)),
        Change("edit", cells=((3, "q", "x"),)),
        Change("edit", cells=((0, "gone", "x"),)),
    ],
)
def test_a_change_of_what_is_not_there_is_refused(change):
    with pytest.raises(BadData) as caught:
        fixes.apply(chat(("a", "b"), ("c", "d"), ("e", "f"), more=0), [change])
    assert caught.value.message == fixes.UNKNOWN_CELL.format(kind="edit", name="t.csv")


def test_a_change_comes_back_from_json_as_it_was():
    change = Change("edit", (1, 2), ((0, "q", "ä “x”\n"), (3, "a", "")))
    assert fixes.from_json(json.loads(json.dumps(fixes.as_json(change)))) == change


@pytest.mark.parametrize(
    "raw",
    [
        *(
            None,
            [],
            "edit",
            {},
            {"kind": "edit"},
            {"kind": "", "drop": [], "cells": []},
            {"kind": 1, "drop": [], "cells": []},
        ),
        {"kind": "edit", "drop": "1", "cells": []},
        {"kind": "edit", "drop": [-1], "cells": []},
        {"kind": "edit", "drop": [True], "cells": []},
        {"kind": "edit", "drop": ["1"], "cells": []},
        {"kind": "edit", "drop": [], "cells": [[0, "q"]]},
        {"kind": "edit", "drop": [], "cells": [[0, "q", 1]]},
        {"kind": "edit", "drop": [], "cells": ["0qx"]},
        {"kind": "edit", "drop": [], "cells": [], "more": 1},
    ],
    ids=repr,
)
def test_nonsense_is_no_change(raw):
    with pytest.raises(BadData) as caught:
        fixes.from_json(raw)
    assert caught.value.message == fixes.INVALID_CHANGE.format(raw=f"{raw!r:.80}")


def test_a_conversation_in_python_s_own_writing_is_checked_and_fixed():
    turns = [{"role": "user", "content": "it's at a@b.example?"}, {"role": "assistant", "content": "Yes."}]
    table = Table("t.csv", ("m",), ({"m": str(turns)},) * 9)
    kinds = {finding.kind for finding in health.check_health(table, "chat", {"messages": "m"}).findings}
    assert "personal" in kinds
    change = fixes.build_fix("personal", table, "chat", {"messages": "m"})
    fixed = json.loads(fixes.apply(table, [change]).rows[0]["m"])
    assert [turn["content"] for turn in fixed] == ["it's at [email]?", "Yes."]


def test_texts_that_wait_for_a_label_are_no_gaps_and_are_not_removed_with_them():
    rows = [{"text": f"text {n}", "label": "ab"[n % 2]} for n in range(20)]
    rows += [{"text": f"new {n}", "label": ""} for n in range(30)] + [{"text": "", "label": "a"}]
    table = Table("t", ("text", "label"), tuple(rows))
    columns = {"text": "text", "label": "label"}
    report = health.check_health(table, "classify", columns)
    findings = {finding.kind: finding for finding in report.findings}
    assert findings["unlabelled"].message.render() == "30 of 51 texts have no label yet."
    assert (findings["unlabelled"].cost, findings["unlabelled"].fix) == (0, None)
    assert findings["empty"].rows == (50,)
    assert fixes.build_fix("empty", table, "classify", columns).drop == (50,)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Hi,\n\nOn Mon, 6 May 2024 Ann wrote:\n> You ordered 2.\n\nNo, four.", "Hi,\n\n\nNo, four."),
        ("Please handle.\n\n-----Original Message-----\nFrom: Ann\n\nMy kettle leaks.", None),
        ("It is on its way to you since yesterday.\n\n-----Original Message-----\nFrom: Ann\n\nWhere?", ""),
    ],
)
def test_what_is_written_below_a_quotation_or_forwarded_is_the_message(text, kept):
    """None: all of it stays; "": what stands above the quoted mail."""
    expected = {None: text, "": text.partition("\n")[0]}.get(kept, kept)
    assert mail_text.strip_mail_tail(text) == expected
