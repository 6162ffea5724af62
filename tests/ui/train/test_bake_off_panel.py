"""A bake-off from the page: who can compete is offered, it starts once, its table says what was measured."""

from types import SimpleNamespace

import pytest
from bake_off_trainer import EVAL_COUNT, Trainer
from form_fields import ENGLISH

from studio import runs
from studio.training.bake_off import conductor, process, record
from studio.ui.form import plan_form
from studio.ui.train import bake_off


@pytest.fixture
def form_plan(make_plan, monkeypatch):
    """The plan that the form describes, whatever it holds."""
    plan = make_plan("lora", "classify", eval_count=EVAL_COUNT)
    monkeypatch.setattr(bake_off, "read_form", lambda fields: SimpleNamespace(machine="here"))
    monkeypatch.setattr(plan_form, "build_plan", lambda form: plan)
    return plan


@pytest.fixture
def started(monkeypatch):
    """The bake-offs whose process would have been started."""
    bake_offs = []
    monkeypatch.setattr(process, "start", bake_offs.append)
    return bake_offs


def press_start(chosen=("lora", "full"), minutes=30, bake_off_id=""):
    return bake_off.start(ENGLISH, bake_off_id, [], list(chosen), minutes)


def test_methods_in_turns_become_a_table_and_a_recommendation(form_plan, started):
    press_start()
    (waiting,) = started
    assert [each.name for each in waiting.contenders] == ["LoRA", "Full fine-tuning"]
    conductor.conduct(waiting, Trainer({"lora": 38, "full": 5}))
    notice, table, bake_off_id, own_runs, _, timer = bake_off.look(waiting.id, [], ENGLISH)
    assert notice["text"].startswith("Use LoRA: 95% correct")
    winner, loser = table["rows"]
    assert winner["cells"][:3] == ("winner", "95% correct (83%–99%)", "100%")
    assert loser["cells"][0] == "dropped, shown to be worse"
    assert len(table["heads"]) == 1 + len(winner["cells"])
    assert own_runs == [each.run_id for each in record.get(bake_off_id).contenders]
    assert timer["active"] is False


def test_the_forms_own_method_keeps_its_settings_and_others_take_their_defaults(form_plan, started):
    press_start()
    own, other = (each.plan for each in started[0].contenders)
    assert own.method == form_plan.method
    assert own.training == form_plan.training
    assert (other.method.name, other.training.learning_rate) == ("full", None)


def test_one_that_broke_off_goes_on_and_one_that_ended_starts_anew(form_plan, started):
    press_start()
    press_start(bake_off_id=started[0].id)
    assert started[1].id == started[0].id
    conductor.conduct(started[0], Trainer({"lora": 38, "full": 5}))
    press_start(bake_off_id=started[0].id)
    assert started[2].id != started[0].id


def test_a_process_that_is_gone_is_said(form_plan, started):
    press_start()
    notice, *_ = bake_off.look(started[0].id, [], ENGLISH)
    assert notice["text"] == "The bake-off stopped unexpectedly; what was learned is kept."


@pytest.mark.parametrize(
    ("chosen", "minutes", "text"),
    [
        (["lora"], 30, "A bake-off takes 2 to 5 contenders, and this one has 1."),
        ("lora", 30, "A bake-off takes 2 to 5 contenders, and this one has 0."),
        ([3, None], 30, "A bake-off takes 2 to 5 contenders, and this one has 0."),
        (["lora", "nonsense"], 30, "nonsense"),
        (["lora", "full"], 0, "A bake-off takes 1 to 1440 minutes, and you gave 0."),
        (["lora", "full"], "soon", "A bake-off takes 1 to 1440 minutes, and you gave soon."),
        (["lora", "full"], None, "A bake-off takes 1 to 1440 minutes, and you gave None."),
    ],
)
def test_what_is_wrong_is_said_and_nothing_starts(form_plan, started, chosen, minutes, text):
    notice, *_ = bake_off.start(ENGLISH, "", [], chosen, minutes)
    assert text in notice["text"]
    assert notice["bad"]
    assert not started
    assert not runs.all_runs()


@pytest.mark.parametrize("bake_off_id", ["", "../../etc", None, 3, "0" * 32])
def test_an_id_that_a_browser_made_up_shows_nothing(bake_off_id):
    notice, table, shown_id, *_ = bake_off.look(bake_off_id, [], ENGLISH)
    assert (notice["text"], table, shown_id) == ("", {}, "")
