"""Measure this machine from the page or the terminal: a child process takes under a minute, tells how far it is, and can be called off."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from studio import child
from studio.errors import StudioError
from studio.estimate import rates
from studio.estimate.machines import Place
from studio.estimate.rates import Rates
from studio.words import Words

SILENT = Words("The measurement ended without a result: {why}", "测量未得出结果：{why}")
AGAIN = Words("Close other programs and measure again.", "请关闭其他程序后重新测量。")


def measure(config: Mapping[str, Any], encoder: bool, place: Place) -> Iterator[tuple[float, Rates | None]]:
    """Measure with a cut of this model: yields the share done (0 to 1), with the rates at the end, which are then kept.

    Closing the iterator calls the measurement off. Raises StudioError where it ends without a result.
    """
    asked = {"config": dict(config), "encoder": encoder, "start": asdict(rates.promised(place))}
    yield 0.0, None
    for said in child.answers("studio.estimate.calibrate", asked, SILENT, AGAIN, cards=True):
        if "rates" in said:
            found = Rates(**said["rates"])
            rates.keep(place, found)
            yield 1.0, found
            return
        yield said["done"] / (said["of"] + 1), None
    raise StudioError(SILENT, AGAIN, why="?")
