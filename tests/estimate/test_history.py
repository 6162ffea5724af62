"""The record of runs: an estimate is compared with what its run took, and corrects the next one."""

import dataclasses
import json
import math

import pytest

from studio import runs
from studio.cli import train as train_command
from studio.estimate import all_methods, history
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import LOCAL_ID
from studio.estimate.types import Estimate, Range, range_around
from studio.storage import home

ESTIMATE = Estimate(
    "lora",
    memory_gb=Range(1.8, 2.0, 2.2),
    minutes=Range(8.0, 10.0, 12.0),
    money=Range(0.08, 0.10, 0.12),
    measured_at=5.0,
    corrections={"minutes": 1.0, "memory_gb": 1.0},
)


def record_run(make_plan, estimate=ESTIMATE, minutes=11.0, memory_gb=2.1, **flags):
    """Record a run that took so much; `flags` are those of history.add_entry."""
    run = runs.create(make_plan())
    history.save_estimate(run, estimate, catalogue.local_machine())
    history.add_entry(run, minutes, memory_gb, **{"is_complete": True, **flags})
    return run


def messages_of(joined):
    """The sentences that i18n.join_messages put together."""
    return [value for name, value in joined.values.items() if name.startswith("item_")]


def test_what_was_estimated_for_a_run_lies_in_its_folder(make_plan):
    run = record_run(make_plan)
    stored = history.load_estimate(run)
    assert stored["minutes"] == {"low": 8.0, "likely": 10.0, "high": 12.0}
    assert stored["memory_gb"] == {"low": 1.8, "likely": 2.0, "high": 2.2}
    assert stored["place"] == LOCAL_ID
    (entry,) = history.load_entries(LOCAL_ID)
    assert (entry.run, entry.actual_minutes, entry.peak_memory_gb) == (run.id, 11.0, 2.1)
    assert (entry.minutes, entry.memory_gb) == (ESTIMATE.minutes, ESTIMATE.memory_gb)
    assert (entry.measured_at, entry.corrections) == (ESTIMATE.measured_at, ESTIMATE.corrections)
    assert history.load_entries("elsewhere") == []


def test_a_run_without_an_estimate_leaves_no_entry(make_plan):
    run = runs.create(make_plan())
    history.add_entry(run, 3.0, 1.0, is_complete=True)
    history.save_estimate(run, Estimate("lora"), catalogue.local_machine())
    history.add_entry(run, 3.0, 1.0, is_complete=True)
    assert history.load_entries() == []


def test_the_time_of_a_run_that_others_held_up_is_not_judged_and_teaches_nothing(make_plan):
    record_run(make_plan, minutes=30.0, memory_gb=4.0, was_busy=True)
    assert messages_of(history.accuracy_message()) == [
        history.MEMORY_ACCURACY.format(count=1, held=0),
        history.BUSY_COUNT.format(busy=1),
    ]
    factors = history.correction_factors(LOCAL_ID, "lora", ESTIMATE.measured_at)
    assert factors["minutes"] == 1.0
    assert factors["memory_gb"] > 1.0


def test_damaged_lines_of_the_record_cost_those_lines_only(make_plan):
    record_run(make_plan)
    path = home() / "record.jsonl"
    path.write_text("{broken\n[1]\n{}\n" + path.read_text() + '{"run": 1, "minutes": 3}\n')
    assert len(history.load_entries()) == 1


def test_lines_of_an_earlier_studio_are_read(make_plan):
    record_run(make_plan)
    path = home() / "record.jsonl"
    old_line = json.loads(path.read_text())
    old_line["took"], old_line["used"] = old_line.pop("actual_minutes"), old_line.pop("peak_memory_gb")
    assert {"place", "stamp", "corrected", "whole", "died", "busy"} <= set(old_line), "the keys on disk stay"
    path.write_text(path.read_text() + json.dumps(old_line) + "\n")
    new_entry, old_entry = history.load_entries(LOCAL_ID)
    assert old_entry == new_entry


