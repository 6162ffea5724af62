"""While all goes well terminals and logs hold the studio's own lines alone; a real warning still appears."""

import logging
import re
import subprocess
import sys
import time
import warnings

import pytest
import yaml

from studio import processes, quiet, runs
from studio.methods import METHODS
from studio.training import launcher

REPORT = "\x1b[1mBertForSequenceClassification\x1b[0m LOAD REPORT from: here\nKey | Status |\n---+---+-\n"


def is_shown(logger_name, text):
    """Whether a warning of a library with this text reaches those who listen."""
    logger = logging.getLogger(logger_name)
    record = logger.makeRecord(logger_name, logging.WARNING, "file", 1, text, (), None)
    return bool(logger.filter(record))


@pytest.mark.parametrize(
    ("rows", "shown"),
    [
        ("classifier.weight | MISSING | \nclassifier.bias   | MISSING | ", False),
        ("score.weight | \x1b[31mMISSING\x1b[0m | \nlm_head.weight | UNEXPECTED | ", False),
        ("classifier.weight | MISSING | \nbert.encoder.layer.0.output.dense.weight | MISSING | ", True),
        ("bert.pooler.dense.weight | MISSING | ", True),
        # A classifier that was saved under another name: what it has learned is lost.
        ("classifier.original_module.weight | UNEXPECTED | \nclassifier.weight | MISSING | ", True),
        # A head for other classes gives way to a new one; no other part may.
        ("classifier.weight | MISMATCH | Reinit due to size mismatch", False),
        ("bert.embeddings.word_embeddings.weight | MISMATCH | Reinit due to size mismatch", True),
        ("pre_classifier.bias | MISSING | \nvocab_transform.weight | UNEXPECTED | ", False),
    ],
)
def test_a_load_report_appears_unless_it_names_the_new_head_alone(rows, shown):
    assert is_shown("transformers.modeling_utils", f"{REPORT}{rows}\n\nNotes:\n- MISSING: …") is shown


@pytest.mark.parametrize("logger_name", [*quiet.EXPECTED_LOGS, "transformers.modeling_utils"])
def test_what_nobody_expects_of_a_library_appears(logger_name):
    assert is_shown(logger_name, "The weights were not read to their end.")


def test_a_deprecation_that_is_not_listed_appears():
    with warnings.catch_warnings(record=True) as caught:
        quiet.silence_libraries()
        warnings.warn("`gradient_checkpointing_enable` is deprecated", FutureWarning, stacklevel=1)
        warnings.warn("`another_function` is deprecated", FutureWarning, stacklevel=1)
    assert [str(warning.message) for warning in caught] == ["`another_function` is deprecated"]


def write_plan(plan, folder):
    """The file of a plan, as a person would keep it."""
    path = folder / "plan.yaml"
    path.write_text(yaml.safe_dump(plan.model_dump(mode="json")), encoding="utf-8")
    return path


@pytest.fixture
def run_studio():
    """`run_studio(arguments)`: the command in a process of its own; what it says on stderr."""

    def run(*arguments):
        ended = subprocess.run(
            [sys.executable, "-m", "studio", *map(str, arguments)],
            env=processes.child_environment(processes.WORKER) | {"HF_HUB_OFFLINE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stderr
        return ended.stderr

    return run


@pytest.mark.exhaustive
@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_training_asking_and_exporting_print_nothing_but_the_studios_own_lines(
    method, make_plan, run_studio, tmp_path
):
    # The last task: a classifier where the method trains one, since its head is new to the base.
    settings = {"steps": 2, "max_completion_length": 8} if method.name == "rlhf" else {}
    plan = make_plan(method.name, method.tasks[-1], settings, epochs=0.5)
    assert run_studio("train", write_plan(plan, tmp_path)) == ""
    assert run_studio("ask", "last", "where is my lamp", "--length", 4) == ""
    for number, form in enumerate(method.exports):
        assert run_studio("export", "last", "--to", form, tmp_path / f"export-{number}") == ""
    (run,) = runs.all_runs()
    assert "".join(log.read_text(encoding="utf-8") for log in run.folder.rglob("*.log")) == ""


@pytest.mark.thorough
def test_the_log_of_a_worker_is_empty_while_all_goes_well(make_plan):
    run = runs.create(make_plan("qlora", "classify", epochs=0.5))
    launcher.start(run)
    while runs.is_alive(run):
        time.sleep(0.1)
    assert runs.status(run).state == "done"
    assert (run.folder / "worker.log").read_text() == ""


@pytest.mark.thorough
@pytest.mark.parametrize(
    "command",
    [
        "methods",
        *(pytest.param(name, marks=pytest.mark.exhaustive) for name in ("doctor", "estimate", "measure")),
    ],
)
def test_the_other_commands_print_nothing_but_their_answer(
    command, make_plan, tiny_chat, tmp_path, run_studio
):
    arguments = {"estimate": [write_plan(make_plan(), tmp_path)], "measure": ["--model", tiny_chat]}
    assert run_studio(command, *arguments.get(command, [])) == ""


# What libraries say beside a command's own lines of progress.
NOISE = re.compile("warning|failed to load|load report|deprecat|traceback", re.IGNORECASE)


@pytest.mark.exhaustive
@pytest.mark.parametrize("command", ["verdict", "report", "apply", "runs"])
def test_what_is_asked_of_a_run_brings_no_noise(command, finished, classify_csv, tmp_path, run_studio):
    run = finished("lora", "classify")
    arguments = {
        "report": [run.id, "--out", tmp_path / "page.html"],
        "apply": [run.id, classify_csv],
        "runs": [],
    }
    assert not NOISE.search(run_studio(command, *arguments.get(command, [run.id])))


@pytest.mark.exhaustive
@pytest.mark.parametrize("command", ["baselines", "rate-range", "bake-off"])
def test_what_is_asked_of_a_plan_brings_no_noise(command, make_plan, tmp_path, run_studio):
    plan = write_plan(make_plan("lora", "classify", epochs=0.5), tmp_path)
    arguments = {"bake-off": ["--minutes", 2, "--try", "lora", "--try", "frozen"]}
    assert not NOISE.search(run_studio(command, plan, *arguments.get(command, [])))
