"""The record of ended runs: what was estimated for each, what it took, and what estimates learn from that."""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import Machine
from studio.estimate.types import Estimate, Range
from studio.i18n import SENTENCE_SEPARATOR, Message, join_messages
from studio.runs import Run
from studio.storage import home, read_json, write_json

# Ended runs that the sentence on the record counts, and that later estimates learn from.
MAX_RUNS = 12
# The weight of "no correction", in runs: one run counts a fourth of what it says, three count half.
PRIOR_RUNS = 3
# How far earlier runs may change an estimate, either way (factors).
MAX_CORRECTION = {"minutes": 3.0, "memory_gb": 1.25}
# How often a run of the same method counts; a run of another method counts once.
SAME_METHOD_WEIGHT = 3
# Below this share of the cores' time a run was held up by other programs: its time says nothing.
MIN_CORE_SHARE = 0.8
TIME_ACCURACY = Message("Time was within the estimate in {right} of {count} finished {count:run|runs}.")
MEMORY_ACCURACY = Message("Memory was within the estimate in {held} of {count}.")
BUSY_COUNT = Message("In {busy} more the machine was busy, so time is not judged.")
OUT_OF_MEMORY_COUNT = Message("Out of memory, though it should have fit: {count}.")
NO_COMPLETE_RUNS = Message("No finished runs yet. Estimate accuracy will appear here.")
RECEIPT = Message(
    "It took {took:.1f} min{paid} (estimate: {minutes} min{money}) and {used:.1f} GB (estimate: {memory} GB)."
)
# The names of Estimate's and Entry's fields in estimate.json and record.jsonl (docs/run-folder.md).
STORED_KEYS = {
    "machine_id": "place",
    "measured_at": "stamp",
    "corrections": "corrected",
    "is_complete": "whole",
    "ran_out_of_memory": "died",
    "was_busy": "busy",
}
FIELD_NAMES = {key: name for name, key in STORED_KEYS.items()}
# The names that an earlier studio gave to what a run took.
FORMAT_1_KEYS = {"took": "actual_minutes", "used": "peak_memory_gb"}
WITHIN_RANGE = Message("Within the estimate.")
MACHINE_BUSY = Message("The machine was busy (the run had {share:.0%} of the cores): time not judged.")
MODEL_DOWNLOADED = Message("Within the estimate, plus {minutes:.1f} min to download the model.")
RESUMED = Message("It was stopped and resumed: time not judged.")
STOPPED_EARLY = Message(
    "It stopped improving and ended early; in full it would have taken {minutes:.1f} min."
)
STOPPED = Message("It was stopped: time not judged.")
SLOWER = Message("Slower than estimated; later estimates on this machine take that into account.")
FASTER = Message("Faster than estimated; later estimates on this machine take that into account.")
MORE_MEMORY = Message("It used more memory than estimated.")
LESS_MEMORY = Message("It used less memory than estimated.")


@dataclass(frozen=True)
class Entry:
    """One ended run.

    Attributes:
        run: Id of the run.
        method: Name of its method.
        model: Name of its base model.
        machine_id: Id of the machine.
        minutes: Estimated time.
        memory_gb: Estimated peak memory (GB).
        actual_minutes: Time it took, fetching the model excluded; of a run that ended early, what its full
            length would have taken at its pace.
        peak_memory_gb: Memory it took.
        is_complete: Whether it was neither stopped nor resumed.
        measured_at: The measurement of the machine that the estimate rested on (epoch, s); 0 for none.
        corrections: The corrections that were in the estimate.
        ran_out_of_memory: Whether memory ran out although the estimate said that the run fits.
        was_busy: Whether other programs held it up: its time is not judged and teaches nothing.
    """

    run: str
    method: str
    model: str
    machine_id: str
    minutes: Range
    memory_gb: Range
    actual_minutes: float
    peak_memory_gb: float
    is_complete: bool
    measured_at: float = 0.0
    corrections: dict[str, float] = field(default_factory=dict)
    ran_out_of_memory: bool = False
    was_busy: bool = False

    @property
    def is_within_time(self) -> bool:
        """Whether it ended within the estimated time."""
        return not self.ran_out_of_memory and self.minutes.contains(self.actual_minutes)

    @property
    def is_within_memory(self) -> bool:
        """Whether its memory was within the estimate."""
        return not self.ran_out_of_memory and self.memory_gb.contains(self.peak_memory_gb)


def save_estimate(run: Run, estimate: Estimate, machine: Machine) -> None:
    """Write an estimate into the folder of a run that is about to start, and what the machine costs now."""
    stored = {
        STORED_KEYS.get(name, name): value
        for name, value in asdict(estimate).items()
        if name not in ("why_not", "missing", "has_untraced_passes")
    }
    price = {
        "per_hour": machine.price_per_hour,
        "billed": machine.billed,
        "start_minutes": estimate.startup_minutes,
    }
    write_json(run.folder / "estimate.json", {**stored, "place": machine.id, "price": price})


