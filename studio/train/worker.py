"""The run, top to bottom: prepare, fetch, load, attach, train, evaluate, save. An ordinary function that tests call in place."""

import argparse
import dataclasses
import gc
import json
import os
import resource
import shutil
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any

from studio import methods, runs
from studio.errors import IN_LOG, OutOfMemory, StudioError, explain
from studio.estimate import hardware, record
from studio.home import check_room, home, write_json
from studio.methods.base import Halt, Job, Method, Watch
from studio.models import fetch
from studio.models.fetch import Fetched
from studio.runs import Run
from studio.train import ready, turn
from studio.words import Words

BALLAST = 1_000_000
LEFT_OUT = Words(
    "Examples cut at {length} tokens: {cut}; left out as too long: {dropped}. Raise the longest example (max length) or shorten the texts.",
    "{cut} 个样本在 {length} 个 token 处截断，{dropped} 个过长未用：请提高长度上限（max length）或缩短文本。",
)


def run(run_id: str, before: Callable[[], None] = lambda: None) -> None:
    """Execute a run, from where it was stopped if it was; raises what goes wrong, after it has been written into the run's status."""
    this = runs.get(run_id)
    runs.claim(this, os.getpid())
    began = time.time()
    ballast = this.folder / ".ballast"  # given up when the disk is full, so that the reason can still be written
    try:
        ballast.write_bytes(bytes(BALLAST))
        turn.wait(this)
        turn.go_on(this)
        before()
        _execute(this)
    except Halt:
        runs.set_status(this, "stopped", "before")
    except BaseException as error:
        ballast.unlink(missing_ok=True)
        fault = explain(error, IN_LOG)
        if isinstance(fault, OutOfMemory):
            from studio.train.report import peak_memory_gb  # noqa: PLC0415 - loads torch, which has just run out of memory

            record.add(this, (time.time() - began) / 60, peak_memory_gb(), whole=False, died=True)
        said = runs.told(fault.what.filled(**fault.values), fault.to_do.filled(**fault.values))
        found = runs.status(this)
        runs.set_status(this, "failed", found.stage, step=found.step, steps=found.steps, **said)
        raise
    finally:
        ballast.unlink(missing_ok=True)


def _execute(this: Run) -> None:
    method, began, used = methods.get(this.plan.method.name), time.time(), time.process_time()
    resumed = (this.folder / "data" / "about.json").is_file()
    prepared = ready.prepare_data(this, this.plan)
    asked = time.time()
    base = fetch.fetch(this.plan.model, ready.fetching(this))
    fetching = time.time() - asked
    turn.go_on(this)
    runs.set_status(this, "preparing", "load")
    job, loaded = ready.load_job(this, method, base, prepared.parts)
    turn.go_on(this)
    from studio.models import load  # noqa: PLC0415 - loads torch, which a waiting worker does without
    from studio.train.report import as_point  # noqa: PLC0415

    if method.rows:
        train, validation = method.rows(job)
        job = dataclasses.replace(job, train=train, validation=validation)
    before = _before(this, job, method)
    turn.go_on(this)
    watches: list[Watch] = []
    model, failure = _train(method, job, watches)
    last = watches[-1]
    reached = {"step": last.step, "steps": last.steps}
    runs.set_status(this, "evaluating", "after", **reached)
    if method.weights == "trained":
        model = model.to(load.dtype())
    after = _scores(this, job, model)
    runs.add_point(this, "after", last.best_step, 0.0, **as_point(after, judged(job)))
    _save(this, job, model, base, loaded)
    ended = {
        "before": before,
        "after": after,
        "measured_on": judged(job),
        "best_step": last.best_step,
        "stopped": last.stopped,
        "stopped_early": last.early,
    }
    training = job.plan.training.model_dump()
    report = {**prepared.about, **loaded, **ended, "training": training, "learning_rate": training["learning_rate"], "method": job.notes}
    spent = _spent(began, used, fetching)
    whole = not (failure or resumed or last.stopped or last.early)
    record.add(
        this,
        (spent["seconds"] - spent["fetch_seconds"]) / 60,
        spent["peak_memory_gb"],
        whole,
        busy=spent.get("core_share", 1) < record.BUSY_BELOW,
    )
    write_json(this.folder / "report.json", {**report, **spent, "resumed": resumed})
    if failure:
        runs.set_status(this, "training", method.stages[0], **reached)  # where it broke off
        raise failure
    if not last.stopped:
        shutil.rmtree(this.folder / "checkpoints", ignore_errors=True)
    runs.set_status(this, "stopped" if last.stopped else "done", "after", **reached)


