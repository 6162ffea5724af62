"""The health check finds the problems of a data set, with counts and grades that can be checked by hand."""

import json
from typing import get_args

import pytest

from studio import presets
from studio.data import examples
from studio.data.quality import checks, findings, fixes, language_id, minimum_examples, pii, row_checks
from studio.data.quality import health as quality_health
from studio.data.quality.health import CheckOptions
from studio.data.quality.table_view import build_view
from studio.data.readers.read import Table, read_table
from studio.errors import BadData
from studio.methods import METHODS
from studio.plan import Task

CHAT, CLASSES, PAIRS = (
    {"prompt": "q", "response": "a"},
    {"text": "t", "label": "l"},
    {"prompt": "q", "chosen": "c", "rejected": "r"},
)
WORDS = (
    *(
        "parcel",
        "garden",
        "invoice",
        "window",
        "refund",
        "planter",
        "shovel",
        "delivery",
        "account",
        "voucher",
    ),
    *("bucket", "fence", "hedge", "orchid", "compost", "trowel", "gravel", "lantern", "bench", "pond"),
)


def sentence(index):
    """A sentence of its own for each number below 400, unlike the others."""
    first, second = divmod(index, len(WORDS))
    beginning = f"The {WORDS[first]} near our {WORDS[second]} number {index} was"
    return f"{beginning} {WORDS[second - first]}, {WORDS[(first * 7 + second) % 20]} or {WORDS[-first]}."


def chat(*pairs, n_more=100):
    all_pairs = [
        *pairs,
        *((f"What of this? {sentence(n)}", f"We say: {sentence(n + 150)}") for n in range(n_more)),
    ]
    return Table("t.csv", ("q", "a"), tuple({"q": question, "a": answer} for question, answer in all_pairs))


def classify(**counts):
    names = [name for name, count in counts.items() for _ in range(count)]
    return Table(
        "t.csv", ("t", "l"), tuple({"t": sentence(index), "l": name} for index, name in enumerate(names))
    )


def find_findings(table, task="chat", columns=CHAT, **options):
    """Findings by their kind."""
    return {
        finding.kind: finding
        for finding in quality_health.check_health(table, task, columns, CheckOptions(**options)).findings
    }


def find_first_findings(table, **options):
    """What is found before near-duplicates are looked for."""
    first = next(quality_health.check_in_stages(table, "chat", CHAT, CheckOptions(**options)))
    assert not first.is_complete
    return {finding.kind: finding for finding in first.findings}


def test_sound_data_of_a_good_size_has_the_full_score_and_no_finding():
    assert quality_health.check_health(chat(), "chat", CHAT) == quality_health.Health(100, ())


@pytest.mark.parametrize("name", list(presets.samples()))
def test_the_studios_own_samples_are_sound(name):
    card = presets.samples()[name]
    health = quality_health.check_health(read_table(card.path), card.task, card.columns)
    assert {finding.kind for finding in health.findings} <= {"few"}
    assert health.score >= 90


def test_the_score_is_a_hundred_less_fifty_ten_or_two_for_each_finding():
    # Of 36 rows 2 are empty (6 %: a warning), 1 is a copy (3 %: a hint), 1 answer is short (a hint), and 34
    # of 50 are too few (a hint).
    copy = ("What of this?", "Nothing at all, really.")
    health = quality_health.check_health(
        chat(("a", ""), ("", "b"), copy, copy, ("Fine?", "Yes."), n_more=31), "chat", CHAT
    )
    assert [(finding.kind, finding.grade, finding.count) for finding in health.findings] == [
        ("empty", "warn", 2),
        ("few", "hint", 34),
        ("duplicates", "hint", 1),
        ("short_answers", "hint", 1),
    ]
    assert health.score == 100 - 10 - 2 - 2 - 2
    assert quality_health.compute_score(health.findings * 20) == 0


def test_a_finding_says_its_count_and_shows_rows_and_examples():
    finding = find_findings(chat(*[("a", "")] * 3, ("", "b"), n_more=196))["empty"]
    assert finding.message == findings.FINDING_MESSAGES["empty"].format(count=4, total=200)
    assert (finding.grade, finding.count, finding.rows) == ("hint", 4, (0, 1, 2, 3))
    assert finding.examples == ("a | –", "a | –", "a | –")


def test_of_many_rows_two_hundred_are_named_and_all_are_counted():
    finding = find_findings(chat(*[(" ", "x")] * 300))["empty"]
    assert (finding.count, finding.rows) == (300, tuple(range(200)))


