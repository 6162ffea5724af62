"""The same jobs without a browser, and what their exit codes say: 0 done, 1 failed, 2 the plan is wrong."""

import json
import subprocess
import sys

import pytest
import yaml

from studio import __version__, export, methods, plan, presets, runs
from studio.cli.main import main
from studio.plan import REQUIRED_ROLES


@pytest.fixture
def plan_file(make_plan, tmp_path):
    """A plan on the tiny model, as a person would keep it in a file."""

    def write(**parts):
        raw = make_plan("lora", "chat", epochs=2).model_dump(mode="json")
        file = tmp_path / "plan.yaml"
        file.write_text(yaml.safe_dump({**raw, **parts}), encoding="utf-8")
        return str(file)

    return write


def test_training_prints_id_and_folder_and_ends_with_nought(plan_file, capsys):
    assert main(["train", plan_file(), "--set", "method.settings.rank=4", "--set", "name=By hand"]) == 0
    (run,) = runs.all_runs()
    out = capsys.readouterr().out
    assert f"run {run.id}\nfolder {run.folder}\n" in out
    assert "done: validation loss 3." in out
    assert run.plan.method.settings == {"rank": 4}
    assert run.plan.name == "By hand"


def test_what_a_method_finds_out_on_the_way_is_printed_once(plan_file, make_plan, capsys):
    asked = make_plan("upft", "prompts", epochs=0.5).model_dump(mode="json")
    assert main(["train", plan_file(**asked)]) == 0
    assert capsys.readouterr().out.count("Of 16 answers the model wrote to the same question, ") == 1


def test_home_can_be_named_behind_the_command(plan_file, tmp_path, capsys):
    assert (
        main(["train", plan_file(), "--home", str(tmp_path / "elsewhere"), "--set", "training.epochs=0.5"])
        == 0
    )
    assert len(list((tmp_path / "elsewhere" / "runs").iterdir())) == 1


def test_a_wrong_plan_ends_with_two_and_all_problems(plan_file, capsys):
    file = plan_file(task="sing", training={"epochs": -1}, colour="blue")
    assert main(["train", file]) == 2
    said = capsys.readouterr()
    assert "plan: 3\n" in said.err or "plan: 4\n" in said.err
    for key in ("task", "training.epochs", "colour"):
        assert f"{file}: {key}: " in said.err
    assert "Traceback" not in said.err
    assert runs.all_runs() == []


@pytest.mark.parametrize(
    "change", ["training.epoch=1", "method.settings.rank=0", "method.settings.targets=[q_proj]", "nonsense"]
)
def test_a_wrong_set_ends_with_two(plan_file, capsys, change):
    assert main(["train", plan_file(), "--set", change]) == 2
    assert change.split("=")[0] in capsys.readouterr().err


def test_a_plan_that_is_not_there_ends_with_two(capsys):
    assert main(["train", "nowhere.yaml"]) == 2
    assert "nowhere.yaml: there is no such file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"model": "no-such-model"}, "There is no model “no-such-model”."),
        ({"data": {"source": "gone.csv"}}, "There is no file “gone.csv”"),
        ({"data": {"source": "sample:none"}}, "There is no data set “sample:none”."),
    ],
    ids=["model", "file", "sample"],
)
def test_a_failed_run_ends_with_one_and_one_line(plan_file, capsys, parts, said):
    assert main(["train", plan_file(**parts)]) == 1
    err = capsys.readouterr().err
    (line,) = [line for line in err.replace("\r", "\n").splitlines() if said in line]
    assert "Traceback" not in err
    assert len(line.split(". ")) >= 2  # what happened, and what to do


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


