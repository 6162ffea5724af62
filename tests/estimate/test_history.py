"""The studio's own record: a run's estimate is kept, held against what it took, told as a receipt, and corrects the next one."""

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

MADE = Estimate(
    "lora",
    memory_gb=Range(1.8, 2.0, 2.2),
    minutes=Range(8.0, 10.0, 12.0),
    money=Range(0.08, 0.10, 0.12),
    stamp=5.0,
    corrected={"minutes": 1.0, "memory_gb": 1.0},
)


def ended(make_plan, told=MADE, took=11.0, used=2.1, whole=True, died=False, busy=False):
    run = runs.create(make_plan())
    history.save_estimate(run, told, catalogue.local_machine())
    history.add_entry(run, took, used, whole, died, busy)
    return run


def test_what_was_estimated_for_a_run_lies_in_its_folder(make_plan):
    run = ended(make_plan)
    told = history.load_estimate(run)
    assert (told["minutes"], told["memory_gb"], told["place"]) == (
        {"low": 8.0, "likely": 10.0, "high": 12.0},
        {"low": 1.8, "likely": 2.0, "high": 2.2},
        LOCAL_ID,
    )
    (entry,) = history.load_entries(LOCAL_ID)
    assert (entry.actual_minutes, entry.peak_memory_gb, entry.run, entry.minutes.likely) == (
        11.0,
        2.1,
        run.id,
        10.0,
    )
    assert history.load_entries("elsewhere") == []


def test_a_run_without_an_estimate_leaves_no_entry(make_plan):
    run = runs.create(make_plan())
    history.add_entry(run, 3.0, 1.0, is_complete=True)
    history.save_estimate(run, Estimate("lora"), catalogue.local_machine())
    history.add_entry(run, 3.0, 1.0, is_complete=True)
    assert history.load_entries() == []


def test_a_run_that_others_held_up_counts_against_the_record_and_teaches_no_time(make_plan):
    ended(make_plan, took=30.0, used=4.0, busy=True)
    assert not history.load_entries()[0].is_within_time
    found = history.correction_factors(LOCAL_ID, "lora", MADE.stamp)
    assert found["minutes"] == 1.0
    assert found["memory_gb"] > 1.0


def test_damaged_lines_of_the_record_cost_those_lines_only(make_plan):
    ended(make_plan)
    path = home() / "record.jsonl"
    path.write_text("{broken\n[1]\n{}\n" + path.read_text() + '{"run": 1, "minutes": 3}\n')
    assert len(history.load_entries()) == 1


def test_the_sentence_counts_what_ended_within_its_range(make_plan):
    assert history.accuracy_message() == history.NO_COMPLETE_RUNS
    for took, used in ((11.0, 2.1), (12.5, 2.1), (9.0, 2.3)):
        ended(make_plan, took=took, used=used)
    assert (
        history.accuracy_message().render()
        == "Of your last 3 complete runs, 2 ended within the estimated time and 2 within the estimated memory."
    )
    assert "3" in history.accuracy_message().render("zh")


def test_a_run_that_was_stopped_proves_nothing_and_one_that_ran_out_of_memory_proves_the_estimate_wrong(
    make_plan,
):
    ended(make_plan, took=1.0, used=2.0, whole=False)
    assert history.accuracy_message() == history.NO_COMPLETE_RUNS
    ended(make_plan, used=1.2)
    assert (
        history.accuracy_message().render()
        == "Your one complete run so far ended within the estimated time and outside the estimated memory."
    )
    ended(make_plan, used=2.0, whole=False, died=True)
    assert history.accuracy_message().render() == (
        "Of your last 2 complete runs, 1 ended within the estimated time and 0 within the estimated memory."
        " Out of memory, though it was said to fit: 1."
    )


def test_a_run_started_against_the_estimate_that_runs_out_of_memory_does_not_count_against_it(make_plan):
    ended(make_plan, told=dataclasses.replace(MADE, fits="no"), whole=False, died=True)
    assert history.load_entries() == []


def test_later_estimates_learn_from_what_runs_took_slowly_at_first(make_plan):
    assert history.correction_factors(LOCAL_ID, "lora", 5.0) == {"minutes": 1.0, "memory_gb": 1.0}
    ended(make_plan, took=15.0, used=2.0)
    one = history.correction_factors(LOCAL_ID, "lora", 5.0)["minutes"]
    assert one == pytest.approx(1.5 ** (1 / 4)), "one run counts a fourth"
    for _ in range(3):
        ended(make_plan, took=15.0, used=2.0)
    four = history.correction_factors(LOCAL_ID, "lora", 5.0)["minutes"]
    assert four == pytest.approx(1.5 ** (4 / 7)), "four count four sevenths"
    assert history.correction_factors(LOCAL_ID, "lora", 5.0)["memory_gb"] == pytest.approx(1.0)
    assert history.correction_factors(LOCAL_ID, "lora", 6.0)["minutes"] == 1.0, (
        "the machine was measured anew"
    )
    assert history.correction_factors("t4", "lora", 5.0)["minutes"] == 1.0, "another machine"


