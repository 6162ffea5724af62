"""`studio runs` lists every run with its verdict, whatever its report holds."""

import json

from studio import runs
from studio.cli.main import main
from studio.evaluate import verdict
from studio.evaluate.verdict import Verdict
from studio.evaluate.verdict_messages import NOTHING_HELD_OUT


def test_runs_are_listed_with_state_name_and_losses(finished, make_plan, capsys):
    assert main(["runs"]) == 0
    assert "No runs yet" in capsys.readouterr().out
    done, waiting = finished("lora"), runs.create(make_plan())
    assert main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    result = verdict.read(runs.report(done))
    assert len(lines) == 2
    (line,) = [line for line in lines if line.startswith(done.id)]
    assert "done" in line
    assert "lora on toys" in line
    assert result.word.render() in line
    assert any(line.startswith(waiting.id) and "waiting" in line for line in lines)


def test_a_run_is_listed_with_its_verdict(make_plan, capsys):
    run = runs.create(make_plan())
    result = Verdict("cannot_tell", NOTHING_HELD_OUT)
    (run.folder / "report.json").write_text(json.dumps({"verdict": result.to_json()}))
    sentence = NOTHING_HELD_OUT.render()
    assert main(["runs"]) == 0
    assert f"{result.word.render()}: {sentence}" in capsys.readouterr().out
    assert main(["runs", "--json"]) == 0
    (listed,) = json.loads(capsys.readouterr().out)
    assert (listed["id"], listed["verdict"]) == (run.id, {"state": "cannot_tell", "headline": sentence})


def test_runs_with_reports_of_any_kind_are_listed(make_plan, capsys):
    for report in (
        {},
        {"before": {}, "after": {}},
        {"before": {"right": 0.1}},
        {"before": None, "after": {"loss": None}},
    ):
        run = runs.create(make_plan())
        (run.folder / "report.json").write_text(json.dumps(report))
    assert main(["runs"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 4
