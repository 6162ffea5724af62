"""Whether this processor trains faster in bfloat16 than in 32 bits: measured once per machine, and kept.

Imports torch in the measuring process alone, so the page and a waiting worker can ask.
"""

import json
import os
import platform
import sys
import threading
import time
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from statistics import median
from subprocess import SubprocessError
from typing import Literal, get_args

from studio import processes
from studio.errors import NotPossible
from studio.i18n import Message
from studio.storage import home, read_json, write_json

Precision = Literal["auto", "float32", "bfloat16"]
# The variable of the environment that takes the place of "auto" in every plan.
PRECISION_VARIABLE = "STUDIO_PRECISION"
UNKNOWN_PRECISION = Message("STUDIO_PRECISION is “{name}”, and there is no such precision.")
CHOOSE_PRECISION = Message("Set it to one of {names}, or leave it out to let the studio choose.")
# Linux's flags of processors that multiply bfloat16 matrices themselves. Others emulate it slowly.
BF16_FLAGS = {"avx512_bf16", "amx_bf16"}
# bfloat16 is chosen from this speed-up on: below, its rounding buys nothing worth having.
MIN_SPEEDUP = 1.15
# What emulating it makes of the rate in 32 bits (docs/estimator.md#emulated_speedup).
EMULATED_SPEEDUP = 0.07
# What is measured: the products of a block of a small model (tokens, width), so often in turns.
TOKENS, WIDTH, REPEATS = 512, 576, 7
MEASURE_MODULE = "studio.models.cpu_precision"
TIMEOUT_SECONDS = 60.0
# Requests of several visitors wait for one measurement.
_MEASURING = threading.Lock()


def requested_precision() -> Precision:
    """The precision that STUDIO_PRECISION asks for; "auto" where it is not set.

    Raises:
        NotPossible: It names a precision that does not exist.
    """
    names: tuple[Precision, ...] = get_args(Precision)
    wanted = os.environ.get(PRECISION_VARIABLE) or "auto"
    for name in names:
        if name == wanted:
            return name
    raise NotPossible(UNKNOWN_PRECISION, CHOOSE_PRECISION, name=wanted, names=list(names))


def has_native_bf16() -> bool:
    """Whether this processor multiplies bfloat16 matrices itself; others emulate it slowly."""
    return bool(BF16_FLAGS & _processor_flags())


def bf16_speedup() -> float:
    """How many times as fast this processor trains in bfloat16.

    It is EMULATED_SPEEDUP where the processor has no instructions for it, and 1 where STUDIO_PRECISION
    forbids it. Where it is not known yet it is measured in a child process, which takes about five seconds.
    """
    if not has_native_bf16():
        return EMULATED_SPEEDUP
    if requested_precision() == "float32":
        return 1.0
    return _known_speedup(home())


def is_bf16_faster() -> bool:
    """Whether a training on this processor computes in bfloat16 unless its plan says otherwise."""
    return bf16_speedup() >= MIN_SPEEDUP


def _known_speedup(home_folder: Path) -> float:
    """The kept speed-up of this processor with this torch, measured and kept where there is none."""
    with _MEASURING:
        return _load_or_measure(home_folder)


@lru_cache(maxsize=4)
def _load_or_measure(home_folder: Path) -> float:
    path = home_folder / "cpu_precision.json"
    machine = {"processor": _processor_name(), "torch": version("torch")}
    stored = read_json(path)
    value = stored.get("speedup")
    if isinstance(value, int | float) and all(stored.get(name) == machine[name] for name in machine):
        return float(value)
    try:
        speedup = _measure_in_child()
    except (OSError, ValueError, SubprocessError) as error:
        # It computes in 32 bits then, which page, report and `studio doctor` say.
        sys.stderr.write(f"studio: bfloat16 could not be measured on this processor: {error}\n")
        return 1.0
    with suppress(OSError):  # in a home that cannot be written it is measured anew by each process
        write_json(path, {**machine, "speedup": speedup})
    return speedup


def _measure_in_child() -> float:
    result = processes.run_module(MEASURE_MODULE, timeout=TIMEOUT_SECONDS)
    result.check_returncode()
    return float(json.loads(result.stdout)["speedup"])


def _processor_flags() -> set[str]:
    return set(_read_cpuinfo("flags").split())


def _processor_name() -> str:
    return _read_cpuinfo("model name") or platform.processor()


@lru_cache(maxsize=4)
def _read_cpuinfo(field: str) -> str:
    """A field of the first processor in Linux's list; empty where there is no such list."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        name, _, value = line.partition(":")
        if name.strip() == field:
            return value.strip()
    return ""


def measure_speedup() -> float:
    """Time a block's products forward and backward in both formats by turns, and compare the medians."""
    import torch  # noqa: PLC0415

    # Beside other programs a thread alone is measured best.
    torch.set_num_threads(1)
    torch.manual_seed(0)
    block = torch.nn.Sequential(
        torch.nn.Linear(WIDTH, 4 * WIDTH), torch.nn.SiLU(), torch.nn.Linear(4 * WIDTH, WIDTH)
    )
    inputs = torch.randn(TOKENS, WIDTH, requires_grad=True)
    seconds: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(REPEATS):
        for in_bf16, durations in seconds.items():
            started_at = time.perf_counter()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=in_bf16):
                outputs = block(inputs)
            outputs.float().square().mean().backward()
            durations.append(time.perf_counter() - started_at)
    return median(seconds[False][2:]) / median(seconds[True][2:])


if __name__ == "__main__":
    print(json.dumps({"speedup": round(measure_speedup(), 3)}))  # noqa: T201 - the result
    sys.exit(0)
