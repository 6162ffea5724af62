"""The studio's own record: what was estimated for each run and what it took, and what later estimates learn from that."""

import json
import math
from collections.abc import Mapping
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

# So many runs back are remembered in the sentence on the record, and learned from.
MAX_RUNS = 12
# How much a few runs count: after one a fourth of what it says, after three half.
PRIOR_RUNS = 3
# How far earlier runs may move an estimate, either way.
MAX_CORRECTION = {"minutes": 3.0, "memory_gb": 1.25}
# Below this share of the cores' time a run was held up by others.
MIN_CORE_SHARE = 0.7
ACCURACY = Message(
    "Of your last {count} complete runs, {right} ended within the estimated time and {held} within the estimated memory.{died}"
)
ACCURACY_OF_ONE_RUN = Message(
    "Your one complete run so far ended {right} the estimated time and {held} the estimated memory.{died}"
)
INSIDE, OUTSIDE = Message("within"), Message("outside")
OUT_OF_MEMORY_COUNT = Message(" Out of memory, though it was said to fit: {count}.")
NO_COMPLETE_RUNS = Message(
    "No run has gone its whole way yet: after the first, the studio shows here how right its estimates were."
)
RECEIPT = Message("Estimated {minutes} min{money}, {memory} GB; it took {took:.1f} min{paid}, {used:.1f} GB.")
# Names in the entries of an earlier studio.
FORMAT_1_KEYS = {"took": "actual_minutes", "used": "peak_memory_gb"}
WITHIN_RANGE = Message("Within the range.")
MACHINE_BUSY = Message("It took longer: the machine was busy, the run had {share:.0%} of the cores' time.")
MODEL_DOWNLOADED = Message(
    "Within the range; the model had to be fetched first, which took {minutes:.1f} min more."
)
RESUMED = Message("It went on after a stop, so its time says nothing of the estimate.")
STOPPED_EARLY = Message("It ended early, since the checks saw no more progress.")
STOPPED = Message("It was stopped on the way.")
SLOWER = Message("It took longer than estimated; later estimates on this machine take that into account.")
FASTER = Message("It was quicker than estimated; later estimates on this machine take that into account.")
MORE_MEMORY = Message("It took more memory than estimated.")
LESS_MEMORY = Message("It took less memory than estimated.")


@dataclass(frozen=True)
class Entry:
    """One ended run: its estimate's ranges of minutes and GB, what they really were, and on which measurement and corrections they rested.

    `whole` says that it was neither stopped, resumed nor ended early; `died` that memory ran out although the estimate said it fits;
    `busy` that others held it up, so that its time counts in the record but teaches nothing.
    """

    run: str
    method: str
    model: str
    place: str
    minutes: Range
    memory_gb: Range
    actual_minutes: float
    peak_memory_gb: float
    whole: bool
    stamp: float = 0.0
    corrected: dict[str, float] = field(default_factory=dict)
    died: bool = False
    busy: bool = False

    @property
    def is_within_time(self) -> bool:
        """Whether it ended within the estimated time."""
        return not self.died and self.minutes.contains(self.actual_minutes)

    @property
    def is_within_memory(self) -> bool:
        """Whether its memory was within the estimate."""
        return not self.died and self.memory_gb.contains(self.peak_memory_gb)


def save_estimate(run: Run, estimate: Estimate, machine: Machine) -> None:
    """Write an estimate into the folder of a run that is about to start, and what the machine costs now."""
    stored = {name: value for name, value in asdict(estimate).items() if name not in ("why_not", "missing")}
    price = {
        "per_hour": machine.price_per_hour,
        "billed": machine.billed,
        "start_minutes": machine.start_minutes,
    }
    write_json(run.folder / "estimate.json", {**stored, "place": machine.id, "price": price})


def load_estimate(run: Run) -> dict[str, Any]:
    """The estimate a run started with; empty where none was made."""
    return read_json(run.folder / "estimate.json")