def test_a_correction_is_not_made_twice(make_plan):
    """Estimated 10 minutes without correction and 15 with it: 15 is right, and no more is to be added."""
    moved = dataclasses.replace(
        MADE, minutes=range_around(15.0, 1.2), corrected={"minutes": 1.5, "memory_gb": 1.0}
    )
    for _ in range(9):
        ended(make_plan, told=moved, took=15.0)
    assert history.correction_factors(LOCAL_ID, "lora", 5.0)["minutes"] == pytest.approx(
        math.exp(math.log(1.5) * 9 / 12)
    )


def test_stopped_runs_and_wild_ones_teach_little(make_plan):
    ended(make_plan, took=1.0, whole=False)
    assert history.correction_factors(LOCAL_ID, "lora", 5.0)["minutes"] == 1.0
    ended(make_plan, took=10_000.0, used=50.0)
    found = history.correction_factors(LOCAL_ID, "lora", 5.0)
    assert found["minutes"] == pytest.approx(3 ** (1 / 4))
    assert found["memory_gb"] == pytest.approx(1.25 ** (1 / 4))


TOLD = {
    **{name: dataclasses.asdict(getattr(MADE, name)) for name in ("minutes", "memory_gb", "money")},
    "currency": "USD",
}
TOLD["price"] = {"per_hour": 0.6, "billed": "minute", "start_minutes": 0}


@pytest.mark.parametrize(
    ("seconds", "more", "said"),
    [
        (660, {}, "Within the range"),
        (900, {}, "later estimates on this machine take that into account"),
        (300, {}, "quicker than estimated"),
        (900, {"core_share": 0.4}, "the machine was busy, the run had 40% of the cores' time"),
        (300, {"stopped": True}, "stopped on the way"),
        (300, {"stopped_early": True}, "no more progress"),
        (300, {"resumed": True}, "went on after a stop"),
        (660, {"peak_memory_gb": 2.5}, "more memory than estimated"),
        (660, {"peak_memory_gb": 1.5}, "less memory than estimated"),
        (660 + 120, {"fetch_seconds": 120}, "fetched first, which took 2.0 min more"),
    ],
)
def test_a_receipt_says_what_it_took_and_why_it_lay_outside(seconds, more, said):
    found = history.build_receipt(
        TOLD, {"seconds": seconds, "peak_memory_gb": 2.1, "fetch_seconds": 0, **more}
    )
    assert said in found.render()
    assert found.render().startswith("Estimated 8.0–12.0 min, 0.08–0.12 USD, 1.8–2.2 GB; it took ")
    took = (seconds - more.get("fetch_seconds", 0)) / 60
    assert f"it took {took:.1f} min, {0.01 * math.ceil(took):.2f} USD" in found.render(), (
        "begun minutes are charged whole"
    )
    assert ("Within the range" in found.render()) == (
        said in ("Within the range", "fetched first, which took 2.0 min more")
    )
    assert found.render("zh") != found.render()


def test_without_an_estimate_there_is_no_receipt():
    assert history.build_receipt({}, {"seconds": 3, "peak_memory_gb": 1}) is None
    assert history.build_receipt(TOLD, {"seconds": 3}) is None


def test_a_run_from_the_terminal_is_foretold_held_against_it_and_corrects_the_next(
    make_plan, tmp_path, capsys
):
    path = tmp_path / "plan.yaml"
    wanted = make_plan(epochs=1)
    path.write_text(
        wanted.to_yaml() if hasattr(wanted, "to_yaml") else json.dumps(wanted.model_dump(mode="json"))
    )
    assert train_command.train(str(path), ()) == 0
    out = capsys.readouterr().out
    assert "estimated " in out
    assert "it took " in out
    (entry,) = history.load_entries(LOCAL_ID)
    assert entry.whole
    assert entry.actual_minutes > 0
    assert entry.peak_memory_gb > 0.2, "a process with torch holds more than that"
    told = all_methods.estimate_chosen_method(wanted, catalogue.local_machine())
    assert told.corrected["minutes"] == pytest.approx(
        history.correction_factors(LOCAL_ID, "lora", 0.0)["minutes"]
    )
    assert told.corrected["minutes"] != 1.0
