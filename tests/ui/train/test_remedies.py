"""Next steps with one click: the same plan with the change that a step means."""

import dataclasses
from types import SimpleNamespace

import pytest
from form_fields import CHINESE, ENGLISH

from studio import runs
from studio.errors import NotPossible
from studio.estimate.machines import catalogue
from studio.evaluate import next_steps
from studio.evaluate.next_steps import NextStep
from studio.evaluate.verdict import Verdict
from studio.i18n import Message
from studio.plan import MethodChoice
from studio.storage import write_json
from studio.training import launcher
from studio.ui.train import live_view, remedies, tab

SAID = Message("Lower it.")
STEPS = (NextStep(SAID), NextStep(SAID, {"training.learning_rate": 1e-3, "training.epochs": 2.5}))


@pytest.fixture
def judged(make_plan):
    """A run that has ended with a verdict and two next steps, the second of which is another plan."""
    plan = make_plan()
    data = plan.data.model_copy(update={"source": "sample:support-tone", "columns": {}})
    run = runs.create(plan.model_copy(update={"data": data}))
    verdict = Verdict("cannot_tell", Message("Open."), next_steps=STEPS)
    training = {"learning_rate": 0.01, "epochs": 6.0}
    write_json(run.folder / "report.json", {"verdict": verdict.to_json(), "training": training})
    runs.set_status(run, "done", "after")
    return run


@pytest.fixture
def started(monkeypatch):
    """The runs whose worker would have been started."""
    started = []
    monkeypatch.setattr(launcher, "start", started.append)
    return started


def press(run_id, step, visitor=ENGLISH):
    return tab.try_again([], SimpleNamespace(id=run_id, step=step), visitor)


def test_a_step_that_another_plan_does_has_a_button(judged):
    steps = remedies.describe_steps(judged, runs.report(judged), "en")
    assert [step["button"] for step in steps] == ["", remedies.TRY_THIS.text]


def test_a_press_starts_the_same_plan_with_the_change_and_says_what_changed(judged, started):
    notice, view, run_id, run_ids = press(judged.id, 1)
    (run,) = started
    assert (view["run"], run_id, run_ids) == (run.id, run.id, [run.id])
    assert run.plan.training.learning_rate == 1e-3
    assert run.plan.training.epochs == 2.5
    assert run.plan.data == judged.plan.data
    assert run.plan.method == judged.plan.method
    assert "0.001 instead of 0.01" in notice["text"]
    assert "2.5 instead of 6" in notice["text"]
    assert "原为" in press(judged.id, 1, CHINESE)[0]["text"]


@pytest.mark.parametrize("step", [0, 2, -1, "1", None, {"a": 1}])
def test_what_is_no_step_with_a_plan_starts_nothing(judged, started, step):
    assert press(judged.id, step)[0]["kind"] == "bad"
    assert started == []


def test_where_others_reach_the_page_their_data_cannot_be_trained_on(judged, started, monkeypatch):
    monkeypatch.setattr(remedies.access, "is_open_to_others", lambda: True)
    data = judged.plan.data.model_copy(update={"source": "/home/someone/secret.csv"})
    other = runs.create(judged.plan.model_copy(update={"data": data}))
    write_json(other.folder / "report.json", runs.report(judged))
    with pytest.raises(Exception, match="data set"):
        remedies.build_variation(other, 1, "en")
    assert press(other.id, 1)[0]["kind"] == "bad"
    assert started == []


def test_the_last_line_of_the_coach_stands_among_the_next_steps(judged):
    report = runs.report(judged)
    for step, loss in enumerate((1.0, 1.5, 1.6, 1.7)):
        runs.add_point(judged, "train", 10 * step, 0.0, eval_loss=loss, best_step=0)
    *_, last = live_view.poll([judged.id, 0, "en"])["verdict"]["steps"]
    # The verdict's step changes the learning rate already, so the curve's advice to lower it is not repeated.
    assert last["text"] == SAID.text
    report["verdict"]["next_steps"] = []
    write_json(judged.folder / "report.json", report)
    (step,) = live_view.poll([judged.id, 0, "en"])["verdict"]["steps"]
    assert step["text"].startswith("Every check is worse than the start")
    assert step["button"] == remedies.TRY_THIS.text


def test_a_change_of_method_is_named_with_its_settings(make_plan):
    text = remedies.describe_changes(make_plan(), next_steps.FEED_FORWARD_PLAN, {}, "en")
    assert "PEFT" in text
    assert "lora_mlp" in text
    with pytest.raises(NotPossible):
        remedies.build_variation(runs.create(make_plan()), 0, "en")


@pytest.fixture
def short_of_memory(judged, monkeypatch):
    """A run that memory did not suffice for, on a machine with room for less than it needs."""
    plan = judged.plan
    training = plan.training.model_copy(
        update={"batch_size": 8, "gradient_accumulation_steps": 1, "max_length": 256}
    )
    plan = plan.model_copy(update={"model": "smollm2-360m", "training": training})
    plan = plan.model_copy(update={"method": MethodChoice(name="full")})
    machine = dataclasses.replace(catalogue.load_machines()["hf-cpu-basic"], usable_bytes=9 * 10**9)
    monkeypatch.setattr(catalogue, "local_machine", lambda: machine)
    run = runs.create(plan)
    runs.set_status(run, "failed", "train", message=Message("No memory left."), cause="memory")
    return run


def test_a_run_out_of_memory_shows_three_plans_that_fit_and_starts_the_pressed_one(short_of_memory, started):
    shown = live_view.poll([short_of_memory.id, 0, "en"])["remedies"]
    assert len(shown["steps"]) == 3
    assert all(" GB, " in step["text"] for step in shown["steps"])
    assert live_view.poll([short_of_memory.id, 0, "zh"])["remedies"]["heading"] != shown["heading"]
    key = shown["steps"][0]["key"]
    notice, _, run_id, _ = press(short_of_memory.id, key)
    (run,) = started
    assert (notice["kind"], run.id) == ("good", run_id)
    assert key == "training.gradient_checkpointing", "micro batches would hold the gradients of those before"
    assert run.plan.training.gradient_checkpointing
    assert run.plan.training.batch_size == 8


def test_what_fits_no_longer_is_refused(short_of_memory, started):
    assert press(short_of_memory.id, "training.seed")[0]["kind"] == "bad"
    assert started == []


def test_a_run_that_failed_otherwise_shows_no_smaller_plans(short_of_memory):
    runs.set_status(short_of_memory, "failed", "train", message=Message("Diverged."))
    assert live_view.poll([short_of_memory.id, 0, "en"])["remedies"] == {}
