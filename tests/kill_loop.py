"""Kills trainings of tiny models at random moments, lets them go on, and compares with undisturbed ones.

    python tests/kill_loop.py --count 20 --ways lora-chat rlhf-prefer
    python tests/kill_loop.py --count 5 --ways embedded-classify embedded-chat

A training is a process of its own that runs what a worker runs, forked so that it need not load torch again.
The script ends with exit code 1 where a run could not go on, lost a point or learned something else.
"""

import argparse
import importlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

os.environ |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}

from toys import save_tiny_bert, save_tiny_llama, write_toy_files

from studio import plan, presets, runs
from studio.models import fetch
from studio.plan import REQUIRED_ROLES, Data, MethodChoice, Plan, Training
from studio.runs import Run
from studio.training import callback, launcher, worker
from studio.training.memory import limit_memory

PRACTICE = {"steps": 8, "max_completion_length": 16}
# Method and task, with the settings and the training that make it short.
WAYS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "lora-chat": ({}, {"epochs": 20}),
    "full-chat": ({}, {"epochs": 20}),
    "frozen-classify": ({}, {"epochs": 20}),
    "qlora-chat": ({}, {"epochs": 10}),
    "rlhf-prefer": ({**PRACTICE, "reward_epochs": 2}, {"epochs": 4}),
    "rlhf-prompts": ({**PRACTICE, "steps": 20}, {"epochs": 1}),
    "upft-chat": ({}, {"epochs": 4, "max_length": 256, "learning_rate": 2e-3}),
    "qat-chat": ({}, {"epochs": 6}),
}
ALGORITHMS = ("dpo", "kto", "simpo", "orpo")
WAYS |= {f"rlhf-prefer-{name}": ({"algorithm": name, "steps": 12}, {"epochs": 3}) for name in ALGORITHMS}
# Shortened recipes of the embedded models, which take a minute and are killed only where they are named.
EMBEDDED_WAYS: dict[str, tuple[str, tuple[str, ...]]] = {
    "embedded-classify": ("ticket-triage-full", ("training.epochs=3",)),
    "embedded-chat": (
        "support-tone-lora",
        ("data.train_share=0.2", "training.epochs=1", "training.retention=none"),
    ),
}
# What a training would load when it begins.
PRELOADED = (
    "transformers.models.llama.modeling_llama",
    "transformers.models.bert.modeling_bert",
    "peft",
    "bitsandbytes",
    "trl.experimental.cpo",
    "trl.experimental.orpo",
    "studio.methods.rlhf_stages.pipeline",
    "studio.methods.training.fake_quantization",
    "studio.methods.training.linear_head",
    "studio.training.evaluation",
)
# A run is killed this many times, then it may end.
MAX_KILLS_PER_RUN = 3
# Learning the same on the same machine, every number is the same.
COMPARED = ("loss", "eval_loss", "reward", "kl", "eval_accuracy")


class Point(NamedTuple):
    """One measured value of a run."""

    stage: str
    step: int
    name: str


@dataclass
class Outcome:
    """What became of the runs of one way."""

    kills: int = 0
    runs: int = 0
    not_resumed: int = 0
    lost_points: int = 0
    max_difference: float = 0.0
    killed_in: dict[str, int] = field(default_factory=dict)

    @property
    def is_good(self) -> bool:
        """Whether every run went on, kept every point, and learned the same."""
        return not (self.not_resumed or self.lost_points or self.max_difference)


def build_plan(way: str, folder: Path) -> Plan:
    """The short training of a way: a recipe, or one on toy data, whose files are in a folder."""
    if way in EMBEDDED_WAYS:
        recipe, changes = EMBEDDED_WAYS[way]
        return plan.load(presets.recipes()[recipe], changes)
    method, task = way.split("-")[:2]
    settings, training = WAYS[way]
    roles = (*REQUIRED_ROLES[task], *(("answer",) if task == "prompts" else ()))
    return Plan(
        name=way,
        task=task,
        model=str(folder / ("bert" if task == "classify" else "llama")),
        data=Data(
            source=str(folder / f"{task}.csv"), columns={role: role for role in roles}, validation_share=0.2
        ),
        method=MethodChoice(name=method, settings=settings),
        training=Training(
            **{"batch_size": 8, "learning_rate": 1e-2, "max_length": 64, "eval_count": 3, **training}
        ),
    )


