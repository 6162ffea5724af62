"""`studio verdict` makes a run's verdict again from its folder, alone and against another run."""

import json
import shlex
from pathlib import Path

import pytest

from studio import plan, runs
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
        predictions.write(run.folder, "test", {"base": {}, "linear": {}, "tuned": tuned})
        report = {"training": {"epochs": 2.0, "learning_rate": 1e-4}}
        report["verdict"] = verdict.judge(predictions.read(run.folder), report, run.plan).to_json()
        (run.folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
        run.model.mkdir()
        return run

    return make


def test_the_verdict_of_the_folder_is_that_of_the_report(judged, capsys):
    run = judged(58)
    assert main(["verdict", run.id, "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == runs.report(run)["verdict"]
    assert main(["verdict", run.id]) == 0
    assert capsys.readouterr().out.startswith("Ship it: 97% correct on 60 test texts")


def test_a_run_is_compared_with_another(judged, capsys):
    better, worse = judged(58), judged(30)
    assert main(["verdict", worse.id, "--against", better.id]) == 0
    assert capsys.readouterr().out.startswith("Do not ship it: 50% correct on 60")


def test_a_step_that_a_plan_can_do_is_a_command_that_runs(judged, capsys, monkeypatch):
    run = judged(5)
    assert main(["verdict", run.id]) == 0
    (command,) = [line for line in capsys.readouterr().out.splitlines() if "studio train" in line]
    trained = []
    monkeypatch.setattr("studio.cli.train.train", lambda *options: trained.append(options) or 0)
    assert main(shlex.split(command)[1:]) == 0
    ((name, changes, *_),) = trained
    assert plan.load(Path(name), changes).training.learning_rate == 3.3e-5


def test_a_run_of_an_earlier_studio_is_refused_in_a_sentence(judged, capsys):
    run = judged(58)
    (run.folder / "report.json").write_text("{}")
    assert main(["verdict", run.id]) == 1
    assert "kept no answers" in capsys.readouterr().err
