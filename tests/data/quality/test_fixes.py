"""A fix mends what it is for and nothing else, and leaves the table it was given as it was."""

import copy
import json
import time

import pytest

from studio.data.quality import cleaning, fixes, health
from studio.data.quality.fixes import Change
from studio.data.quality.health import CheckOptions
from studio.data.readers.read import Table
from studio.data.schema import infer_roles
from studio.errors import BadData

LONG = "word for word this answer goes on for a while, so that it is not short at all"


def chat(*pairs, more=20):
    """A table of questions and answers, a column of notes beside them, and `more` rows with which nothing is wrong."""
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
        {"q": asked, "a": answered, "note": f"<b>{number}</b>"}
        for number, (asked, answered) in enumerate(pairs)
    )
    return Table("t.csv", ("q", "a", "note"), rows)


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
TWENTY = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen twenty"
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
    kept = [row for row in range(len(table.rows)) if row not in drop]
    assert after.rows == tuple(
        {name: changed.get((row, name), text) for name, text in table.rows[row].items()} for row in kept
    )


def contradiction(task, columns, table):
    return next(
        one for one in health.check_health(table, task, columns).findings if one.kind == "contradictions"
    )


@pytest.mark.parametrize(
    ("task", "columns", "table", "says", "drop"),
    [
        (
            "chat",
            CHAT,
            chat(("When?", "at five"), ("When?", "at six")),
            "No answer prevails: keep the first of each (1 row goes)",
            (1,),
        ),
        (
            "chat",
            CHAT,
            chat(*[("When?", "at six")] * 2, ("When?", "at five")),
            "Keep what most rows say (1 row goes)",
            (2,),
        ),
        (
            "classify",
            CLASSES,
            classify(("x", "a"), ("x", "b"), *LABELLED),
            "No answer prevails: leave them all out (2 rows go)",
            (0, 1),
        ),
    ],
)
def test_the_fix_of_a_contradiction_says_what_it_does_and_how_many_rows_go(task, columns, table, says, drop):
    finding = contradiction(task, columns, table)
    assert finding.fix.render() == says
    assert finding.fix.render("zh").endswith(f"（删除 {len(drop)} 行）")
    assert fixes.build_fix("contradictions", table, task, columns).drop == drop
    assert "person" not in finding.why.render()


def test_where_some_answers_prevail_the_others_are_left_for_a_person_until_asked_for_again():
    table = classify(("x", "a"), ("x", "a"), ("x", "b"), ("y", "a"), ("y", "b"), *LABELLED)
    finding = contradiction("classify", CLASSES, table)
    assert (finding.count, finding.fix.render()) == (5, "Keep what most rows say (1 row goes)")
    assert finding.why.render().endswith(
        "In 2 of them no answer prevails: these stay, since a person has to decide."
    )
    assert finding.why.render("zh").endswith("其中 2 行没有多数，会先保留，需要由人来判断。")
    change = fixes.build_fix("contradictions", table, "classify", CLASSES)
    assert change.drop == (2,)
    rest = fixes.apply(table, [change])
    assert (
        contradiction("classify", CLASSES, rest).fix.render()
        == "No answer prevails: leave them all out (2 rows go)"
    )


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
    with pytest.raises(BadData, match="There is no one-click fix"):
        fixes.build_fix(kind, chat(), "chat", CHAT)


def test_a_fix_of_a_table_without_the_column_says_so():
    with pytest.raises(BadData, match="has no column"):
        fixes.build_fix("duplicates", chat(), "chat", {"prompt": "q", "response": "gone"})


