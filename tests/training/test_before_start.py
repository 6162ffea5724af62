"""What this machine cannot train is said before anything starts, from wherever it is started."""

import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest
from form_fields import ENGLISH, form_fields

from studio import methods, runs
from studio import plan as plans
from studio.cli import learning_curve as learning_curve_command
from studio.cli.main import main
from studio.errors import NotPossible, StudioError
from studio.estimate import all_methods
from studio.estimate.estimate_one import NEEDS_BF16
from studio.estimate.machines import catalogue, hardware
from studio.methods import several_cards
from studio.models import ranks
from studio.plan import MethodChoice
from studio.storage import TOO_LITTLE_SPACE, home
from studio.training import before_start, launcher, learning_curve, trial
from studio.training.bake_off import process, record
from studio.ui.form import plan_form
from studio.ui.method import rate_range as rate_range_panel
from studio.ui.method import rehearsal as rehearsal_panel
from studio.ui.playground import next_round
from studio.ui.train import bake_off as bake_off_panel
from studio.ui.train import more_data, remedies
from studio.ui.train import tab as train_tab

# What is said of a plan that this machine cannot train; of one in a file, the key is named as well.
PROBLEMS = {
    "gpus": (before_start.TOO_FEW_GPUS,),
    "batch": (ranks.INDIVISIBLE, methods.NUM_GPUS_BATCH),
    "method": (several_cards.ONE_GPU_ALONE, methods.NUM_GPUS_METHODS),
    "disk": (TOO_LITTLE_SPACE,),
    "memory": (NEEDS_BF16,),
}


def type_in(desk, *arguments):
    assert main(list(arguments)) != 0
    return desk.capsys.readouterr().err


def type_plan(desk, command, *arguments):
    path = desk.tmp_path / "plan.yaml"
    path.write_text(plans.dump(desk.plan), encoding="utf-8")
    return type_in(desk, command, str(path), *arguments)


def press(act, *arguments, **fields):
    """What the page says first, or at the end of what it says bit by bit."""
    replies = act(*arguments, **fields)
    replies = replies if isinstance(replies, tuple) else list(replies)[-1]
    notice = replies[0] if isinstance(replies, tuple) else replies
    return f"{notice['text']} {notice['more']}"


def stop_a_run(desk):
    run = runs.create(desk.plan)
    runs.set_status(run, "stopped", "train", step=1, steps=2)
    return run.id


def stop_a_bake_off(desk):
    bake_off = record.create([("one", desk.plan), ("two", desk.plan)], 10.0)
    record.save(replace(bake_off, state="stopped"))
    return bake_off.id


def finish_a_run(desk):
    desk.monkeypatch.setattr(learning_curve, "check_possible", lambda run: None)
    desk.monkeypatch.setattr(learning_curve_command, "_print_cost", lambda run: None)
    return stop_a_run(desk)


def try_a_next_step(desk):
    desk.monkeypatch.setattr(remedies, "build_variation", lambda *_: (desk.plan, ""))
    return press(train_tab.try_again, [], SimpleNamespace(id=stop_a_run(desk)), ENGLISH)


def start_what_fits(desk):
    desk.monkeypatch.setattr(remedies, "build_fitting_plan", lambda *_: (desk.plan, ""))
    return press(train_tab.start_fitting, ENGLISH, SimpleNamespace(), [], **form_fields())


def start_the_next_round(desk):
    with pytest.raises(StudioError) as caught:
        next_round._start(desk.plan, "en")
    return caught.value.render()


def start_bake_off(desk, bake_off_id):
    names = list(dict.fromkeys(("lora", desk.plan.method.name, "full")))
    return press(bake_off_panel.start, ENGLISH, bake_off_id, [], names, 60, **form_fields())