def load_estimate(run: Run) -> dict[str, Any]:
    """Return the estimate that a run started with, by its keys on disk; empty where none was made."""
    return read_json(run.folder / "estimate.json")


def add_entry(
    run: Run,
    actual_minutes: float,
    peak_memory_gb: float,
    is_complete: bool,
    ran_out_of_memory: bool = False,
    was_busy: bool = False,
) -> None:
    """Add an ended run to the record; the arguments are fields of Entry.

    A run without an estimate is left out, and so is one that ran out of memory where the estimate said that
    it does not fit: it proves the estimate right. A process that was killed from outside adds nothing, since
    nobody knows why it was.
    """
    estimate = load_estimate(run)
    required_keys = ("minutes", "memory_gb", "method", "place", "stamp", "corrected")
    if any(estimate.get(key) is None for key in required_keys):
        return
    if ran_out_of_memory and estimate.get("fits") == "no":
        return
    entry = {
        "run": run.id,
        "model": run.plan.model,
        **{key: estimate[key] for key in required_keys},
        "actual_minutes": actual_minutes,
        "peak_memory_gb": peak_memory_gb,
        "whole": is_complete,
        "died": ran_out_of_memory,
        "busy": was_busy,
    }
    with (home() / "record.jsonl").open("a", encoding="utf-8") as file:
        file.write(json.dumps(entry) + "\n")


def load_entries(machine_id: str = "") -> list[Entry]:
    """Return the recorded runs, the newest last; those on one machine where its id is passed.

    Damaged lines are left out.
    """
    try:
        path = home() / "record.jsonl"
        all_entries = _read_entries(path, path.stat().st_mtime_ns)
    except OSError:
        return []
    return [entry for entry in all_entries if not machine_id or entry.machine_id == machine_id]


@lru_cache(maxsize=2)
def _read_entries(path: Path, _modified_ns: int) -> tuple[Entry, ...]:
    """Return the entries of a file as it was when it was last changed."""
    entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            entries.append(_parse_entry(json.loads(line)))
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return tuple(entries)


def _parse_entry(raw: dict[str, Any]) -> Entry:
    values = {}
    for key, value in raw.items():
        key = FORMAT_1_KEYS.get(key, key)
        values[FIELD_NAMES.get(key, key)] = value
    values["minutes"] = Range(**values["minutes"])
    values["memory_gb"] = Range(**values["memory_gb"])
    return Entry(**values)


def correction_factors(machine_id: str, method: str, measured_at: float) -> dict[str, float]:
    """Return the factors by which to multiply "minutes" and "memory_gb" of an estimate on this machine.

    A factor is the median of actual ÷ estimated over the last complete runs that were estimated with the
    same measurement of the machine; runs of the same method count most. It is pulled towards 1 while there
    are few runs, is never far from 1, and is 1 where there are none
    (docs/estimator.md#learning-from-ended-runs).

    Args:
        machine_id: Id of the machine.
        method: Name of the method that is estimated.
        measured_at: The measurement of the machine that the estimate rests on (epoch, s).
    """
    complete_runs = [
        entry for entry in load_entries(machine_id) if entry.is_complete and entry.measured_at == measured_at
    ][-MAX_RUNS:]
    undisturbed_runs = [entry for entry in complete_runs if not entry.was_busy]
    return {
        "minutes": _correction_factor("minutes", undisturbed_runs, method),
        "memory_gb": _correction_factor("memory_gb", complete_runs, method),
    }


def _correction_factor(figure: str, entries: Sequence[Entry], method: str) -> float:
    """Return the factor for one figure, "minutes" or "memory_gb"."""
    bound = MAX_CORRECTION[figure]
    ratios = []
    for entry in entries:
        if figure == "minutes":
            estimated, actual = entry.minutes.likely, entry.actual_minutes
        else:
            estimated, actual = entry.memory_gb.likely, entry.peak_memory_gb
        # What the estimate would have been without the corrections of that time.
        uncorrected = estimated / entry.corrections.get(figure, 1.0)
        if uncorrected > 0:
            ratio = min(max(actual / uncorrected, 1 / bound), bound)
            ratios += [ratio] * (SAME_METHOD_WEIGHT if entry.method == method else 1)
    if not ratios:
        return 1.0
    return math.exp(math.log(median(ratios)) * len(entries) / (len(entries) + PRIOR_RUNS))


def build_receipt(estimate: Mapping[str, Any], report: Mapping[str, Any]) -> Message | None:
    """Return estimated and actual time, money and memory of an ended run, and why they differ.

    Args:
        estimate: The run's estimate.json.
        report: The run's report.json.

    Returns:
        The sentences; None where nothing was estimated.
    """
    if not _can_compare(estimate, report):
        return None
    minutes, memory_gb = Range(**estimate["minutes"]), Range(**estimate["memory_gb"])
    took = actual_minutes(report)
    summary = RECEIPT.format(
        minutes=f"{minutes.low:.1f}–{minutes.high:.1f}",
        money=_format_estimated_money(estimate),
        memory=f"{memory_gb.low:.1f}–{memory_gb.high:.1f}",
        took=took,
        paid=_format_billed_money(estimate, took),
        used=float(report["peak_memory_gb"]),
    )
    return join_messages([summary, *explain_differences(estimate, report)], SENTENCE_SEPARATOR)


