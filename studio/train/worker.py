"""The run, top to bottom: prepare, fetch, load, attach, train, evaluate, save. An ordinary function that tests call in place."""

import argparse
import gc
import json
import os
import resource
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil

from studio import methods, runs
from studio.data import keep, prepare
from studio.data.prepare import Encoded, Example
from studio.errors import StudioError, explain
from studio.home import check_room, home, write_json
from studio.methods.base import Job, Method
from studio.models import fetch, shape
from studio.models.fetch import Fetched
from studio.plan import Plan
from studio.runs import Run
from studio.words import Words

# Left for the system and the page when the worker limits its own memory (bytes).
SPARED = 1_000_000_000
BALLAST = 1_000_000
LEFT_OUT = Words(
    "{cut} example(s) were cut at {length} tokens, {dropped} left out as too long: raise the longest example (max length) or shorten the texts.",
    "{cut} 个样本在 {length} 个 token 处截断，{dropped} 个过长未用：请提高长度上限（max length）或缩短文本。",
)


class Halt(Exception):
    """The run was asked to stop before it had learned anything."""


@dataclass(frozen=True)
class Loaded:
    """Everything the training needs, in memory."""

    model: Any
    tokenizer: Any
    labels: tuple[str, ...]
    train: list[Encoded]
    validation: list[Encoded]
    report: dict[str, Any]


def run(run_id: str, before: Callable[[], None] = lambda: None) -> None:
    """Execute a run; raises what goes wrong, after it has been written into the run's status as two sentences."""
    this = runs.get(run_id)
    runs.claim(this, os.getpid())
    ballast = this.folder / ".ballast"  # given up when the disk is full, so that the reason can still be written
    try:
        ballast.write_bytes(bytes(BALLAST))
        _wait_for_turn(this)
        _go_on(this)
        before()
        _execute(this)
    except Halt:
        runs.set_status(this, "stopped", "before")
    except BaseException as error:
        ballast.unlink(missing_ok=True)
        what, to_do = explain(error).sentences()
        found = runs.status(this)
        runs.set_status(this, "failed", found.stage, step=found.step, steps=found.steps, what=what, what_to_do=to_do)
        raise
    finally:
        ballast.unlink(missing_ok=True)
        shutil.rmtree(this.folder / "checkpoints", ignore_errors=True)


def _go_on(this: Run) -> None:
    """Between two stages: raise Halt where the run was asked to stop."""
    if this.stop_file.exists():
        raise Halt


def _execute(this: Run) -> None:
    plan, method = this.plan, methods.get(this.plan.method.name)
    began = time.time()
    train, validation, about = _prepare(this, plan)
    base = fetch.fetch(plan.model, _fetching(this))
    _go_on(this)
    runs.set_status(this, "preparing", "load")
    loaded = _load(plan, method, base, train, validation)
    from studio.evaluate import held_out  # noqa: PLC0415 - loads torch, which a waiting worker does without
    from studio.models import load  # noqa: PLC0415 - loads torch, which a waiting worker does without
    from studio.train.report import Watch, as_point  # noqa: PLC0415

    portion = plan.training.batch_size // plan.training.accumulate

    def measure() -> dict[str, float]:
        return held_out.measure(loaded.model, loaded.validation, loaded.tokenizer, plan.task, portion)

    _go_on(this)
    runs.set_status(this, "evaluating", "before")
    before = measure()
    runs.add_point(this, "train", 0, 0.0, **as_point(before))
    _go_on(this)
    watch = Watch(this, loaded.model, measure, before)
    runs.set_status(this, "training", "train")
    rate = plan.training.learning_rate or method.learning_rate(shape.read(base.folder), plan.task)
    failure = _train(method, watch, Job(loaded.model, loaded.tokenizer, plan, rate, loaded.train, this.folder / "checkpoints", [watch]))
    reached = {"step": watch.step, "steps": watch.steps}
    runs.set_status(this, "evaluating", "after", **reached)
    watch.restore()
    if method.trains_base:
        loaded.model.to(load.dtype())
    after = measure()
    runs.add_point(this, "after", watch.best_step, 0.0, **as_point(after))
    _save(this, loaded, base)
    ended = {"before": before, "after": after, "best_step": watch.best_step, "stopped": watch.stopped, "stopped_early": watch.early}
    report = {**about, **loaded.report, **ended, "learning_rate": rate, "seconds": round(time.time() - began, 1)}
    write_json(this.folder / "report.json", report)
    if failure:
        raise failure
    runs.set_status(this, "stopped" if watch.stopped else "done", "after", **reached)


def _train(method: Method, watch: Any, job: Job) -> Exception | None:  # noqa: ANN401 - a Watch, whose module loads torch
    """Train; where it breaks off after a good validation, return why, so that what was learned by then is kept first."""
    try:
        method.train(job)
    except Exception as error:
        if not watch.best_step:
            raise
        return error
    return None