def start(run: Run) -> int:
    """Train a run in a process of its own; returns its id."""
    pid = os.fork()
    if pid:
        runs.claim(run, pid)  # as the launcher does
        return pid
    exit_code = 1
    try:
        log = os.open(run.folder / "worker.log", os.O_WRONLY | os.O_APPEND)
        os.dup2(log, 1)
        os.dup2(log, 2)
        callback.MAX_SAVING_SHARE = 1.0  # as many checkpoints in seconds as a real training has in hours
        worker.run(run.id, before_start=limit_memory)
        exit_code = 0
    except BaseException as error:
        traceback.print_exception(error)
    finally:
        sys.stderr.flush()
        os._exit(exit_code)


def train(run: Run) -> float:
    """Train a run to its end, and return the seconds."""
    started_at = time.monotonic()
    os.waitpid(start(run), 0)
    return time.monotonic() - started_at


def kill_after(run: Run, seconds: float) -> bool:
    """Train a run and kill it after so many seconds; returns whether it was still training."""
    pid = start(run)
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if os.waitpid(pid, os.WNOHANG)[0]:
            return False
        time.sleep(0.005)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return True


def read_values(run: Run) -> dict[Point, float]:
    """Every compared value of a run."""
    values = {}
    for point in runs.read_points(run):
        for name in COMPARED:
            if name in point:
                values[Point(point["stage"], point["step"], name)] = point[name]
    return values


def disturb(undisturbed: Run, seconds: float, outcome: Outcome, chance: random.Random) -> None:
    """Train the same plan with kills at random moments, and count what differs."""
    run = runs.create(undisturbed.plan)
    outcome.runs += 1
    for attempt in range(MAX_KILLS_PER_RUN):
        if attempt:
            launcher.requeue(run)
        if not kill_after(run, chance.uniform(0, seconds)):
            break
        status = runs.status(run)
        outcome.kills += 1
        outcome.killed_in[status.stage] = outcome.killed_in.get(status.stage, 0) + 1
        if status.state == "done":  # killed while it tidied up
            break
    if runs.status(run).state != "done":
        launcher.requeue(run)
        train(run)
    if runs.status(run).state != "done":
        outcome.not_resumed += 1
        print(f"{run.folder}: {runs.status(run).failure_text()}")
        return
    compare(read_values(run), read_values(undisturbed), outcome)


def compare(values: dict[Point, float], expected: dict[Point, float], outcome: Outcome) -> None:
    """Count the points that are missing, and note the largest difference."""
    outcome.lost_points += len(expected.keys() - values.keys())
    for point in expected.keys() & values.keys():
        difference = abs(values[point] - expected[point])
        if difference:
            print(f"  {point.stage} step {point.step}: {point.name} differs by {difference:.3g}")
        outcome.max_difference = max(outcome.max_difference, difference)


def run_way(way: str, count: int, folder: Path, chance: random.Random) -> Outcome:
    """Kill runs of one way so many times."""
    undisturbed = runs.create(build_plan(way, folder))
    seconds = train(undisturbed)
    if runs.status(undisturbed).state != "done":
        raise RuntimeError(f"{way} does not train: {runs.status(undisturbed).failure_text()}")
    outcome = Outcome()
    while outcome.kills < count:
        disturb(undisturbed, seconds, outcome, chance)
    places = ", ".join(f"{name} {n}" for name, n in sorted(outcome.killed_in.items()))
    verdict = "good" if outcome.is_good else "BAD"
    print(
        f"{way:20} {verdict}: {outcome.kills} kills on {outcome.runs} runs of {seconds:.1f} s, "
        f"{outcome.not_resumed} could not go on, {outcome.lost_points} points lost, "
        f"largest difference {outcome.max_difference:.3g} (killed in: {places})",
        flush=True,
    )
    return outcome


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the script; exit code 1 where anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5, help="kills of each way")
    parser.add_argument(
        "--ways", nargs="+", choices=[*WAYS, *EMBEDDED_WAYS], default=list(WAYS), metavar="WAY"
    )
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args(arguments)
    print(f"seed {options.seed}", flush=True)
    for module in PRELOADED:
        importlib.import_module(module)
    folder = Path(tempfile.mkdtemp(prefix="kill-loop-"))
    os.environ["STUDIO_HOME"] = str(folder / "home")
    if not os.fork():  # so that this process never computes, and can be forked
        save_tiny_llama(folder / "llama")
        save_tiny_bert(folder / "bert")
        for way in EMBEDDED_WAYS.keys() & set(options.ways):
            fetch.fetch(build_plan(way, folder).model)
        os._exit(0)
    os.wait()
    write_toy_files(folder)
    chance = random.Random(options.seed)
    outcomes = [run_way(way, options.count, folder, chance) for way in options.ways]
    is_good = all(outcome.is_good for outcome in outcomes)
    if is_good:
        shutil.rmtree(folder)
    return 0 if is_good else 1


if __name__ == "__main__":
    sys.exit(main())