def _spent(began: float, used: float, fetching: float) -> dict[str, float]:
    """What the run took: seconds, those of fetching the model among them, the peak of memory, and its share of the time of the cores it
    computes on; where a card computes, nobody knows that share."""
    import torch  # noqa: PLC0415 - only a worker asks

    from studio.train.report import peak_memory_gb  # noqa: PLC0415 - loads torch

    seconds = time.time() - began
    told = {"seconds": round(seconds, 1), "fetch_seconds": round(fetching, 1), "peak_memory_gb": round(peak_memory_gb(), 3)}
    if torch.cuda.is_available():
        return told
    share = (time.process_time() - used) / max(seconds - fetching, 1e-3) / min(hardware.cores(), torch.get_num_threads())
    return {**told, "core_share": round(share, 2)}


def _before(this: Run, job: Job, method: Method) -> dict[str, float]:
    """The base's scores; a run that goes on has them already. An untrained prompt already moves the model, so it stays away here."""
    from studio.data import batch  # noqa: PLC0415 - loads torch
    from studio.train.report import as_point  # noqa: PLC0415

    known = this.folder / "checkpoints" / "before.json"
    if known.is_file():
        return dict(json.loads(known.read_text(encoding="utf-8")))
    runs.set_status(this, "evaluating", "before")
    model = job.model.get_base_model() if batch.prompt(job.model) else job.model
    found = _scores(this, job, model)
    start = found if judged(job) == "validation" else job.measure(model, job.validation)  # where the curve of the validation begins
    runs.add_point(this, method.stages[0], 0, 0.0, **as_point(start))
    known.parent.mkdir(exist_ok=True)
    write_json(known, found)
    return found


def judged(job: Job) -> str:
    """The part that the verdict is measured on: "test" where there is one. What a model wrote itself is only there to validate on."""
    return "test" if job.test and not methods.get(job.plan.method.name).rows else "validation"


def _scores(this: Run, job: Job, model: Any) -> dict[str, float]:
    """Scores on the examples the verdict rests on; beside the loss how many questions with known answers are answered rightly."""
    from studio.evaluate import answers  # noqa: PLC0415 - loads torch

    def tell(done: int, of: int) -> None:  # not job.tell: a run that was stopped is still asked what it has learned
        runs.set_status(this, "evaluating", "asking", step=done, steps=of)

    rows = job.test if judged(job) == "test" else job.validation
    return {**job.measure(model, rows), **answers.measure(model, job.tokenizer, job.tested or job.examples[1], tell)}


def _train(method: Method, job: Job, watches: list[Watch]) -> tuple[Any, Exception | None]:
    """Train; where it breaks off after a good validation, return why, so that what was learned by then is kept first."""
    from studio.train import report  # noqa: PLC0415 - loads torch

    def watch(stage: str, model: Any, measure: Callable[[], dict[str, float]] | None) -> Watch:
        watches.append(report.Watch(runs.get(job.folder.name), stage, model, measure))
        return watches[-1]

    runs.set_status(runs.get(job.folder.name), "training", method.stages[0])
    try:
        return method.train(dataclasses.replace(job, watch=watch)), None
    except Halt:
        raise
    except Exception as error:
        if len(method.stages) > 1 or not watches or not watches[0].best_step:
            raise
        watches[0].restore()
        return method.finish(job.model), error


def _save(this: Run, job: Job, model: Any, base: Fetched, report: dict[str, Any]) -> None:
    """Write what was learned beside the tokenizer, under a draft name until it is whole."""
    from studio.models import load  # noqa: PLC0415 - loads torch

    trained = sum(value.numel() * value.element_size() for value in model.parameters() if value.requires_grad)
    check_room(this.folder, trained)
    report["tuned"] = {"checksum": load.fingerprint(model)}
    draft = this.folder / ".model"
    shutil.rmtree(draft, ignore_errors=True)
    methods.get(this.plan.method.name).save(model, draft, base.hub)
    job.tokenizer.save_pretrained(draft)
    shutil.rmtree(this.model, ignore_errors=True)
    draft.rename(this.model)


def limit_memory() -> None:
    """Let a request for more memory than is free fail with an error that can be told, instead of the system ending the process."""
    import torch  # noqa: PLC0415 - only a worker asks

    if not torch.cuda.is_available():  # CUDA reserves far more address space than it uses
        free = hardware.free_memory()
        room = hardware.mapped() + max(free - hardware.SPARED, free // 2)
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