def test_the_sentence_counts_what_ended_within_its_range(make_plan):
    assert history.accuracy_message() == history.NO_COMPLETE_RUNS
    for minutes, memory_gb in ((11.0, 2.1), (12.5, 2.1), (9.0, 2.3)):
        record_run(make_plan, minutes=minutes, memory_gb=memory_gb)
    assert messages_of(history.accuracy_message()) == [
        history.TIME_ACCURACY.format(count=3, right=2),
        history.MEMORY_ACCURACY.format(count=3, held=2),
    ]
    assert (
        history.accuracy_message()
        .render()
        .startswith("Time was within the estimate in 2 of 3 finished runs.")
    )


def test_a_run_that_was_stopped_proves_nothing_and_one_that_ran_out_of_memory_proves_the_estimate_wrong(
    make_plan,
):
    record_run(make_plan, minutes=1.0, memory_gb=2.0, is_complete=False)
    assert history.accuracy_message() == history.NO_COMPLETE_RUNS
    record_run(make_plan, memory_gb=1.2)
    assert messages_of(history.accuracy_message()) == [
        history.TIME_ACCURACY.format(count=1, right=1),
        history.MEMORY_ACCURACY.format(count=1, held=0),
    ]
    record_run(make_plan, memory_gb=2.0, is_complete=False, ran_out_of_memory=True)
    assert messages_of(history.accuracy_message()) == [
        history.TIME_ACCURACY.format(count=2, right=1),
        history.MEMORY_ACCURACY.format(count=2, held=0),
        history.OUT_OF_MEMORY_COUNT.format(count=1),
    ]


def test_a_run_started_against_the_estimate_that_runs_out_of_memory_does_not_count_against_it(make_plan):
    record_run(
        make_plan,
        estimate=dataclasses.replace(ESTIMATE, fits="no"),
        is_complete=False,
        ran_out_of_memory=True,
    )
    assert history.load_entries() == []


def test_later_estimates_learn_from_what_runs_took_slowly_at_first(make_plan):
    def minutes_factor(machine_id=LOCAL_ID, measured_at=5.0):
        return history.correction_factors(machine_id, "lora", measured_at)["minutes"]

    assert history.correction_factors(LOCAL_ID, "lora", 5.0) == {"minutes": 1.0, "memory_gb": 1.0}
    record_run(make_plan, minutes=15.0, memory_gb=2.0)
    assert minutes_factor() == pytest.approx(1.5 ** (1 / 4)), "one run counts a fourth"
    for _ in range(3):
        record_run(make_plan, minutes=15.0, memory_gb=2.0)
    assert minutes_factor() == pytest.approx(1.5 ** (4 / 7)), "four count four sevenths"
    assert history.correction_factors(LOCAL_ID, "lora", 5.0)["memory_gb"] == pytest.approx(1.0)
    assert minutes_factor(measured_at=6.0) == 1.0, "the machine was measured anew"
    assert minutes_factor(machine_id="t4") == 1.0, "another machine"


def test_a_correction_is_not_made_twice(make_plan):
    """Estimated 10 minutes without correction and 15 with it: 15 is right, and no more is to be added."""
    corrected = dataclasses.replace(
        ESTIMATE, minutes=range_around(15.0, 1.2), corrections={"minutes": 1.5, "memory_gb": 1.0}
    )
    for _ in range(9):
        record_run(make_plan, estimate=corrected, minutes=15.0)
    assert history.correction_factors(LOCAL_ID, "lora", 5.0)["minutes"] == pytest.approx(
        math.exp(math.log(1.5) * 9 / 12)
    )


def test_stopped_runs_and_wild_ones_teach_little(make_plan):
    record_run(make_plan, minutes=1.0, is_complete=False)
    assert history.correction_factors(LOCAL_ID, "lora", 5.0)["minutes"] == 1.0
    record_run(make_plan, minutes=10_000.0, memory_gb=50.0)
    factors = history.correction_factors(LOCAL_ID, "lora", 5.0)
    assert factors["minutes"] == pytest.approx(3 ** (1 / 4))
    assert factors["memory_gb"] == pytest.approx(1.25 ** (1 / 4))