def test_examples_are_short_and_show_no_personal_data():
    long = "word " * 200
    findings_by_kind = find_findings(
        chat(
            ("Write to me: a@b.example", "ok"),
            (f"{long} call 415-555-0132 {long}", long),
            ("<b>x</b> a@b.example", "ok"),
        )
    )
    assert findings_by_kind["personal"].count == 3
    kinds = findings_by_kind["personal"].message.values["kinds"]
    assert [(kind.values["kind"], kind.values["count"]) for kind in kinds] == [
        (pii.PII_KINDS["email"], 2),
        (pii.PII_KINDS["phone"], 1),
    ]
    excerpts = [text for finding in findings_by_kind.values() for text in finding.examples]
    assert len(excerpts) > 4
    assert all(len(text) <= 160 and "415" not in text and "a@b" not in text for text in excerpts)
    assert "[phone]" in findings_by_kind["personal"].examples[1]


def test_copies_are_counted_without_the_first_of_each():
    table = chat(("a b c", "one"), ("d e f", "two"), ("a b c", "one"), (" a b c", "one "), ("a b c", "other"))
    assert find_findings(table)["duplicates"].rows == (2, 3)


def test_near_duplicates_are_looked_for_only_when_asked():
    text = " ".join(WORDS)
    table = chat((text, text), (f"{text} too", text), (text.upper(), text))
    assert find_findings(table)["near_duplicates"].rows == (0, 2)  # the longest stays
    assert "near_duplicates" not in find_first_findings(table)
    assert quality_health.check_health(table, "chat", CHAT).is_complete is True


def test_texts_that_are_alike_under_two_labels_are_no_near_duplicates():
    text = " ".join(WORDS)
    table = Table(
        "t.csv", ("t", "l"), ({"t": text, "l": "a"}, {"t": f"{text} too", "l": "b"}, *classify(a=6, b=6).rows)
    )
    assert "near_duplicates" not in find_findings(table, "classify", CLASSES)
    same = Table(
        "t.csv",
        ("t", "l"),
        ({"t": text, "l": "a"}, {"t": f"{text} too", "l": "A "}, *classify(a=6, b=6).rows),
    )
    assert find_findings(same, "classify", CLASSES)["near_duplicates"].rows == (0,)


def test_the_same_question_with_different_answers_is_a_hint_and_under_two_labels_a_warning():
    finding = find_findings(chat(("When?", "at five"), ("when?", "at six o'clock"), ("When?", "At five")))[
        "contradictions"
    ]
    assert (finding.grade, finding.rows, finding.examples) == (
        "hint",
        (0, 1, 2),
        ("When? → at five | at six o'clock",),
    )
    table = classify(a=10, b=10)
    finding = find_findings(
        Table("t.csv", ("t", "l"), (*table.rows, {**table.rows[0], "l": "b"})), "classify", CLASSES
    )["contradictions"]
    assert (finding.grade, finding.rows) == ("warn", (0, 20))


def test_a_question_is_another_one_under_another_instruction_from_the_system():
    def row(system, answer):
        turns = [
            {"role": "system", "content": system},
            {"role": "user", "content": "Hello?"},
            {"role": "assistant", "content": answer},
        ]
        return {"m": json.dumps(turns)}

    rows = tuple(row(f"Be {n}.", f"I am {n} in my own way.") for n in range(60))
    assert find_findings(Table("t.jsonl", ("m",), rows), "chat", {"messages": "m"}) == {}
    again = (*rows, row("Be 0.", "I am someone else altogether."))
    assert find_findings(Table("t.jsonl", ("m",), again), "chat", {"messages": "m"})[
        "contradictions"
    ].rows == (0, 60)


def test_texts_over_the_limit_are_cut_and_their_share_is_said():
    lengths = [101] * 5 + [100] * 95
    finding = find_findings(chat(), lengths=lengths, max_length=100)["cut"]
    assert (finding.count, finding.grade) == (5, "warn")
    assert finding.message.values == {"count": 5, "total": 100, "share": 0.05, "limit": 100}
    assert find_findings(chat(), lengths=[101] * 4 + [100] * 96, max_length=100)["cut"].grade == "hint"


def test_texts_that_nobody_could_count_are_told_and_cost_nothing():
    health = quality_health.check_health(chat(), "chat", CHAT, CheckOptions(max_length=256))
    assert ([(finding.kind, finding.grade) for finding in health.findings], health.score) == (
        [("uncounted", "open")],
        100,
    )
    values = health.findings[0].why.values
    assert values["limit"] == 256
    assert (values["words"].render("en"), values["words"].render("zh")) == ("190", "360")
    assert find_findings(chat(), lengths=None, max_length=0) == {}


