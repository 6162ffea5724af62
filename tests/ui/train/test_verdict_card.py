"""The verdict card: a word and a sentence in sight, the evidence behind one click, the list in one word."""

import json
from dataclasses import replace

import pytest

from studio import runs
from studio.evaluate import baselines, paired, predictions, verdict
from studio.ui.train import live_view, verdict_card

LABELS = ("card", "cash", "loan")


def write_lines(path, rows):
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def finish(run, rows, outcomes):
    """Give a run held-out rows, what the models answered, and a report with the verdict on it."""
    write_lines(run.folder / "data" / "train.jsonl", rows)
    write_lines(run.folder / "data" / "test.jsonl", rows)
    predictions.write(run.folder, "test", outcomes)
    result = verdict.judge(predictions.read(run.folder), {})
    report = {"verdict": result.to_json(), "measured_on": "test"}
    (run.folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    runs.set_status(run, "done", "after")
    return result


@pytest.fixture
def classified(make_plan):
    run = runs.create(make_plan(task="classify"))
    rows = [{"text": f"text {n}", "label": LABELS[n % 3]} for n in range(60)]
    right = {n: {"label": row["label"], "probability": 0.9} for n, row in enumerate(rows)}
    tuned = {**right, 0: {"label": "loan", "probability": 0.99}, 1: {"label": "loan", "probability": 0.6}}
    linear = {n: {"label": "card", "probability": 0.4} for n in right}
    finish(run, rows, {"base": {}, "linear": linear, "tuned": tuned})
    return run


def test_a_card_says_a_word_a_sentence_and_what_to_do_next(classified):
    card = live_view.poll([classified.id, 0, "en"])["verdict"]
    assert (card["state"], card["icon"], card["word"]) == ("ship", "✓", "Ship it")
    assert card["headline"].startswith("97% correct on 60 test texts")
    assert card["steps"]
    assert card["reasons"]
    assert live_view.poll([classified.id, 0, "zh"])["verdict"]["word"] == "可以上线"


def test_classes_and_mistakes_are_counted_by_hand(classified):
    card = verdict_card.describe(classified, runs.report(classified), "en")
    scores, classes, calibration, mistakes = card["tables"]
    by_class = {row[0]: row[1:] for row in classes["rows"]}
    # loan: 20 texts, all found, 22 times given
    assert by_class["loan"] == ["20", "91%", "100%", "95%"]
    assert by_class["card"] == ["20", "100%", "95%", "97%"]
    # F1 of the classes: 95 %, 97 %, 97 %; the linear model names one class of three, right 20 of 60 times
    assert scores["rows"] == [["Macro F1", "17%", "97%"], ["Expected calibration error", "–", "12%"]]
    assert card["scores"] == ["Macro F1: 97%", "Expected calibration error: 12%"]
    # one text at 60 %, wrong; 58 at 90 %, right; one at 99 %, wrong: (0.6 + 58 · 0.1 + 0.99) / 60 = 12 %
    assert [row[1:] for row in calibration["rows"]] == [
        ["1", "60%", "0%"],
        ["58", "90%", "100%"],
        ["1", "99%", "0%"],
    ]
    assert mistakes["rows"] == [["text 0", "card", "loan", "99%"], ["text 1", "cash", "loan", "60%"]]
    assert card["matrix"]["labels"] == ["card", "cash", "loan"]
    assert card["matrix"]["counts"] == [[19, 0, 1], [0, 19, 1], [0, 0, 20]]


def test_answers_stand_side_by_side_with_the_worst_change_first(make_plan):
    run = runs.create(make_plan())
    rows = [
        {"prompt": f"q {n}", "response": "A long and friendly answer that ends with thanks."}
        for n in range(4)
    ]
    losses = [(2.0, 1.0), (2.0, 3.0), (2.0, 1.5), (2.0, 2.0)]
    base = {n: {"text": f"base {n}", "loss": loss} for n, (loss, _) in enumerate(losses)}
    tuned = {n: {"text": f"tuned {n}", "loss": loss} for n, (_, loss) in enumerate(losses)}
    finish(run, rows, {"base": base, "linear": {}, "tuned": tuned})
    scores, table = verdict_card.describe(run, runs.report(run), "en")["tables"]
    assert [row[0] for row in scores["rows"]][-1] == "Loss per token"
    assert table["caption"] == "2 got better, 1 worse; the worst changes first"
    assert [row[0] for row in table["rows"]] == ["q 1", "q 0", "q 2", "q 3"]
    assert table["rows"][0] == ["q 1", rows[1]["response"], "base 1", "tuned 1"]


@pytest.mark.thorough
def test_a_run_of_an_earlier_studio_says_why_it_has_no_verdict(make_plan):
    run = runs.create(make_plan())
    (run.folder / "report.json").write_text('{"before": {"loss": 2.0}, "after": {"loss": 1.0}}')
    runs.set_status(run, "done", "after")
    card = live_view.poll([run.id, 0, "en"])["verdict"]
    assert card == {
        "state": "none",
        "icon": "–",
        "word": "",
        "headline": verdict_card.NO_VERDICT.render(),
    }


def test_the_bars_show_the_result_and_what_it_was_compared_with(classified):
    bars = verdict_card.describe(classified, runs.report(classified), "en")["bars"]
    assert [bar["name"] for bar in bars["bars"]] == [
        "Tuned model",
        "Always the largest class",
        "Linear head on the base's embeddings",
    ]
    # 58 of 60 right; a third is of the largest class
    assert [round(bar["value"], 3) for bar in bars["bars"]] == [0.967, 0.333, 0.333]
    tuned = bars["bars"][0]
    assert tuned["value"] - tuned["below"] < 0.967 < tuned["value"] + tuned["above"]
    assert bars["isShare"]


def test_what_was_measured_without_training_on_the_same_rows_stands_beside_it(classified, monkeypatch):
    score = paired.Estimate(0.5, 0.4, 0.6)
    few_shot = baselines.Baseline("few_shot", score, 3.0, 0.2, ({"role": "assistant"},) * 4)
    measured = baselines.Baselines("accuracy", "hits", "test", 60, 60, 0, 60, (few_shot,))
    monkeypatch.setattr(baselines, "find", lambda plan: measured)
    last = verdict_card.describe(classified, runs.report(classified), "en")["bars"]["bars"][-1]
    assert last["name"] == "Base model with 4 of your examples in the prompt (few-shot)"
    assert last["cost"] == "3.0 s in all, 0.2 s for one answer of up to 48 tokens"
    other_rows = replace(measured, n=59)
    monkeypatch.setattr(baselines, "find", lambda plan: other_rows)
    assert len(verdict_card.describe(classified, runs.report(classified), "en")["bars"]["bars"]) == 3