def add_entry(
    run: Run,
    actual_minutes: float,
    peak_memory_gb: float,
    is_complete: bool,
    ran_out_of_memory: bool = False,
    was_busy: bool = False,
) -> None:
    """Note what an ended run took, as an Entry has it; one that died where no room was foretold proves the estimate right and is left out.

    A process that was killed from outside notes nothing: nobody knows why.
    """
    estimate = load_estimate(run)
    required_fields = ("minutes", "memory_gb", "method", "place", "stamp", "corrected")
    if any(estimate.get(name) is None for name in required_fields) or (
        ran_out_of_memory and estimate.get("fits") == "no"
    ):
        return
    entry = {
        "run": run.id,
        "model": run.plan.model,
        **{name: estimate[name] for name in ("method", "place", "stamp", "corrected")},
    }
    ranges = {"minutes": estimate["minutes"], "memory_gb": estimate["memory_gb"]}
    line = json.dumps(
        {
            **entry,
            **ranges,
            "actual_minutes": actual_minutes,
            "peak_memory_gb": peak_memory_gb,
            "whole": is_complete,
            "died": ran_out_of_memory,
            "busy": was_busy,
        }
    )
    with (home() / "record.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def load_entries(machine_id: str = "") -> list[Entry]:
    """The noted runs, the newest last; those on one machine where it is named. Damaged lines are left out."""
    try:
        path = home() / "record.jsonl"
        all_entries = _read_entries(path, path.stat().st_mtime_ns)
    except OSError:
        return []
    return [entry for entry in all_entries if not machine_id or entry.place == machine_id]


@lru_cache(maxsize=2)
def _read_entries(path: Path, modified_ns: int) -> tuple[Entry, ...]:
    """The entries of a file as it was when it changed last."""
    parsed_entries = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            raw = {FORMAT_1_KEYS.get(name, name): value for name, value in json.loads(line).items()}
            parsed_entries.append(
                Entry(**{**raw, "minutes": Range(**raw["minutes"]), "memory_gb": Range(**raw["memory_gb"])})
            )
        except (ValueError, TypeError, KeyError, AttributeError):
            continue
    return tuple(parsed_entries)


def correction_factors(machine_id: str, method: str, measured_at: float) -> dict[str, float]:
    """By what to multiply "minutes" and "memory_gb" on this machine: the median of actual ÷ estimated over its last whole runs.

    Runs that were estimated with the same measurement of the machine count, those of the same method most. Pulled towards 1 while there
    are few, never far from it, and 1 where there are none.
    """
    complete_runs = [
        entry for entry in load_entries(machine_id) if entry.whole and entry.stamp == measured_at
    ][-MAX_RUNS:]
    factors = {}
    for name, bound in MAX_CORRECTION.items():
        ratios = []
        relevant_runs = [entry for entry in complete_runs if not (entry.busy and name == "minutes")]
        for entry in relevant_runs:
            estimated, actual = (
                (entry.minutes, entry.actual_minutes)
                if name == "minutes"
                else (entry.memory_gb, entry.peak_memory_gb)
            )
            uncorrected = estimated.likely / entry.corrected.get(
                name, 1.0
            )  # what it would have been without the corrections of then
            ratios += (
                [min(max(actual / uncorrected, 1 / bound), bound)] * (3 if entry.method == method else 1)
                if uncorrected > 0
                else []
            )
        factors[name] = (
            math.exp(math.log(median(ratios)) * len(relevant_runs) / (len(relevant_runs) + PRIOR_RUNS))
            if ratios
            else 1.0
        )
    return factors


def build_receipt(estimate: Mapping[str, Any], report: Mapping[str, Any]) -> Message | None:
    """Estimated and actual time, money and memory of an ended run, and why it lay outside where it did; None where none was estimated."""
    if not estimate.get("minutes") or not estimate.get("memory_gb") or "peak_memory_gb" not in report:
        return None
    minutes, memory_gb, money = (
        Range(**estimate["minutes"]),
        Range(**estimate["memory_gb"]),
        estimate.get("money") and Range(**estimate["money"]),
    )
    fetch_minutes = float(report.get("fetch_seconds", 0)) / 60
    actual_minutes, peak_memory_gb = (
        float(report["seconds"]) / 60 - fetch_minutes,
        float(report["peak_memory_gb"]),
    )
    cost = _billed_cost(estimate.get("price") or {}, actual_minutes)
    cost_text = f", {cost:.2f} {estimate['currency']}" if cost is not None else ""
    summary = RECEIPT.format(
        minutes=f"{minutes.low:.1f}–{minutes.high:.1f}",
        money=f", {money.low:.2f}–{money.high:.2f} {estimate['currency']}" if money else "",
        memory=f"{memory_gb.low:.1f}–{memory_gb.high:.1f}",
        took=actual_minutes,
        paid=cost_text,
        used=peak_memory_gb,
    )
    reasons = [_explain_duration(report, minutes, actual_minutes, fetch_minutes)]
    if not memory_gb.contains(peak_memory_gb):
        reasons = [
            *(message for message in reasons if message is not WITHIN_RANGE),
            MORE_MEMORY if peak_memory_gb > memory_gb.high else LESS_MEMORY,
        ]
    return join_messages([summary, *reasons], SENTENCE_SEPARATOR)


def _billed_cost(price: Mapping[str, Any], minutes: float) -> float | None:
    """What the machine charges for a run of so many minutes; None where no price was known."""
    if price.get("per_hour") is None:
        return None
    return float(price["per_hour"]) * catalogue.billed_hours(
        price.get("billed"), minutes + float(price.get("start_minutes") or 0)
    )


def _explain_duration(
    report: Mapping[str, Any], minutes: Range, actual_minutes: float, fetch_minutes: float
) -> Message:
    """Why an ended run's time lay outside its range, as far as it can be told."""
    if report.get("stopped"):
        return STOPPED
    if report.get("resumed"):
        return RESUMED
    if actual_minutes < minutes.low and report.get("stopped_early"):
        return STOPPED_EARLY
    if actual_minutes > minutes.high:
        share = float(report.get("core_share", 1))
        return MACHINE_BUSY.format(share=share) if share < MIN_CORE_SHARE else SLOWER
    if actual_minutes < minutes.low:
        return FASTER
    return (
        MODEL_DOWNLOADED.format(minutes=fetch_minutes) if fetch_minutes > minutes.high / 10 else WITHIN_RANGE
    )


def accuracy_message() -> Message:
    """How right the last estimates were, by the runs that can tell: those that went their whole way, and those that ran out of memory."""
    recent = [entry for entry in load_entries() if entry.whole or entry.died][-MAX_RUNS:]
    if not recent:
        return NO_COMPLETE_RUNS
    n_out_of_memory = sum(entry.died for entry in recent)
    n_within_time, n_within_memory = (
        sum(entry.is_within_time for entry in recent),
        sum(entry.is_within_memory for entry in recent),
    )
    shared_fields = {"died": OUT_OF_MEMORY_COUNT.format(count=n_out_of_memory) if n_out_of_memory else ""}
    if len(recent) == 1:
        return ACCURACY_OF_ONE_RUN.format(
            right=INSIDE if n_within_time else OUTSIDE,
            held=INSIDE if n_within_memory else OUTSIDE,
            **shared_fields,
        )
    return ACCURACY.format(count=len(recent), right=n_within_time, held=n_within_memory, **shared_fields)