def test_a_plain_text_is_never_cut_and_a_question_must_leave_room():
    table = Table("t.csv", ("q",), tuple({"q": sentence(n)} for n in range(200)))
    lengths = [100] * 3 + [99] * 197
    assert "cut" not in find_findings(table, "complete", {"text": "q"}, lengths=[500] * 200, max_length=100)
    findings_by_kind = find_findings(table, "prompts", {"prompt": "q"}, lengths=lengths, max_length=100)
    assert (findings_by_kind["long_prompt"].rows, "cut" in findings_by_kind) == ((0, 1, 2), False)


def test_two_answers_are_shown_where_they_differ():
    same = "The office on the harbour road is open from Monday to Friday until "
    findings_by_kind = find_findings(chat(("When?", f"{same}five."), ("When?", f"{same}six.")))
    assert findings_by_kind["contradictions"].examples == (
        "When? → … to Friday until five. | … to Friday until six.",
    )
    assert (
        findings_by_kind["near_duplicates"].examples[0].split(" ≈ ")[0]
        != findings_by_kind["near_duplicates"].examples[0].split(" ≈ ")[1]
    )


def test_what_stands_in_the_test_set_too_is_a_leak():
    text = " ".join(WORDS)
    table = chat(("Where is it?", "Over there, I believe."), (f"{text} indeed", text))
    test = [{"prompt": "where  is it?", "response": "Gone, I am afraid."}, {"prompt": text, "response": text}]
    test += [{"prompt": f"Something else: {sentence(n + 300)}", "response": "Yes, it is."} for n in range(38)]
    near, exact = find_findings(table, test=test)["leak"], find_first_findings(table, test=test)["leak"]
    assert (exact.rows, exact.grade) == ((0,), "warn")
    assert (near.rows, near.grade) == ((0, 1), "warn")
    assert (near.message.values["leaked"], near.message.values["tested"]) == (2, 40)
    assert find_findings(table, test=test[:20])["leak"].grade == "stop"  # 2 of 20
    assert "leak" not in find_findings(table, test=test[2:])


@pytest.mark.parametrize(
    ("counts", "kinds"),
    [
        ({"a": 50, "b": 50}, set()),
        ({"a": 50, "b": 5}, {"unbalanced"}),  # 91 %
        ({"a": 80, "b": 10, "c": 10}, set()),
        ({"a": 81, "b": 10, "c": 9}, {"unbalanced"}),
        ({"a": 50, "b": 30, "c": 5}, set()),  # ten times, not more
        ({"a": 51, "b": 30, "c": 5}, {"unbalanced"}),
        ({"a": 30, "b": 30, "c": 4}, {"rare_labels"}),
        ({"a": 12}, {"one_label"}),
    ],
)
def test_labels_are_unbalanced_or_rare_by_their_counts(counts, kinds):
    assert set(find_findings(classify(**counts), "classify", CLASSES)) - {"few"} == kinds


def test_more_labels_than_every_second_row_are_no_classes():
    finding = find_findings(classify(**{f"name{n}": 1 for n in range(12)}), "classify", CLASSES)[
        "many_labels"
    ]
    assert finding.grade == "stop"
    assert finding.message == findings.FINDING_MESSAGES["many_labels"].format(count=12, labels=12, total=12)


def test_labels_spelled_alike_are_named_and_counted_together():
    names = ["refund"] * 6 + ["Refund "] * 2 + ["refunds", "ｒｅｆｕｎｄ", *["other"] * 5]
    table = Table("t.csv", ("t", "l"), tuple({"t": sentence(n), "l": name} for n, name in enumerate(names)))
    findings_by_kind = find_findings(table, "classify", CLASSES)
    assert (findings_by_kind["alike_labels"].count, findings_by_kind["alike_labels"].rows) == (
        4,
        (6, 7, 8, 9),
    )
    assert findings_by_kind["alike_labels"].examples == (
        "“Refund” / “refund”",
        "“refunds” / “refund”",
        "“ｒｅｆｕｎｄ” / “refund”",
    )
    assert "rare_labels" not in findings_by_kind


def test_a_twentieth_in_another_language_is_told_by_script_or_by_the_words():
    names = language_id.LANGUAGE_NAMES
    chinese = [("我的包裹什么时候能到？", "您好，预计明天送达，请留意短信。")] * 6
    german = [
        (
            "Wann kommt mein Paket an, das ich bestellt habe?",
            "Es wird morgen geliefert, wie wir es versprochen haben.",
        )
    ] * 6
    for others, language in ((chinese, "zh"), (german, "de")):
        finding = find_findings(chat(*others))["languages"]
        assert finding.rows == (0, 1, 2, 3, 4, 5)
        values = finding.message.values
        assert (values["total"], values["share"]) == (106, 100 / 106)
        assert (values["main"], values["others"]) == (names["en"], [names[language]])
        assert "languages" not in find_findings(chat(*others[:5]))


