"""`studio runs` lists every run with its verdict, whatever its report holds."""

import json

from compared_runs import answered_run

from studio import plan as plans
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


def shown_names(capsys, *options):
    assert main(["runs", "--json", *options]) == 0
    return [run["name"] for run in json.loads(capsys.readouterr().out)]


def test_runs_are_sorted_and_searched_and_a_pinned_one_stays_first(make_plan, capsys):
    seconds_by_name = {"Beta": 10, "alpha": 30, "gamma": 20}
    ids = {}
    for name, seconds in seconds_by_name.items():
        run = runs.create(make_plan().model_copy(update={"name": name}))
        (run.folder / "report.json").write_text(json.dumps({"seconds": seconds}))
        ids[name] = run.id
    assert shown_names(capsys, "--sort", "name") == ["alpha", "Beta", "gamma"]
    assert shown_names(capsys, "--sort", "time") == ["Beta", "gamma", "alpha"]
    assert shown_names(capsys, "--search", "GAM") == ["gamma"]
    assert main(["runs", "--pin", ids["gamma"]]) == 0
    capsys.readouterr()
    assert shown_names(capsys, "--sort", "name") == ["gamma", "alpha", "Beta"]


def test_a_run_is_deleted_after_a_yes_and_can_be_brought_back(make_plan, capsys, monkeypatch):
    run = runs.create(make_plan())
    runs.set_status(run, "stopped")
    for answer, remaining in (("", 1), ("n", 1), ("y", 0)):
        monkeypatch.setattr("builtins.input", lambda question, answer=answer: answer)
        assert main(["runs", "--delete", run.id]) == 0
        assert len(runs.all_runs()) == remaining
    assert main(["runs", "--restore", run.id]) == 0
    assert main(["runs", "--rename", run.id, "Second try"]) == 0
    assert main(["runs", "--delete", run.id, "--yes"]) == 0
    assert "Second try" in capsys.readouterr().out
    assert runs.all_runs() == []


def test_runs_are_compared_side_by_side(make_plan, capsys):
    plan = make_plan(task="classify", learning_rate=1e-4)
    slower = plan.training.model_copy(update={"learning_rate": 5e-5})
    better = answered_run(plan.model_copy(update={"name": "better"}), 58)
    worse = answered_run(plan.model_copy(update={"name": "worse", "training": slower}), 30)
    assert main(["runs", "--compare", worse.id, better.id]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["worse", "better"]
    assert ["training.learning_rate", "5e-5", "1e-4"] in [line.split() for line in lines]
    assert lines[-1].startswith("“better” is better than “worse” on the same 60 test texts")
    assert main(["runs", "--compare", worse.id, better.id, "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [run["id"] for run in printed["runs"]] == [worse.id, better.id]
    different = [setting["key"] for setting in printed["settings"] if setting["kind"] == "different"]
    assert different == ["training.learning_rate"]


def test_one_run_alone_is_not_compared(make_plan, capsys):
    assert main(["runs", "--compare", runs.create(make_plan()).id]) == 1
    assert "you chose 1" in capsys.readouterr().err


def test_the_plan_of_a_run_is_printed_to_be_changed_and_trained_again(make_plan, tmp_path, capsys):
    run = runs.create(make_plan())
    assert main(["runs", "--plan", run.id[:8]]) == 0
    path = tmp_path / "again.yaml"
    path.write_text(capsys.readouterr().out)
    assert plans.load(path) == run.plan
