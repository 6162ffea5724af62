"""Contenders train in turns, losers leave, the winner goes on to its end, and the cap is never passed."""

import pytest
from bake_off_trainer import EVAL_COUNT, Trainer

from studio import runs
from studio.errors import NotPossible
from studio.plan import MethodChoice
from studio.training import launcher, pause, worker
from studio.training.bake_off import conductor, record, summary
from studio.training.pause import Pause

pytestmark = pytest.mark.usefixtures("untraced_start")


@pytest.fixture
def start(make_plan):
    """`start(methods, cap)`: a new bake-off of methods on the toy texts to classify."""

    def create(*names, cap=1000.0):
        plans = [(name, make_plan(name, "classify", eval_count=EVAL_COUNT)) for name in names]
        return record.create(plans, cap)

    return create


def outcomes(bake_off):
    return {each.name: each.outcome for each in bake_off.contenders}


def test_the_winner_goes_on_to_its_end_and_the_losers_do_not(start):
    trainer = Trainer({"full": 38, "lora": 38, "frozen": 5})
    ended = conductor.conduct(start("full", "lora", "frozen"), trainer)
    assert ended.state == "done"
    assert outcomes(ended) == {"full": "winner", "lora": "second", "frozen": "dropped"}
    assert trainer.turns == [
        *(("full", 20), ("lora", 20), ("frozen", 20)),
        *(("full", 40), ("lora", 40), ("full", 60), ("lora", 60), ("full", 100)),
    ]


def test_short_trainings_are_compared_once_half_way(make_plan):
    trainer = Trainer({"full": 38, "lora": 38})
    plans = [(name, make_plan(name, "classify", eval_count=EVAL_COUNT)) for name in ("full", "lora")]
    conductor.conduct(record.create(plans, 1000.0, n_looks=1), trainer)
    assert trainer.turns == [("full", 50), ("lora", 50), ("full", 100)]


@pytest.mark.parametrize(
    ("minutes", "n_looks"),
    [
        ([1.0, 1.0], 1),  # 0.2 min for each further turn, of which a tenth of 2 min has room for one
        ([3.0, 3.0], 2),  # 3 turns are 0.6 min
        ([5.0, 5.0], 3),  # 5 turns are 1 min
        ([5.0, None], 3),
    ],
)
def test_further_turns_add_a_tenth_at_most(minutes, n_looks):
    assert record.choose_looks(minutes) == n_looks


def test_where_one_remains_the_looks_end(start):
    trainer = Trainer({"full": 38, "lora": 5})
    ended = conductor.conduct(start("full", "lora"), trainer)
    assert trainer.turns == [("full", 20), ("lora", 20), ("full", 100)]
    assert [each.share for each in ended.contenders] == [1.0, 0.2]


@pytest.mark.parametrize("cap", [1.0, 5.0, 12.0, 16.0])
def test_the_cap_is_never_passed(start, cap):
    trainer = Trainer({"full": 38, "lora": 37})
    ended = conductor.conduct(start("full", "lora", cap=cap), trainer)
    assert ended.state == "time_is_up"
    assert ended.minutes <= cap


def test_a_winner_that_time_does_not_suffice_for_is_named_and_can_go_on(start):
    ended = conductor.conduct(start("full", "lora", cap=13.0), Trainer({"full": 38, "lora": 37}))
    assert outcomes(ended)["full"] == "winner"
    texts = [message.render() for message in summary.summarize(ended).recommend()]
    assert texts[0].startswith("full leads with 95% correct")
    assert f"studio train --resume {ended.contenders[0].run_id[:8]}" in texts[-1]


def test_it_goes_on_where_it_broke_off(start):
    trainer = Trainer({"full": 38, "lora": 38, "frozen": 5})
    broken = start("full", "lora", "frozen")

    def break_off(run, until):
        if len(trainer.turns) == 4:
            raise KeyboardInterrupt
        return trainer(run, until)

    with pytest.raises(KeyboardInterrupt):
        conductor.conduct(broken, break_off)
    ended = conductor.conduct(record.get(broken.id), trainer)
    assert ended.state == "done"
    assert len(trainer.turns) == len(set(trainer.turns)) == 8


def test_one_that_breaks_off_leaves_with_its_reason_and_the_others_go_on(start):
    trainer = Trainer({"full": 38, "lora": 38})

    def fail_lora(run, until):
        if run.plan.method.name == "full":
            return trainer(run, until)
        runs.set_status(run, "failed", message=conductor.WAS_DELETED)
        return 0.1

    ended = conductor.conduct(start("full", "lora"), fail_lora)
    assert outcomes(ended) == {"full": "winner", "lora": "broke_off"}
    assert ended.contenders[1].reason == conductor.WAS_DELETED