def test_a_translation_has_one_language_on_each_side():
    pairs = [(sentence(n), f"第 {n} 号包裹已经送到花园门口了。") for n in range(60)]
    assert "languages" not in find_findings(chat(*pairs, n_more=0))


def test_answers_that_teach_little_are_told():
    findings_by_kind = find_findings(
        chat(*[("Tell me.", "好的。")] * 2, *[(f"Now {sentence(n)}", "No.") for n in range(110)], n_more=20)
    )
    assert findings_by_kind["short_answers"].count == 112
    assert findings_by_kind["same_answer"].count == 110  # of 132
    assert find_findings(chat(("Say this again.", "say this  again.")))["echoes"].rows == (0,)


def test_characters_that_were_lost_are_told_and_not_mended():
    finding = find_findings(chat(("Gr��e?", "Twelve, I think."), ("锟斤拷", "What was that?")))["lost"]
    assert (finding.count, finding.fix) == (2, None)


def test_judged_answers_that_make_one_pair_are_not_called_empty():
    rows = [
        {"q": f"Question {n // 2}: {sentence(n // 2)}", "c": f"Said {sentence(n + 100)}", "v": str(n % 2)}
        for n in range(40)
    ]
    table = Table("t.csv", ("q", "c", "v"), (*rows, {"q": "More?", "c": "", "v": "1"}))
    findings_by_kind = find_findings(table, "prefer", {"prompt": "q", "completion": "c", "verdict": "v"})
    assert findings_by_kind["empty"].rows == (40,)
    assert findings_by_kind["few"].message.values["full"] == 20


def test_too_few_rows_are_told_with_how_many_are_wanted_and_why():
    finding = find_findings(chat(n_more=100), method="full")["few"]
    name = presets.methods()["full"].name
    assert finding.message == findings.FINDING_MESSAGES["few"].format(
        count=100, full=100, least=1000, method=name
    )
    assert "few" not in find_findings(chat(n_more=50), method="lora")
    assert find_findings(chat(n_more=examples.MIN_EXAMPLES - 1), method="lora")["few"].grade == "stop"


@pytest.mark.parametrize(
    ("rows", "grade", "score"),
    [
        (8, "warn", 55),
        (9, "warn", 55),
        (10, "warn", 75),
        (24, "warn", 75),
        (25, "hint", 98),
        (49, "hint", 98),
    ],
)
def test_a_handful_of_faultless_rows_does_not_look_healthy(rows, grade, score):
    health = quality_health.check_health(chat(n_more=rows), "chat", CHAT, CheckOptions(method="lora"))
    assert ([(finding.kind, finding.grade) for finding in health.findings], health.score) == (
        [("few", grade)],
        score,
    )


def test_below_half_of_what_is_wanted_is_a_warning_and_below_a_fifth_costs_clearly_more():
    table = chat(n_more=200)
    scores = {
        rows: quality_health.check_method_limits(
            Table("t.csv", ("q", "a"), table.rows[:rows]), "chat", CHAT, CheckOptions(method="rlhf")
        ).score
        for rows in (150, 149, 60, 59)
    }
    assert scores == {150: 98, 149: 90, 60: 90, 59: 55}


def test_every_method_says_how_much_it_wants_in_both_languages():
    rule_of_thumb = minimum_examples.RULE_OF_THUMB
    wrong = {}
    for method in ("", "a method of tomorrow", *(method.name for method in METHODS)):
        for task in get_args(Task):
            minimum, why = quality_health.get_min_examples(method, task)
            english, chinese = why.render(), why.render("zh")
            is_same_rule = (rule_of_thumb.render() in english) == (rule_of_thumb.render("zh") in chinese)
            is_sentence = english.endswith(".") and chinese.endswith("。")
            if not (examples.MIN_EXAMPLES <= minimum <= 1000 and is_same_rule and is_sentence):
                wrong[method, task] = (minimum, english, chinese)
    assert wrong == {}


def test_every_finding_has_its_words_in_both_languages():
    for message in (*findings.FINDING_MESSAGES.values(), *findings.FINDING_ADVICE.values()):
        assert message.render().endswith(".")
        assert message.render("zh").endswith("。")
    assert set(findings.FINDING_MESSAGES) - {"few"} == set(findings.FINDING_ADVICE) - {"cut_text"}
    assert all(
        message.render() and message.render("zh")
        for message in (*findings.FIX_LABELS.values(), *quality_health.CHECK_STAGES.values())
    )


