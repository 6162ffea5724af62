"""The outcome of a run with several labels, with numbers, or with JSON answers, in sentences and tables."""

import pytest

from studio import runs
from studio.cli import train as train_command
from studio.data.targets import LABEL_THRESHOLD
from studio.training import report_messages
from studio.ui.train import curves, results

LABELS = {
    "before": {"loss": 0.7, "micro_f1": 0.2, "macro_f1": 0.1, "exact_match": 0.0, "f1/billing": 0.2},
    "after": {
        **{"loss": 0.1, "micro_f1": 0.9, "macro_f1": 0.8, "exact_match": 0.7},
        **{"f1/billing": 1.0, "f1/late_fee": 0.6},
    },
}
RATINGS = {
    "before": {"loss": 1.1, "mae": 1.2},
    "after": {
        **{"loss": 0.2, "mae": 0.4, "mae_of_median": 1.0, "spearman": 0.8},
        **{"within_half_step": 0.7, "within_one_step": 0.95},
    },
}
JSON_ANSWERS = {
    "before": {"loss": 2.0, "valid_json": 0.1, "n_json_answers": 20.0, "field/intent": 0.0},
    "after": {"loss": 0.5, "valid_json": 1.0, "n_json_answers": 20.0, "field/intent": 0.9},
}
EXPECTED = [
    (
        LABELS,
        [report_messages.LABEL_SETS.format(after=0.9, before=0.2, exact=0.7, threshold=LABEL_THRESHOLD)],
    ),
    (
        RATINGS,
        [
            report_messages.RATINGS.format(after=0.4, before=1.2, median=1.0, spearman=0.8),
            report_messages.RATING_STEPS.format(half=0.7, one=0.95),
        ],
    ),
    (
        JSON_ANSWERS,
        [
            report_messages.JSON_FIELDS.format(
                count=20.0,
                after=1.0,
                before=0.1,
                fields=[report_messages.FIELD_SHARE.format(name="intent", after=0.9, before=0.0)],
            )
        ],
    ),
    ({"before": {"loss": 1.0}, "after": {"loss": 0.5}}, []),
]


@pytest.mark.parametrize(("report", "expected"), EXPECTED, ids=["labels", "numbers", "JSON", "other"])
def test_page_and_terminal_say_the_same_of_what_was_learned(report, expected, finished, monkeypatch, capsys):
    assert report_messages.describe_targets(report) == expected
    run = finished("lora")
    full_report = {**report, "seconds": 3.0, "best_step": 2}
    for lang in ("en", "zh"):
        text = results.describe_results(run, full_report, lang)
        assert all(message.render(lang) in text for message in expected)
    monkeypatch.setattr(train_command.runs, "report", lambda run: full_report)
    train_command._print_result(run)
    printed = capsys.readouterr().out
    assert all(message.render() in printed for message in expected)


def test_the_labels_stand_in_a_table():
    (table,) = results.build_tables(LABELS, "en")
    assert table["rows"] == [["billing", "20%", "100%"], ["late_fee", "0%", "60%"]]
    assert results.build_tables(RATINGS, "en") == []


@pytest.mark.parametrize(
    ("columns", "measures"),
    [
        ({"text": "t", "label": "l"}, ["accuracy"]),
        ({"text": "t", "labels": "l"}, ["labels"]),
        ({"text": "t", "rating": "l"}, ["rating"]),
        ({}, ["accuracy", "labels", "rating"]),
    ],
    ids=["one class", "several labels", "a number", "guessed columns"],
)
def test_beside_the_loss_a_chart_shows_what_people_read(columns, measures, make_plan):
    plan = make_plan("lora", "classify")
    plan = plan.model_copy(update={"data": plan.data.model_copy(update={"columns": columns})})
    assert [chart["id"] for chart in curves.list_charts(runs.create(plan), plan, "en")] == [
        "train-loss",
        *(f"train-{name}" for name in measures),
    ]


def test_of_few_texts_no_percentage_is_a_result(make_plan):
    run = runs.create(make_plan(task="classify"))
    report = {"before": {"accuracy": 0.5}, "after": {"accuracy": 0.75, "n_examples": 12}}
    text = results.describe_results(run, report, "en")
    assert text.startswith(results.ACCURACY_OF_FEW.render("en", hits=9, count=12, part="validation"))
    assert "%" not in text


@pytest.mark.parametrize(("n_pairs", "before", "after"), [(12, "6", "9"), (40, "50%", "75%")])
def test_pairs_are_counted_where_they_are_few(n_pairs, before, after, make_plan):
    run = runs.create(make_plan())
    scores = {"pairs": {"held_out": n_pairs}, "before": {"preferred": 0.5}, "after": {"preferred": 0.75}}
    text = results.describe_results(run, {"method": {"dpo": scores}}, "en")
    assert results.PREFERENCE_ACCURACY.render(count=n_pairs, before=before, after=after) in text
    assert "%" in text or n_pairs < 20
