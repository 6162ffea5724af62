"""`studio runs` lists every run, whatever its report holds."""

import json

from studio import runs
from studio.cli.main import main


def test_runs_are_listed_with_state_name_and_losses(finished, make_plan, capsys):
    assert main(["runs"]) == 0
    assert "No runs yet" in capsys.readouterr().out
    done, waiting = finished("lora"), runs.create(make_plan())
    assert main(["runs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    report = runs.report(done)
    assert len(lines) == 2
    (line,) = [line for line in lines if line.startswith(done.id)]
    assert "done" in line
    assert "lora on toys" in line
    assert f"loss {report['before']['loss']:.3f} -> {report['after']['loss']:.3f}" in line
    assert any(line.startswith(waiting.id) and "waiting" in line for line in lines)


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