def test_a_run_that_is_not_there_ends_with_one(capsys, tmp_path):
    assert main(["ask", "0" * 32, "hello"]) == 1
    assert main(["export", "last", "--to", "adapter", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 2
    assert "studio runs" in err


def test_an_export_prints_its_folder_and_its_card_is_in_the_language_asked_for(finished, tmp_path, capsys):
    run = finished("lora")
    assert main(["export", run.id[:8], "--to", "adapter", str(tmp_path / "out"), "--language", "zh"]) == 0
    assert "## 数据" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.strip() == str(tmp_path / "out")
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()


def test_an_export_in_a_form_there_is_not_ends_with_one(finished, tmp_path, capsys):
    run = finished("lora")
    assert main(["export", "last", "--to", "gguf", str(tmp_path / "out")]) == 1
    assert f"It offers: {', '.join(export.available_formats(run))}." in capsys.readouterr().err


def test_both_answers_are_printed_with_their_weights(finished, capsys):
    run = finished("lora")
    assert main(["ask", "last", "where is my lamp", "--length", "30"]) == 0
    out = capsys.readouterr().out
    report = runs.report(run)
    assert f"base (tiny-chat, weights {report['base']['checksum']})\n" in out
    assert f"tuned (lora on toys, weights {report['tuned']['checksum']})\nThanks for asking" in out


def test_a_stopped_run_goes_on_by_its_id(make_plan, capsys, monkeypatch):
    from studio.training import callback as run_callback
    from studio.training import launcher, worker

    run = runs.create(make_plan("lora", "chat", epochs=2))
    real = run_callback.MonitorCallback.on_step_begin

    def stop(self, args, state, control, **values):
        if state.global_step == 2:
            launcher.stop(run)
        real(self, args, state, control, **values)

    with monkeypatch.context() as patch:
        patch.setattr(run_callback.MonitorCallback, "on_step_begin", stop)
        worker.run(run.id)
    assert main(["runs"]) == 0
    assert "stopped" in (said := capsys.readouterr().out)
    assert "goes on with --resume" in said
    assert main(["train", "--resume", run.id[:8]]) == 0
    assert "done: validation loss" in capsys.readouterr().out
    assert [point["step"] for point in runs.read_points(run) if "loss" in point] == list(range(1, 9))
    assert main(["train", "--resume", run.id]) == 1
    assert "cannot go on (done): it has kept no state to go on from. Only a run" in capsys.readouterr().err


@pytest.mark.parametrize(
    "call", [["--resume", "last", "plan.yaml"], [], ["--resume", "last", "--set", "training.epochs=1"]]
)
def test_a_run_goes_on_with_its_own_plan_or_a_plan_is_named(call, capsys):
    assert main(["train", *call]) == 2
    assert "name either a plan (with --set KEY=VALUE) or --resume RUN" in capsys.readouterr().err


def test_going_on_without_a_run_ends_with_one(capsys):
    assert main(["train", "--resume", "last"]) == 1
    assert "No run is called “last”." in capsys.readouterr().err


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


def test_the_methods_are_listed_with_what_they_train(capsys):
    assert main(["methods"]) == 0
    out = capsys.readouterr().out
    for name in presets.methods():
        assert f"\n{name} " in out
    assert "chat, prefer" in out
    assert max(map(len, out.splitlines())) <= 110


def test_the_methods_as_json_hold_every_setting_with_range_default_and_explanation(capsys):
    assert main(["methods", "--json"]) == 0
    found = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert list(found) == list(presets.methods())
    for method in methods.METHODS:
        item = found[method.name]
        assert (item["built"], item["tasks"], item["resumes"]) == (
            True,
            list(method.tasks),
            method.supports_resume,
        )
        assert item["exports"] == list(method.exports)
        for knob, setting in zip(method.settings, item["settings"], strict=True):
            assert (setting["name"], setting["default"], setting["kind"]) == (
                knob.name,
                knob.default,
                knob.kind,
            )
            assert setting["help"]["en"]
            assert setting["help"]["zh"]
            assert ("range" in setting) == (knob.kind in ("int", "float"))
            assert ("choices" in setting) == (knob.kind == "choice")
        assert {said["task"] for said in item["not_with"]} == set(REQUIRED_ROLES) - set(method.tasks)
        assert all(said["why"]["en"] and said["nearest"]["zh"] for said in item["not_with"])
    assert next(setting for setting in found["lora"]["settings"] if setting["name"] == "rank")["range"] == [
        1,
        256,
    ]


def test_an_unknown_command_ends_with_two():
    with pytest.raises(SystemExit) as caught:
        main(["dance"])
    assert caught.value.code == 2


def test_the_doctor_says_what_this_machine_can_do(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for said in (
        "Python 3.",
        "memory: ",
        "disk: ",
        "runs: 0",
        "smollm2-135m: not here yet",
        "hub: does not answer",
        "torch 2.",
    ):
        assert said in out


def test_it_is_a_command_of_its_own_and_its_errors_go_to_stderr(tmp_path):
    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "studio", *arguments], capture_output=True, text=True, timeout=60
        )

    assert call("--version").stdout.strip() == f"studio {__version__}"
    (tmp_path / "plan.yaml").write_text("task: chat\n")
    wrong = call("train", str(tmp_path / "plan.yaml"))
    assert (wrong.returncode, wrong.stdout) == (2, "")
    assert "Problems in the plan: 3" in wrong.stderr
    gone = call("export", "last", "--to", "adapter", str(tmp_path / "out"))
    assert (gone.returncode, gone.stdout) == (1, "")
    assert "No run is called" in gone.stderr


def test_a_recipe_is_known_by_its_name(capsys):
    assert main(["train", "support-tone-lora", "--set", "training.epochs=-1"]) == 2
    assert "support-tone-lora.yaml: training.epochs: " in capsys.readouterr().err


def test_the_plan_of_a_run_is_the_one_that_was_given(plan_file, capsys):
    file = plan_file()
    main(["train", file, "--set", "training.epochs=0.5"])
    (run,) = runs.all_runs()
    assert run.plan == plan.load(plan.Path(file), ("training.epochs=0.5",))