def test_a_table_without_rows_is_too_few_and_nothing_else():
    health = quality_health.check_health(Table("t.csv", ("q", "a"), ()), "chat", CHAT)
    assert [(finding.kind, finding.grade) for finding in health.findings] == [("few", "stop")]


def test_a_column_that_is_not_there_is_named():
    with pytest.raises(BadData, match="gone"):
        quality_health.check_health(chat(), "chat", {"prompt": "q", "response": "gone"})


@pytest.mark.parametrize(("method", "length"), [("full", 8), ("lora", 9), ("lora", 0), ("prefix", 1000)])
@pytest.mark.parametrize("is_counted", [True, False])
def test_another_method_or_length_leads_to_the_same_report_without_looking_at_the_rows_again(
    method, length, is_counted
):
    copy, table = ("What is it?", "It is a lamp of brass, and it is sold."), chat(("a", ""), n_more=21)
    table = Table("t.csv", ("q", "a"), (*table.rows, *({"q": copy[0], "a": copy[1]} for _ in range(3))))
    lengths = [5 + row % 7 for row in range(len(table.rows))] if is_counted else None
    previous = quality_health.check_health(table, "chat", CHAT, CheckOptions(lengths, 10, "lora"))
    limit_health = quality_health.check_method_limits(
        table, "chat", CHAT, CheckOptions(lengths, length, method)
    )
    full_health = quality_health.check_health(table, "chat", CHAT, CheckOptions(lengths, length, method))
    assert quality_health.replace_limits(previous, limit_health) == full_health
    assert {finding.kind for finding in limit_health.findings} <= checks.LIMIT_KINDS
    assert (
        not {
            finding.kind
            for run_check in (*checks.CHECKS, *checks.SLOW_CHECKS)
            for finding in run_check(
                checks.CheckContext(build_view(table, "chat", CHAT), CheckOptions(None, 10, "lora"))
            )
        }
        & checks.LIMIT_KINDS
    )


def test_who_listens_hears_every_stage_and_may_end_the_check():
    reports = []
    quality_health.check_health(
        chat(),
        "chat",
        CHAT,
        CheckOptions(
            test=[{"prompt": "a", "response": "b"}], on_progress=lambda *report: reports.append(report)
        ),
    )
    stages = set(quality_health.CHECK_STAGES) - {"surface"}  # which pairs alone have
    assert {stage for stage, _, _ in reports} == stages

    assert sum(stage == "read" for stage, _, _ in reports) == 1, "what is quick is looked at once"
    assert [stage for stage, done, _ in reports if stage == "html" and done == 0] == ["html"]

    class Stopped(Exception):
        pass

    def stop(stage, _done, _total):
        if stage == "personal":
            raise Stopped

    with pytest.raises(Stopped):
        quality_health.check_health(chat(), "chat", CHAT, CheckOptions(on_progress=stop))


def test_rows_are_looked_at_evenly_where_there_are_too_many():
    assert row_checks.sample_evenly(range(10), 20) == list(range(10))
    assert row_checks.sample_evenly(range(10), 5) == [0, 2, 4, 6, 8]


TAGGED = {"text": "t", "labels": "l"}


def tagged(*cells):
    return Table("t.csv", ("t", "l"), [{"t": sentence(n), "l": cell} for n, cell in enumerate(cells)])


def test_several_labels_of_a_text_are_counted_one_by_one():
    table = tagged(*["billing; delivery"] * 6, *["delivery"] * 5, "billing; urgent", "", "[]")
    found = find_findings(table, "classify", TAGGED)
    assert found["empty"].rows == (12,), "a row without labels, unlike one to which none applies"
    assert found["rare_labels"].examples == ("“urgent” (1)",)
    assert found["rare_labels"].rows == (11,)
    assert found["unbalanced"].count == 11, "those with delivery, alone or among others"


def test_a_label_of_several_that_is_spelled_in_two_ways_is_put_right_with_the_others_kept():
    table = tagged(*["billing; delivery"] * 6, *["delivery"] * 6, "Billing; delivery")
    found = find_findings(table, "classify", TAGGED)
    assert found["alike_labels"].examples == ("“Billing” / “billing”",)
    change = fixes.build_fix("alike_labels", table, "classify", TAGGED)
    assert change.cells == ((12, "l", '["billing", "delivery"]'),)


def test_numbers_have_no_label_problems():
    table = tagged(*(str(n) for n in range(20)))
    found = find_findings(table, "classify", {"text": "t", "rating": "l"})
    assert not found.keys() & {"many_labels", "rare_labels", "alike_labels", "unbalanced"}