@pytest.mark.parametrize(
    ("form", "said", "mended"),
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
def test_in_a_conversation_only_what_is_said_is_changed(form, said, mended):
    table = Table("t.jsonl", ("m",), ({"m": json.dumps(form)},) * 9)
    for kind, text in (("html", "a@b.example"), ("personal", "<p>[email]</p>")):
        after = json.loads(
            fixes.apply(table, [fixes.build_fix(kind, table, "chat", {"messages": "m"})]).rows[0]["m"]
        )
        turns, old = (value["messages"] if isinstance(value, dict) else value for value in (after, form))
        assert turns[mended] == {**old[mended], said: text}
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
    with pytest.raises(BadData, match="does not have"):
        fixes.apply(chat(("a", "b"), ("c", "d"), ("e", "f"), more=0), [change])


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
    with pytest.raises(BadData, match="is no change"):
        fixes.from_json(raw)


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a < b and b > c, <name>, R&D;, ?a=1&copy=2", "a < b and b > c, <name>, R&D;, ?a=1&copy=2"),
        (
            "Use `<b>`:\n```\n<div>&amp;</div>\n```\nin <i>this</i> &quot;page&quot;",
            'Use `<b>`:\n```\n<div>&amp;</div>\n```\nin this "page"',
        ),
        ("<head><title>T</title></head><body>Hi<script>x()</script>&nbsp;you</body>", "Hi you"),
        ("<ul><li>one</li><li>two</li></ul>end<!-- note -->", "one\ntwo\n\nend"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a\tb"),
        ('See <a href="https://shop.example">the shop</a>', "See the shop"),
        (
            "<p align=center>one<br>two<hr noshade><input type='text' disabled> <img src=x.png alt=\"a > b\"/>",
            "one\ntwo",
        ),
        ("<ul><li>one<li>two</ul> <a href=https://x.example?a=1&b=2>more</a>", "onetwo\n\n more"),
        ("so<b>me</b> <span class = 'x'>words</SPAN>", "some words"),
        *(
            (text, text)
            for text in (
                "If a<b and b>0, which one is larger?",
                "if a<b and b>c then x",
                "a<b>c",
                "p<q && q>r",
                "i<s or s>t",
            )
        ),
        *(
            (text, text)
            for text in (
                "List<String> x; Map<K, List<A>> y;",
                "vector<i> v",
                "Use <name> here",
                "1 <a or b> 2",
            )
        ),
    ],
)
def test_html_goes_and_line_breaks_and_code_stay(text, plain):
    assert cleaning.strip_html(text) == plain
    assert cleaning.strip_html(plain) == plain


@pytest.mark.parametrize(
    "text",
    [
        "naïve café",
        "Größe „gut“ – ja…",
        "“Café’s” menu—déjà vu",
        "Привет, мир",
        "你好，世界。“订单”…",
        "模",
        "联通公司的订单",
        "注文をキャンセル",
        "Ελλάδα",
    ],
)
def test_sound_text_in_any_script_is_not_repaired(text):
    assert cleaning.fix_mojibake(text) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *(
            (text, encoding)
            for text in ("您的订单已经发货了吗", "我想问一下发货时间呢")
            for encoding in ("latin-1", "gb18030")
        ),
        ("Größe: 5 €, it’s fine – café", "cp1252"),
        ("Привет, мир", "cp1251"),
    ],
)
def test_utf8_read_in_another_encoding_is_put_right(text, encoding):
    assert cleaning.fix_mojibake(text.encode().decode(encoding, "replace")) == text


def test_utf8_read_as_gbk_by_a_browser_is_put_right_too():
    raw = "我想申请退款吗".encode()
    alone = raw.index(b"\x80\x80") + 1  # the end of 退, where a character of two bytes would begin
    garbled = raw[:alone].decode("gb18030") + "€" + raw[alone + 1 :].decode("gb18030")
    assert cleaning.fix_mojibake(garbled) == "我想申请退款吗"


def test_a_text_that_lost_its_end_is_told_and_not_repaired():
    garbled = "您的订单已经发货".encode()[:23].decode("gb18030", "replace").replace("�", "?")
    assert (cleaning.has_lost_characters(garbled), cleaning.fix_mojibake(garbled)) == (True, garbled)
    assert not any(
        map(
            cleaning.has_lost_characters,
            ("您好吗?", "What?", "请问?退款?", "您的订单已经发货".encode().decode("gb18030")),
        )
    )


@pytest.mark.parametrize(
    "text",
    [
        "<!--" * 50_000,
        "</style>" + "<style>" * 28_000,
        "<a " * 60_000,
        "&" + "amp;" * 49_000,
        "```a" * 50_000 + "<",
        "<" * 200_000,
        "Ã" * 200_000,
        "1" * 200_000 + "x",
        "1." * 100_000 + "x",
        "<b>" + " " * 190_000 + "x</b>",
    ],
)
def test_a_hostile_cell_is_read_in_time_that_grows_with_its_length(text):
    began = time.monotonic()
    cleaning.strip_html(text)
    cleaning.fix_mojibake(text)
    infer_roles.guess_roles(
        Table("t.csv", ("question", "answer"), ({"question": "how many?", "answer": text},) * 3), "prompts"
    )
    assert time.monotonic() - began < 5, "a pattern that grows with the square takes minutes"
