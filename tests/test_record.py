"""The studio's own record: a run's estimate is kept, held against what it took, told as a receipt, and corrects the next one."""

import dataclasses
import json
import math

import pytest

from studio import runs
from studio.estimate import machines, record, table
from studio.estimate.figures import Estimate, Range, around
from studio.estimate.machines import HERE
from studio.home import home
from studio.train import foreground

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
    record.foretell(run, told, machines.here())
    record.add(run, took, used, whole, died, busy)
    return run


def test_what_was_estimated_for_a_run_lies_in_its_folder(make_plan):
    run = ended(make_plan)
    told = record.foretold(run)
    assert (told["minutes"], told["memory_gb"], told["place"]) == (
        {"low": 8.0, "likely": 10.0, "high": 12.0},
        {"low": 1.8, "likely": 2.0, "high": 2.2},
        HERE,
    )
    (entry,) = record.entries(HERE)
    assert (entry.took, entry.used, entry.run, entry.minutes.likely) == (11.0, 2.1, run.id, 10.0)
    assert record.entries("elsewhere") == []


def test_a_run_without_an_estimate_leaves_no_entry(make_plan):
    run = runs.create(make_plan())
    record.add(run, 3.0, 1.0, whole=True)
    record.foretell(run, Estimate("lora"), machines.here())
    record.add(run, 3.0, 1.0, whole=True)
    assert record.entries() == []


def test_a_run_that_others_held_up_counts_against_the_record_and_teaches_no_time(make_plan):
    ended(make_plan, took=30.0, used=4.0, busy=True)
    assert not record.entries()[0].in_time
    found = record.learned(HERE, "lora", MADE.stamp)
    assert found["minutes"] == 1.0
    assert found["memory_gb"] > 1.0


def test_damaged_lines_of_the_record_cost_those_lines_only(make_plan):
    ended(make_plan)
    path = home() / "record.jsonl"
    path.write_text("{broken\n[1]\n{}\n" + path.read_text() + '{"run": 1, "minutes": 3}\n')
    assert len(record.entries()) == 1


def test_the_sentence_counts_what_ended_within_its_range(make_plan):
    assert record.sentence() == record.NONE_YET
    for took, used in ((11.0, 2.1), (12.5, 2.1), (9.0, 2.3)):
        ended(make_plan, took=took, used=used)
    assert record.sentence().en == "Of your last 3 complete runs, 2 ended within the estimated time and 2 within the estimated memory."
    assert "3" in record.sentence().zh


def test_a_run_that_was_stopped_proves_nothing_and_one_that_ran_out_of_memory_proves_the_estimate_wrong(make_plan):
    ended(make_plan, took=1.0, used=2.0, whole=False)
    assert record.sentence() == record.NONE_YET
    ended(make_plan, used=1.2)
    assert record.sentence().en == "Your one complete run so far ended within the estimated time and outside the estimated memory."
    ended(make_plan, used=2.0, whole=False, died=True)
    assert record.sentence().en == (
        "Of your last 2 complete runs, 1 ended within the estimated time and 0 within the estimated memory."
        " Out of memory, though it was said to fit: 1."
    )


def test_a_run_started_against_the_estimate_that_runs_out_of_memory_does_not_count_against_it(make_plan):
    ended(make_plan, told=dataclasses.replace(MADE, fits="no"), whole=False, died=True)
    assert record.entries() == []


def test_later_estimates_learn_from_what_runs_took_slowly_at_first(make_plan):
    assert record.learned(HERE, "lora", 5.0) == {"minutes": 1.0, "memory_gb": 1.0}
    ended(make_plan, took=15.0, used=2.0)
    one = record.learned(HERE, "lora", 5.0)["minutes"]
    assert one == pytest.approx(1.5 ** (1 / 4)), "one run counts a fourth"
    for _ in range(3):
        ended(make_plan, took=15.0, used=2.0)
    four = record.learned(HERE, "lora", 5.0)["minutes"]
    assert four == pytest.approx(1.5 ** (4 / 7)), "four count four sevenths"
    assert record.learned(HERE, "lora", 5.0)["memory_gb"] == pytest.approx(1.0)
    assert record.learned(HERE, "lora", 6.0)["minutes"] == 1.0, "the machine was measured anew"
    assert record.learned("t4", "lora", 5.0)["minutes"] == 1.0, "another machine"


def test_a_correction_is_not_made_twice(make_plan):
    """Estimated 10 minutes without correction and 15 with it: 15 is right, and no more is to be added."""
    moved = dataclasses.replace(MADE, minutes=around(15.0, 1.2), corrected={"minutes": 1.5, "memory_gb": 1.0})
    for _ in range(9):
        ended(make_plan, told=moved, took=15.0)
    assert record.learned(HERE, "lora", 5.0)["minutes"] == pytest.approx(math.exp(math.log(1.5) * 9 / 12))


def test_stopped_runs_and_wild_ones_teach_little(make_plan):
    ended(make_plan, took=1.0, whole=False)
    assert record.learned(HERE, "lora", 5.0)["minutes"] == 1.0
    ended(make_plan, took=10_000.0, used=50.0)
    found = record.learned(HERE, "lora", 5.0)
    assert found["minutes"] == pytest.approx(3 ** (1 / 4))
    assert found["memory_gb"] == pytest.approx(1.25 ** (1 / 4))


TOLD = {**{name: dataclasses.asdict(getattr(MADE, name)) for name in ("minutes", "memory_gb", "money")}, "currency": "USD"}
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
    found = record.receipt(TOLD, {"seconds": seconds, "peak_memory_gb": 2.1, "fetch_seconds": 0, **more})
    assert said in found.en
    assert found.en.startswith("Estimated 8.0–12.0 min, 0.08–0.12 USD, 1.8–2.2 GB; it took ")
    took = (seconds - more.get("fetch_seconds", 0)) / 60
    assert f"it took {took:.1f} min, {0.01 * math.ceil(took):.2f} USD" in found.en, "begun minutes are charged whole"
    assert ("Within the range" in found.en) == (said in ("Within the range", "fetched first, which took 2.0 min more"))
    assert found.zh != found.en


def test_without_an_estimate_there_is_no_receipt():
    assert record.receipt({}, {"seconds": 3, "peak_memory_gb": 1}) is None
    assert record.receipt(TOLD, {"seconds": 3}) is None


def test_a_run_from_the_terminal_is_foretold_held_against_it_and_corrects_the_next(make_plan, tmp_path, capsys):
    path = tmp_path / "plan.yaml"
    wanted = make_plan(epochs=1)
    path.write_text(wanted.to_yaml() if hasattr(wanted, "to_yaml") else json.dumps(wanted.model_dump(mode="json")))
    assert foreground.train(str(path), ()) == 0
    out = capsys.readouterr().out
    assert "estimated " in out
    assert "it took " in out
    (entry,) = record.entries(HERE)
    assert entry.whole
    assert entry.took > 0
    assert entry.used > 0.2, "a process with torch holds more than that"
    told = table.chosen(wanted, machines.here())
    assert told.corrected["minutes"] == pytest.approx(record.learned(HERE, "lora", 0.0)["minutes"])
    assert told.corrected["minutes"] != 1.0
