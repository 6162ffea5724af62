"""`studio verdict` makes a run's verdict again from its folder, alone and against another run."""

import json

import pytest

from studio import runs
from studio.cli.main import main
from studio.evaluate import predictions, verdict

LABELS = ("card", "cash")


@pytest.fixture
def judged(make_plan):
    """`judged(n_right)`: a run whose tuned model is right on so many of 60 texts."""

    def make(n_right):
        run = runs.create(make_plan(task="classify"))
        rows = [{"text": f"text {n}", "label": LABELS[n % 2]} for n in range(60)]
        (run.folder / "data").mkdir()
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        for name in ("train", "test"):
            (run.folder / "data" / f"{name}.jsonl").write_text(lines, encoding="utf-8")
        tuned = {n: {"label": LABELS[(n + (n >= n_right)) % 2]} for n in range(60)}
        base = {n: {"label": "card"} for n in range(60)}
        predictions.write(run.folder, "test", {"base": base, "linear": {}, "tuned": tuned})
        report = {"verdict": verdict.judge(predictions.read(run.folder), {}).to_json()}
        (run.folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
        run.model.mkdir()
        return run

    return make


def test_the_verdict_of_the_folder_is_that_of_the_report(judged, capsys):
    run = judged(58)
    assert main(["verdict", run.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == runs.report(run)["verdict"]
    assert main(["verdict", run.id]) == 0
    assert capsys.readouterr().out.startswith("Ship it: 58 of 60 test texts right")


def test_a_run_is_compared_with_another(judged, capsys):
    better, worse = judged(58), judged(30)
    assert main(["verdict", worse.id, "--against", better.id]) == 0
    assert capsys.readouterr().out.startswith("Do not ship it: 30 of 60")


def test_a_run_of_an_earlier_studio_is_refused_in_a_sentence(judged, capsys):
    run = judged(58)
    (run.folder / "report.json").write_text("{}")
    assert main(["verdict", run.id]) == 1
    assert "kept no answers" in capsys.readouterr().err