STARTS = {
    "train": lambda desk: type_plan(desk, "train"),
    "bake-off": lambda desk: type_plan(desk, "bake-off", "--try", "lora", "--try", "full"),
    "learning-curve": lambda desk: type_in(desk, "learning-curve", finish_a_run(desk)),
    "page: start": lambda desk: press(train_tab.start_run, ENGLISH, [], **form_fields()),
    "page: what fits": start_what_fits,
    "page: next step": try_a_next_step,
    "page: again": lambda desk: press(
        train_tab.start_again, [], SimpleNamespace(id=stop_a_run(desk)), ENGLISH
    ),
    "page: bake-off": lambda desk: start_bake_off(desk, ""),
    "page: more data": lambda desk: press(more_data.start, finish_a_run(desk), [], ENGLISH),
    "page: next round": start_the_next_round,
}
# What goes on or only tries a plan: the estimate is not asked, but the GPUs have to be there.
TRIES = {
    "resume": lambda desk: type_in(desk, "train", "--resume", stop_a_run(desk)),
    "bake-off, resumed": lambda desk: type_in(desk, "bake-off", "--resume", stop_a_bake_off(desk)),
    "rate-range": lambda desk: type_plan(desk, "rate-range"),
    "page: resume": lambda desk: press(
        train_tab.resume_run, "", SimpleNamespace(id=stop_a_run(desk)), ENGLISH
    ),
    "page: bake-off, resumed": lambda desk: start_bake_off(desk, stop_a_bake_off(desk)),
    "page: rate range": lambda desk: press(rate_range_panel.test_learning_rates, ENGLISH, **form_fields()),
}
REHEARSALS = {
    "rehearse": lambda desk: type_plan(desk, "rehearse"),
    "page: rehearsal": lambda desk: press(rehearsal_panel.rehearse, ENGLISH, **form_fields()),
}
CASES = [
    *((way, problem) for way in STARTS for problem in PROBLEMS),
    *((way, problem) for way in TRIES for problem in PROBLEMS if problem != "memory"),
    *((way, "method") for way in REHEARSALS),
]


@pytest.fixture
def desk(make_plan, monkeypatch, capsys, tmp_path):
    """`desk(problem, way)`: a person with a plan that this machine cannot train."""

    def sit_down(problem, way):
        plan = make_plan("rlhf" if way in REHEARSALS else "lora", "chat", batch_size=4)
        changes = {"num_gpus": 2, "batch_size": 5 if problem == "batch" else 4}
        plan = plan.model_copy(update={"training": plan.training.model_copy(update=changes)})
        if problem == "method" and way not in REHEARSALS:
            plan = plan.model_copy(update={"method": MethodChoice(name="frozen")})
        here = catalogue.local_machine()
        estimate = all_methods.estimate_chosen_method(make_plan("lora", "chat"), here)
        if problem == "memory":
            estimate = replace(estimate, fits="no", why_not=NEEDS_BF16)
        if problem == "disk":
            disk = SimpleNamespace(free=100_000_000)
            monkeypatch.setattr(shutil, "disk_usage", lambda folder: disk)
        n_gpus = 1 if problem == "gpus" else 2
        monkeypatch.setattr(hardware, "count_gpus", lambda: n_gpus)
        monkeypatch.setattr(all_methods, "estimate_before_start", lambda plan, machine: estimate)
        monkeypatch.setattr(plan_form, "build_plan", lambda form: plan)
        monkeypatch.setattr(plan_form, "describe_plan", lambda plan, lang: "")
        for module, starter in ((process, "start"), (launcher, "_start_worker"), (trial, "processes")):
            monkeypatch.setattr(module, starter, lambda *_: pytest.fail("it has started"))
        return SimpleNamespace(plan=plan, monkeypatch=monkeypatch, capsys=capsys, tmp_path=tmp_path)

    return sit_down


@pytest.mark.parametrize(("way", "problem"), CASES, ids=[f"{way}-{problem}" for way, problem in CASES])
def test_it_is_said_before_anything_starts(way, problem, desk):
    person = desk(problem, way)
    said = {**STARTS, **TRIES, **REHEARSALS}[way](person)
    training = person.plan.training
    values = {"count": 2, "available": 1, "batch": training.batch_size, "names": list(several_cards.METHODS)}
    values |= {"method": person.plan.method.name, "name": person.plan.name}
    values |= {"free": 0.1, "wanted": 0.22, "folder": home()}
    sentences = [message.render("en", **values) for message in PROBLEMS[problem]]
    assert any(sentence.split(", and")[0] in said for sentence in sentences), said
    assert all(runs.status(run).state == "stopped" for run in runs.all_runs())


def test_a_contender_that_does_not_fit_is_named(desk):
    said = STARTS["bake-off"](desk("memory", "bake-off"))
    values = {"name": "LoRA", "machine": catalogue.local_machine().name, "why": NEEDS_BF16}
    assert before_start.NAMED_NO_ROOM.render("en", **values) in said


def test_a_precision_that_a_gpu_lacks_is_refused_before_its_run_is_made(make_plan):
    t4 = catalogue.load_machines()["hf-t4-small"]
    for precision in ("auto", "float32"):
        before_start.require_machine(make_plan(precision=precision), t4)
    with pytest.raises(NotPossible, match=r"asks for bfloat16.* Set training\.precision to auto or float32"):
        before_start.require_machine(make_plan(precision="bfloat16"), t4)