STORED_ESTIMATE = {
    **{name: dataclasses.asdict(getattr(ESTIMATE, name)) for name in ("minutes", "memory_gb", "money")},
    "currency": "USD",
}
STORED_ESTIMATE["price"] = {"per_hour": 0.6, "billed": "minute", "start_minutes": 0}


@pytest.mark.parametrize(
    ("seconds", "report", "reason"),
    [
        (660, {}, history.WITHIN_RANGE),
        (900, {}, history.SLOWER),
        (300, {}, history.FASTER),
        (900, {"core_share": 0.4}, history.MACHINE_BUSY.format(share=0.4)),
        (660, {"core_share": 0.79}, history.MACHINE_BUSY.format(share=0.79)),
        (660, {"core_share": 0.8}, history.WITHIN_RANGE),
        (300, {"stopped": True}, history.STOPPED),
        (300, {"stopped_early": True, "seconds_saved": 300}, history.STOPPED_EARLY.format(minutes=10.0)),
        (300, {"resumed": True}, history.RESUMED),
        (660, {"peak_memory_gb": 2.5}, history.MORE_MEMORY),
        (660, {"peak_memory_gb": 1.5}, history.LESS_MEMORY),
        (660 + 120, {"fetch_seconds": 120}, history.MODEL_DOWNLOADED.format(minutes=2.0)),
    ],
    ids=lambda value: value.text if hasattr(value, "text") else "",
)
def test_a_receipt_says_what_it_took_and_why_it_lay_outside(seconds, report, reason):
    report = {"seconds": seconds, "peak_memory_gb": 2.1, "fetch_seconds": 0, **report}
    receipt = history.build_receipt(STORED_ESTIMATE, report)
    minutes = (seconds - report["fetch_seconds"]) / 60
    summary = history.RECEIPT.format(
        minutes="8.0–12.0",
        money=", 0.08–0.12 USD",
        memory="1.8–2.2",
        took=minutes,
        paid=f", {0.01 * math.ceil(minutes):.2f} USD",  # each minute that has begun is charged in full
        used=report["peak_memory_gb"],
    )
    for language in ("en", "zh"):
        sentences = receipt.render(language)
        assert sentences.startswith(summary.render(language))
        assert sentences.endswith(reason.render(language))
    assert (history.WITHIN_RANGE.render() in receipt.render()) == (reason is history.WITHIN_RANGE)
    assert receipt.render("zh") != receipt.render()


def test_without_an_estimate_there_is_no_receipt():
    assert history.build_receipt({}, {"seconds": 3, "peak_memory_gb": 1}) is None
    assert history.build_receipt(STORED_ESTIMATE, {"seconds": 3}) is None


def test_a_run_from_the_terminal_is_estimated_compared_and_corrects_the_next(make_plan, tmp_path, capsys):
    path = tmp_path / "plan.yaml"
    plan = make_plan(epochs=1)
    path.write_text(json.dumps(plan.model_dump(mode="json")))
    assert train_command.train(str(path), ()) == 0
    output = capsys.readouterr().out
    assert "estimated " in output
    assert "It took " in output
    (entry,) = history.load_entries(LOCAL_ID)
    assert entry.is_complete
    assert entry.actual_minutes > 0
    assert entry.peak_memory_gb > 0.2, "a process with torch holds more than that"
    estimate = all_methods.estimate_chosen_method(plan, catalogue.local_machine())
    assert estimate.corrections == history.correction_factors(LOCAL_ID, "lora", 0.0)
    # On a busy machine its time teaches nothing.
    assert (estimate.corrections["minutes"] == 1.0) == entry.was_busy
    assert estimate.corrections["memory_gb"] != 1.0
