"""Measure this machine from the page or the terminal: a child process takes under a minute, tells how far it is, and can be called off."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from studio import child
from studio.errors import StudioError
from studio.estimate import rates
from studio.estimate.machines import Place
from studio.estimate.rates import Rates
from studio.words import Words

# A machine that is not done by then is too busy to be measured (seconds).
PATIENCE = 180.0
SILENT = Words("The measurement ended without a result: {why}", "测量未得出结果：{why}")
AGAIN = Words("Close other programs and measure again.", "请关闭其他程序后重新测量。")


def measure(config: Mapping[str, Any], encoder: bool, place: Place) -> Iterator[tuple[float, Rates | None]]:
    """Measure with a cut of this model: yields the share done (0 to 1), with the rates at the end, which are then kept.

    Closing the iterator calls the measurement off. Raises StudioError where it ends without a result.
    """
    start = asdict(rates.promised(place))
    process = subprocess.Popen(
        [sys.executable, "-m", "studio.estimate.calibrate"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
        env=child.environment(os.environ, cards=True),
    )
    assert process.stdin and process.stdout and process.stderr
    try:
        process.stdin.write(json.dumps({"config": dict(config), "encoder": encoder, "start": start}))
        process.stdin.close()
        yield 0.0, None
        for line in process.stdout:
            said = json.loads(line)
            if "rates" in said:
                found = Rates(**said["rates"])
                rates.keep(place, found)
                yield 1.0, found
                return
            yield said["done"] / (said["of"] + 1), None
        why = process.stderr.read().strip().splitlines()[-1:] or ["?"]
        raise StudioError(SILENT, AGAIN, why=why[0][:200])
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()