def test_a_run_that_somebody_deleted_leaves(start):
    trainer = Trainer({"full": 38, "lora": 38})
    ended = conductor.conduct(start("full", "lora", cap=7.0), trainer)
    runs.delete(ended.contenders[0].run)
    assert summary.summarize(ended).rows[0].score is None


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("full",), record.WRONG_COUNT),
        (("full", "full"), record.TWINS),
        (("full", "upft"), record.WRONG_METHOD),
    ],
)
def test_what_cannot_be_compared_is_refused_before_anything_trains(make_plan, names, message):
    plans = [(name, make_plan(name, "chat")) for name in names]
    with pytest.raises(NotPossible) as raised:
        record.create(plans, 10.0)
    assert raised.value.message.text == message.text
    assert not list(record.folder().iterdir())


def test_a_damaged_record_is_a_sentence(start):
    bake_off = start("full", "lora")
    for content in (
        "",
        "[]",
        '{"contenders": 3}',
        '{"contenders": [{}], "cap_minutes": 1, "state": "done", "n_looks": 9}',
    ):
        (bake_off.folder / record.RECORD_FILE).write_text(content, encoding="utf-8")
        with pytest.raises(NotPossible, match="cannot be read"):
            record.get(bake_off.id)


@pytest.mark.exhaustive
def test_a_winner_has_the_losses_of_a_run_that_never_paused(make_plan):
    def train_here(run, until):
        if runs.status(run).state != "waiting":
            launcher.requeue(run)
        worker.run(run.id, pause=until)
        return 0.01

    plan = make_plan("lora", "classify", epochs=4)
    rivals = [("lora", plan), ("frozen", plan.model_copy(update={"method": MethodChoice(name="frozen")}))]
    ended = conductor.conduct(record.create(rivals, 1000.0), train_here)
    winner = next(each for each in ended.contenders if each.outcome == "winner")
    undisturbed = runs.create(winner.plan)
    worker.run(undisturbed.id)
    assert ended.state == "done"
    assert read_losses(winner.run) == read_losses(undisturbed)
    assert runs.report(winner.run)["after"] == runs.report(undisturbed)["after"]


def read_losses(run):
    return [(each["step"], each["loss"]) for each in runs.read_points(run) if "loss" in each]


@pytest.mark.thorough
def test_a_pause_whose_time_is_up_keeps_the_place(make_plan):
    run = runs.create(make_plan("lora", "classify", epochs=4))
    worker.run(run.id, pause=Pause(0, 0.0))
    assert runs.status(run).stage == "paused"
    assert pause.read(run).step == 1
    assert not runs.is_usable(run)
    launcher.requeue(run)
    worker.run(run.id)
    assert runs.status(run).state == "done"


def test_a_turn_that_was_stopped_is_taken_again(start):
    trainer = Trainer({"full": 38, "lora": 38})
    bake_off = start("full", "lora")

    def stop_at_once(run, until):
        bake_off.stop_file.touch()
        runs.set_status(run, "stopped", "before")
        return 0.0

    assert conductor.conduct(bake_off, stop_at_once).state == "stopped"
    (full, lora) = record.get(bake_off.id).contenders
    assert (full.looks, lora.looks) == (0, 0)
    assert conductor.conduct(record.get(bake_off.id), trainer).state == "stopped", "it was not started anew"
    bake_off.stop_file.unlink()
    ended = conductor.conduct(record.get(bake_off.id), trainer)
    assert ended.state == "done"
    assert trainer.turns[:2] == [("full", 20), ("lora", 20)]


def test_a_run_that_a_person_has_finished_meanwhile_is_not_started_again(make_plan, monkeypatch):
    started = []
    monkeypatch.setattr(launcher, "start", lambda run, until: started.append(run))
    monkeypatch.setattr(launcher, "resume", lambda run, until: started.append(run))
    run = runs.create(make_plan())
    runs.set_status(run, "done", "")
    assert conductor.train_in_worker(run, Pause(1, 60.0)) == 0.0
    assert started == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"training": {"seed": 1}}, record.OTHER_ROWS),
        ({"data": {"validation_share": 0.4}}, record.OTHER_ROWS),
        ({"model": "another/model"}, record.OTHER_TOKENS),
    ],
)
def test_contenders_are_judged_on_the_same_rows_by_the_same_tokens(changes, message, make_plan):
    plan = make_plan("lora", "chat")
    parts = {
        name: getattr(plan, name).model_copy(update=value) if isinstance(value, dict) else value
        for name, value in changes.items()
    }
    with pytest.raises(NotPossible) as caught:
        record.require_comparable([("one", plan), ("other", plan.model_copy(update=parts))], 10.0)
    assert caught.value.message.text == message.text
    fewer = plan.model_copy(update={"data": plan.data.model_copy(update={"train_share": 0.5})})
    record.require_comparable([("one", plan), ("other", fewer)], 10.0)
