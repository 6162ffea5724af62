"""Measure this machine from the page or the terminal: a child process takes under a minute, tells how far it is, and can be called off."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from studio import child, runs
from studio.errors import NotPossible, StudioError
from studio.estimate import rates
from studio.estimate.machines import Place
from studio.estimate.rates import Rates
from studio.words import Words

SILENT = Words("The measurement ended without a result: {why}", "测量未得出结果：{why}")
BUSY = Words("“{name}” is training, and beside it the speeds would come out too low.", "“{name}”正在训练，这时测出的速度会偏低。")
BEGUN = Words(
    "“{name}” began to train meanwhile, so the speeds came out too low; they were not kept.",
    "测量期间“{name}”开始训练，测出的速度偏低，所以没有保留。",
)
LATER = Words("Measure again when it has ended.", "请等它结束后再测量。")
AGAIN = Words("Close other programs and measure again.", "请关闭其他程序后重新测量。")


def measure(config: Mapping[str, Any], encoder: bool, place: Place) -> Iterator[tuple[float, Rates | None]]:
    """Measure with a cut of this model: yields the share done (0 to 1), with the rates at the end, which are then kept.

    Closing the iterator calls the measurement off. Raises StudioError where it ends without a result, NotPossible while a run is going:
    both would share the processor, and the figures would be wrong.
    """
    _alone(BUSY)
    asked = {"config": dict(config), "encoder": encoder, "start": asdict(rates.promised(place))}
    yield 0.0, None
    for said in child.answers("studio.estimate.calibrate", asked, SILENT, AGAIN, cards=True):
        if "rates" in said:
            _alone(BEGUN)
            found = Rates(**said["rates"])
            rates.keep(place, found)
            yield 1.0, found
            return
        yield said["done"] / (said["of"] + 1), None
    raise StudioError(SILENT, AGAIN, why="?")


def _alone(said: Words) -> None:
    for run in runs.all_runs():
        if runs.alive(run) and runs.status(run).stage != "queue":
            raise NotPossible(said, LATER, name=run.plan.name)