def explain_differences(estimate: Mapping[str, Any], report: Mapping[str, Any]) -> list[Message]:
    """Return why an ended run's time and memory differ from its estimate, as far as that is known.

    Args:
        estimate: The run's estimate.json.
        report: The run's report.json.

    Returns:
        The sentences; none where nothing was estimated.
    """
    if not _can_compare(estimate, report):
        return []
    memory_gb, peak_memory_gb = Range(**estimate["memory_gb"]), float(report["peak_memory_gb"])
    reasons = [_explain_duration(report, Range(**estimate["minutes"]))]
    if not memory_gb.contains(peak_memory_gb):
        reasons = [message for message in reasons if message is not WITHIN_RANGE]
        reasons.append(MORE_MEMORY if peak_memory_gb > memory_gb.high else LESS_MEMORY)
    return reasons


def _can_compare(estimate: Mapping[str, Any], report: Mapping[str, Any]) -> bool:
    return bool(estimate.get("minutes") and estimate.get("memory_gb") and "peak_memory_gb" in report)


def _fetch_minutes(report: Mapping[str, Any]) -> float:
    return float(report.get("fetch_seconds", 0)) / 60


def actual_minutes(report: Mapping[str, Any]) -> float:
    """Return the minutes of an ended run without the fetching of its model, as they are estimated."""
    return float(report["seconds"]) / 60 - _fetch_minutes(report)


def _format_estimated_money(estimate: Mapping[str, Any]) -> str:
    if not estimate.get("money"):
        return ""
    money = Range(**estimate["money"])
    return f", {money.low:.2f}–{money.high:.2f} {estimate['currency']}"


def _format_billed_money(estimate: Mapping[str, Any], minutes: float) -> str:
    """Return what the machine charges for a run of so many minutes; empty where no price was known."""
    money = billed_money(estimate, minutes)
    return "" if money is None else f", {money:.2f} {estimate['currency']}"


def billed_money(estimate: Mapping[str, Any], minutes: float) -> float | None:
    """Return what the machine charges for a run of so many minutes; None where no price was known.

    Args:
        estimate: The run's estimate.json, which holds the price and the currency.
        minutes: The time of the run.
    """
    price = estimate.get("price") or {}
    if price.get("per_hour") is None:
        return None
    startup_minutes = float(price.get("start_minutes") or 0)
    return float(price["per_hour"]) * catalogue.billed_hours(price.get("billed"), minutes + startup_minutes)


def _explain_duration(report: Mapping[str, Any], minutes: Range) -> Message:
    """Return how an ended run's time compares with its range, as far as that can be said."""
    fetch_minutes, took = _fetch_minutes(report), actual_minutes(report)
    core_share = float(report.get("core_share", 1))
    if report.get("stopped"):
        return STOPPED
    if report.get("resumed"):
        return RESUMED
    if core_share < MIN_CORE_SHARE:
        return MACHINE_BUSY.format(share=core_share)
    if report.get("stopped_early"):
        full_minutes = took + float(report.get("seconds_saved", 0)) / 60
        return STOPPED_EARLY.format(minutes=full_minutes)
    if took > minutes.high:
        return SLOWER
    if took < minutes.low:
        return FASTER
    if fetch_minutes > minutes.high / 10:
        return MODEL_DOWNLOADED.format(minutes=fetch_minutes)
    return WITHIN_RANGE


def accuracy_message() -> Message:
    """Return how right the last estimates were.

    Only runs that can tell are counted: those that were complete, and those that ran out of memory. Time is
    judged only where the run had its cores.
    """
    recent = [entry for entry in load_entries() if entry.is_complete or entry.ran_out_of_memory][-MAX_RUNS:]
    if not recent:
        return NO_COMPLETE_RUNS
    timed = [entry for entry in recent if not entry.was_busy]
    n_out_of_memory = sum(entry.ran_out_of_memory for entry in recent)
    sentences = [
        MEMORY_ACCURACY.format(count=len(recent), held=sum(entry.is_within_memory for entry in recent))
    ]
    if timed:
        n_within_time = sum(entry.is_within_time for entry in timed)
        sentences.insert(0, TIME_ACCURACY.format(count=len(timed), right=n_within_time))
    if len(timed) < len(recent):
        sentences.append(BUSY_COUNT.format(busy=len(recent) - len(timed)))
    if n_out_of_memory:
        sentences.append(OUT_OF_MEMORY_COUNT.format(count=n_out_of_memory))
    return join_messages(sentences, SENTENCE_SEPARATOR)