def _prepare(this: Run, plan: Plan) -> tuple[list[Example], list[Example], dict[str, Any]]:
    """Read and split the data, and keep both parts in the run: every later verdict is measured on the same rows."""
    runs.set_status(this, "preparing", "data")
    kept = keep.find(plan.data.source)
    table = kept.table()
    columns = plan.data.columns or guessed(plan, table)
    found, incomplete = prepare.examples(table, plan.task, columns)
    train, validation = prepare.split(found, plan.task, plan.data.validation_share, plan.training.seed)
    (this.folder / "data").mkdir(exist_ok=True)
    for name, part in (("train", train), ("validation", validation)):
        text = "".join(json.dumps(example, ensure_ascii=False) + "\n" for example in part)
        (this.folder / "data" / f"{name}.jsonl").write_text(text, encoding="utf-8")
    counts = {
        "rows": len(table.rows),
        "damaged": len(table.bad),
        "incomplete": incomplete,
        "train": len(train),
        "validation": len(validation),
    }
    return train, validation, {"data": {"name": kept.name, "sha256": kept.sha256, "columns": columns, **counts}}


def guessed(plan: Plan, table: Any) -> dict[str, str]:  # noqa: ANN401 - a Table
    """The roles of the columns where the plan names none; a guess for another task does not count."""
    from studio.data import columns  # noqa: PLC0415 - only here

    found = columns.guess(table)
    return found.columns if found.task == plan.task else {}


def _fetching(this: Run) -> Callable[[float, float], None]:
    def progress(done: float, total: float) -> None:
        runs.set_status(this, "preparing", "fetch", step=int(done), steps=int(total))

    return progress


def _load(plan: Plan, method: Method, base: Fetched, train: list[Example], validation: list[Example]) -> Loaded:
    """Load the model, attach the method and encode the examples; the report's part says what was loaded."""
    import torch  # noqa: PLC0415 - a waiting worker does without

    from studio.models import load  # noqa: PLC0415

    tokenizer = load.tokenizer(base.folder)
    labels = tuple(prepare.labels_of(train + validation)) if plan.task == "classify" else ()
    context = shape.read(base.folder).context
    length = min(plan.training.max_length, context)
    parts = [prepare.encode(part, plan.task, tokenizer, length, labels) for part in (train, validation)]
    torch.manual_seed(plan.training.seed)
    model = load.base(base.folder, plan.task, labels, plan.training.seed)
    check = load.fingerprint(model)
    if method.trains_base:  # small steps vanish in 16-bit numbers
        model = model.float()
    torch.manual_seed(plan.training.seed)
    model = method.attach(model, method.settle(plan.method.settings), plan.task)
    trainable = sum(value.numel() for value in model.parameters() if value.requires_grad)
    total = sum(value.numel() for value in model.parameters())
    dropped = len(train) + len(validation) - sum(len(part) for part in parts)
    report = {
        "base": {"name": base.name, "hub": base.hub, "weights": base.note.en, "checksum": check},
        "parameters": {"trainable": trainable, "total": total},
        "texts": {"max_length": length, "cut": sum(item.cut for part in parts for item in part), "dropped": dropped},
        "labels": list(labels),
        "device": str(model.device),
    }
    return Loaded(model, tokenizer, labels, parts[0], parts[1], report)


def _save(this: Run, loaded: Loaded, base: Fetched) -> None:
    """Write what was learned beside the tokenizer, under a draft name until it is whole."""
    from studio.models import load  # noqa: PLC0415 - loads torch

    trained = sum(value.numel() * value.element_size() for value in loaded.model.parameters() if value.requires_grad)
    check_room(this.folder, trained)
    loaded.report["tuned"] = {"checksum": load.fingerprint(loaded.model)}
    draft = this.folder / ".model"
    shutil.rmtree(draft, ignore_errors=True)
    methods.get(this.plan.method.name).save(loaded.model, draft, base.hub)
    loaded.tokenizer.save_pretrained(draft)
    shutil.rmtree(this.model, ignore_errors=True)
    draft.rename(this.model)


def _wait_for_turn(this: Run) -> None:
    """One run trains at a time: wait until no older run that is alive is still going."""
    while not this.stop_file.exists():
        ahead = [other for other in runs.all_runs() if _before(other, this)]
        if not ahead:
            return
        runs.set_status(this, "waiting", "queue", steps=len(ahead))
        time.sleep(1)


def _before(other: Run, this: Run) -> bool:
    return other.id != this.id and (other.created, other.id) < (this.created, this.id) and runs.status(other).state not in runs.ENDED


def limit_memory() -> None:
    """Let a request for more memory than is free fail with an error that can be told, instead of the system ending the process."""
    import torch  # noqa: PLC0415 - only a worker asks

    if not torch.cuda.is_available():  # CUDA reserves far more address space than it uses
        room = psutil.Process().memory_info().vms + max(psutil.virtual_memory().available - SPARED, SPARED)
        resource.setrlimit(resource.RLIMIT_DATA, (room, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def main() -> int:
    """The worker process: `python -m studio.train.worker RUN`. Exit code 0 when the run ended well, else 1."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    run_id = parser.parse_args().run
    home()
    try:
        run(run_id, before=limit_memory)
    except StudioError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except Exception:
        traceback.print_exc()
        return 1
    finally:
        gc.collect()
    return 0


if __name__ == "__main__":
    sys.exit(main())
