"""The studio's own record: what was estimated for each run and what it took, and what later estimates learn from that."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any

from studio.estimate import machines
from studio.estimate.figures import Estimate, Range
from studio.estimate.machines import Place
from studio.home import home, read_json, write_json
from studio.runs import Run
from studio.words import LANGUAGES, Words, joined

# So many runs back are remembered in the sentence on the record, and learned from.
LAST = 12
# How much a few runs count: after one a fourth of what it says, after three half.
TRUST = 3
# How far earlier runs may move an estimate, either way.
BOUNDS = {"minutes": 3.0, "memory_gb": 1.25}
# Below this share of the cores' time a run was held up by others.
BUSY_BELOW = 0.7
RECORD = Words(
    "Of your last {count} complete runs, {right} ended within the estimated time and {held} within the estimated memory.{died}",
    "最近 {count} 次完整的训练中，{right} 次的用时、{held} 次的内存在估算范围内。{died}",
)
ONE = Words(
    "Your one complete run so far ended {right} the estimated time and {held} the estimated memory.{died}",
    "目前有一次完整的训练：用时{right}估算范围内，内存{held}估算范围内。{died}",
)
INSIDE, OUTSIDE = Words("within", "在"), Words("outside", "不在")
DIED = Words(" Out of memory, though it was said to fit: {count}.", "其中 {count} 次估算放得下，却内存不足。")
NONE_YET = Words(
    "No run has gone its whole way yet: after the first, the studio shows here how right its estimates were.",
    "还没有完整的训练：第一次完成后，这里会显示估算的准确程度。",
)
RECEIPT = Words(
    "Estimated {minutes} min{money}, {memory} GB; it took {took:.1f} min{paid}, {used:.1f} GB.",
    "估算 {minutes} 分钟{money}，{memory} GB；实际 {took:.1f} 分钟{paid}，{used:.1f} GB。",
)
WITHIN = Words("Within the range.", "在估算范围内。")
BUSY = Words(
    "It took longer: the machine was busy, the run had {share:.0%} of the cores' time.",
    "用时更长：机器繁忙，这次训练只分到 {share:.0%} 的核心时间。",
)
FETCHED = Words(
    "Within the range; the model had to be fetched first, which took {minutes:.1f} min more.",
    "在估算范围内；另外下载模型用了 {minutes:.1f} 分钟。",
)
RESUMED = Words("It went on after a stop, so its time says nothing of the estimate.", "这次训练中途停过，用时不能拿来对照估算。")
EARLY = Words("It ended early, since the checks saw no more progress.", "验证不再有进步，提前结束。")
STOPPED = Words("It was stopped on the way.", "中途被停止。")
SLOWER = Words(
    "It took longer than estimated; later estimates on this machine take that into account.",
    "比估算更慢；之后在这台机器上的估算会考虑这一点。",
)
QUICKER = Words(
    "It was quicker than estimated; later estimates on this machine take that into account.",
    "比估算更快；之后在这台机器上的估算会考虑这一点。",
)
MORE_MEMORY = Words("It took more memory than estimated.", "内存比估算的多。")
LESS_MEMORY = Words("It took less memory than estimated.", "内存比估算的少。")


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
    took: float
    used: float
    whole: bool
    stamp: float = 0.0
    corrected: dict[str, float] = field(default_factory=dict)
    died: bool = False
    busy: bool = False

    @property
    def in_time(self) -> bool:
        """Whether it ended within the estimated time."""
        return not self.died and self.minutes.holds(self.took)

    @property
    def in_memory(self) -> bool:
        """Whether its memory was within the estimate."""
        return not self.died and self.memory_gb.holds(self.used)


def foretell(run: Run, found: Estimate, place: Place) -> None:
    """Write an estimate into the folder of a run that is about to start, and what the machine costs now."""
    kept = {name: value for name, value in asdict(found).items() if name not in ("why_not", "missing")}
    price = {"per_hour": place.price_per_hour, "billed": place.billed, "start_minutes": place.start_minutes}
    write_json(run.folder / "estimate.json", {**kept, "place": place.id, "price": price})


def foretold(run: Run) -> dict[str, Any]:
    """The estimate a run started with; empty where none was made."""
    return read_json(run.folder / "estimate.json")


def add(run: Run, minutes: float, memory_gb: float, whole: bool, died: bool = False, busy: bool = False) -> None:
    """Note what an ended run took, as an Entry has it; one that died where no room was foretold proves the estimate right and is left out.

    A process that was killed from outside notes nothing: nobody knows why.
    """
    told = foretold(run)
    needed = ("minutes", "memory_gb", "method", "place", "stamp", "corrected")
    if any(told.get(name) is None for name in needed) or (died and told.get("fits") == "no"):
        return
    entry = {"run": run.id, "model": run.plan.model, **{name: told[name] for name in ("method", "place", "stamp", "corrected")}}
    ranges = {"minutes": told["minutes"], "memory_gb": told["memory_gb"]}
    line = json.dumps({**entry, **ranges, "took": minutes, "used": memory_gb, "whole": whole, "died": died, "busy": busy})
    with (home() / "record.jsonl").open("a", encoding="utf-8") as file:
        file.write(line + "\n")


def entries(place: str = "") -> list[Entry]:
    """The noted runs, the newest last; those on one machine where it is named. Damaged lines are left out."""
    try:
        path = home() / "record.jsonl"
        found = _read(path, path.stat().st_mtime_ns)
    except OSError:
        return []
    return [entry for entry in found if not place or entry.place == place]


@lru_cache(maxsize=2)
def _read(path: Path, changed: int) -> tuple[Entry, ...]:
    """The entries of a file as it was when it changed last."""
    found = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            raw = json.loads(line)
            found.append(Entry(**{**raw, "minutes": Range(**raw["minutes"]), "memory_gb": Range(**raw["memory_gb"])}))
        except (ValueError, TypeError, KeyError):
            continue
    return tuple(found)


def learned(place: str, method: str, stamp: float) -> dict[str, float]:
    """By what to multiply "minutes" and "memory_gb" on this machine: the median of actual ÷ estimated over its last whole runs.

    Runs that were estimated with the same measurement of the machine count, those of the same method most. Pulled towards 1 while there
    are few, never far from it, and 1 where there are none.
    """
    whole = [entry for entry in entries(place) if entry.whole and entry.stamp == stamp][-LAST:]
    found = {}
    for name, bound in BOUNDS.items():
        ratios = []
        teaching = [entry for entry in whole if not (entry.busy and name == "minutes")]
        for entry in teaching:
            told, real = (entry.minutes, entry.took) if name == "minutes" else (entry.memory_gb, entry.used)
            raw = told.likely / entry.corrected.get(name, 1.0)  # what it would have been without the corrections of then
            ratios += [min(max(real / raw, 1 / bound), bound)] * (3 if entry.method == method else 1) if raw > 0 else []
        found[name] = math.exp(math.log(median(ratios)) * len(teaching) / (len(teaching) + TRUST)) if ratios else 1.0
    return found


def receipt(told: Mapping[str, Any], report: Mapping[str, Any]) -> Words | None:
    """Estimated and actual time, money and memory of an ended run, and why it lay outside where it did; None where none was estimated."""
    if not told.get("minutes") or not told.get("memory_gb") or "peak_memory_gb" not in report:
        return None
    minutes, memory, money = Range(**told["minutes"]), Range(**told["memory_gb"]), told.get("money") and Range(**told["money"])
    fetching = float(report.get("fetch_seconds", 0)) / 60
    took, used = float(report["seconds"]) / 60 - fetching, float(report["peak_memory_gb"])
    bill = _bill(told.get("price") or {}, took)
    paid = f", {bill:.2f} {told['currency']}" if bill is not None else ""
    said = RECEIPT.filled(
        minutes=f"{minutes.low:.1f}–{minutes.high:.1f}",
        money=f", {money.low:.2f}–{money.high:.2f} {told['currency']}" if money else "",
        memory=f"{memory.low:.1f}–{memory.high:.1f}",
        took=took,
        paid=paid,
        used=used,
    )
    why = [_why(report, minutes, took, fetching)]
    if not memory.holds(used):
        why = [*(one for one in why if one is not WITHIN), MORE_MEMORY if used > memory.high else LESS_MEMORY]
    return Words(*(joined((one.say(lang) for one in (said, *why)), lang) for lang in LANGUAGES))


def _bill(price: Mapping[str, Any], minutes: float) -> float | None:
    """What the machine charges for a run of so many minutes; None where no price was known."""
    if price.get("per_hour") is None:
        return None
    return float(price["per_hour"]) * machines.billed_hours(price.get("billed"), minutes + float(price.get("start_minutes") or 0))


def _why(report: Mapping[str, Any], minutes: Range, took: float, fetching: float) -> Words:
    """Why an ended run's time lay outside its range, as far as it can be told."""
    if report.get("stopped"):
        return STOPPED
    if report.get("resumed"):
        return RESUMED
    if took < minutes.low and report.get("stopped_early"):
        return EARLY
    if took > minutes.high:
        share = float(report.get("core_share", 1))
        return BUSY.filled(share=share) if share < BUSY_BELOW else SLOWER
    if took < minutes.low:
        return QUICKER
    return FETCHED.filled(minutes=fetching) if fetching > minutes.high / 10 else WITHIN


def sentence() -> Words:
    """How right the last estimates were, by the runs that can tell: those that went their whole way, and those that ran out of memory."""
    last = [entry for entry in entries() if entry.whole or entry.died][-LAST:]
    if not last:
        return NONE_YET
    died = sum(entry.died for entry in last)
    right, held = sum(entry.in_time for entry in last), sum(entry.in_memory for entry in last)
    told = {"died": DIED.filled(count=died) if died else ""}
    if len(last) == 1:
        return ONE.filled(right=INSIDE if right else OUTSIDE, held=INSIDE if held else OUTSIDE, **told)
    return RECORD.filled(count=len(last), right=right, held=held, **told)
