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
from studio.errors import SEE_WORKER_LOG, OutOfMemory, StudioError, explain
from studio.estimate import history
from studio.estimate.machines import hardware
from studio.i18n import Message
from studio.methods.spec import Method, StageMonitor, StopRequested, TrainingContext
from studio.models import fetch
from studio.models.fetch import FetchedModel
from studio.runs import Run
from studio.storage import home, require_disk_space, write_json
from studio.training import queue as run_queue
from studio.training import setup as run_setup

DISK_RESERVE_BYTES = 1_000_000
TEXTS_CUT_OR_DROPPED = Message(
    "Examples cut at {length} tokens: {cut}; left out as too long: {dropped}. Raise the longest example (max length) or shorten the texts."
)


def run(run_id: str, before_start: Callable[[], None] = lambda: None) -> None:
    """Execute a run, from where it was stopped if it was; raises what goes wrong, after it has been written into the run's status."""
    run = runs.get(run_id)
    runs.claim(run, os.getpid())
    started_at = time.time()
    reserve_file = (
        run.folder / ".ballast"
    )  # given up when the disk is full, so that the reason can still be written
    try:
        reserve_file.write_bytes(bytes(DISK_RESERVE_BYTES))
        run_queue.wait_for_turn(run)
        run_queue.raise_if_stopped(run)
        before_start()
        _execute(run)
    except StopRequested:
        runs.set_status(run, "stopped", "before")
    except BaseException as error:
        reserve_file.unlink(missing_ok=True)
        explained = explain(error, SEE_WORKER_LOG)
        if isinstance(explained, OutOfMemory):
            from studio.training.callback import peak_memory_gb  # noqa: PLC0415 - loads torch, which has just run out of memory

            history.add_entry(
                run,
                (time.time() - started_at) / 60,
                peak_memory_gb(),
                is_complete=False,
                ran_out_of_memory=True,
            )
        status = runs.status(run)
        runs.set_status(
            run,
            "failed",
            status.stage,
            step=status.step,
            steps=status.steps,
            message=explained.message,
            hint=explained.hint,
        )
        raise
    finally:
        reserve_file.unlink(missing_ok=True)


def _execute(run: Run) -> None:
    method, started_at, cpu_started_at = methods.get(run.plan.method.name), time.time(), time.process_time()
    resumed = (run.folder / "data" / "about.json").is_file()
    prepared = run_setup.prepare_data(run, run.plan)
    fetch_started_at = time.time()
    fetched = fetch.fetch(run.plan.model, run_setup.fetch_progress(run))
    fetch_seconds = time.time() - fetch_started_at
    run_queue.raise_if_stopped(run)
    runs.set_status(run, "preparing", "load")
    job, load_report = run_setup.load_job(run, method, fetched, prepared.splits)
    run_queue.raise_if_stopped(run)
    from studio.models import load  # noqa: PLC0415 - loads torch, which a waiting worker does without
    from studio.training.callback import as_point  # noqa: PLC0415

    if method.generate_rows:
        train, validation = method.generate_rows(job)
        job = dataclasses.replace(job, train=train, validation=validation)
    scores_before = _evaluate_base(run, job, method)
    run_queue.raise_if_stopped(run)
    monitors: list[StageMonitor] = []
    model, failure = _train(method, job, monitors)
    last_monitor = monitors[-1]
    progress = {"step": last_monitor.step, "steps": last_monitor.steps}
    runs.set_status(run, "evaluating", "after", **progress)
    if method.weights == "trained":
        model = model.to(load.dtype())
    scores_after = _evaluate(run, job, model)
    runs.add_point(run, "after", last_monitor.best_step, 0.0, **as_point(scores_after, eval_split(job)))
    _save_result(run, job, model, fetched, load_report)
    outcome = {
        "before": scores_before,
        "after": scores_after,
        "measured_on": eval_split(job),
        "best_step": last_monitor.best_step,
        "stopped": last_monitor.stopped,
        "stopped_early": last_monitor.early,
    }
    training = job.plan.training.model_dump()
    report = {
        **prepared.report_section,
        **load_report,
        **outcome,
        "training": training,
        "learning_rate": training["learning_rate"],
        "method": job.notes,
    }
    usage = _measure_usage(started_at, cpu_started_at, fetch_seconds)
    is_complete = not (failure or resumed or last_monitor.stopped or last_monitor.early)
    history.add_entry(
        run,
        (usage["seconds"] - usage["fetch_seconds"]) / 60,
        usage["peak_memory_gb"],
        is_complete,
        was_busy=usage.get("core_share", 1) < history.MIN_CORE_SHARE,
    )
    write_json(run.folder / "report.json", {**report, **usage, "resumed": resumed})
    if failure:
        runs.set_status(run, "training", method.stages[0], **progress)  # where it broke off
        raise failure
    if not last_monitor.stopped:
        shutil.rmtree(run.folder / "checkpoints", ignore_errors=True)
    runs.set_status(run, "stopped" if last_monitor.stopped else "done", "after", **progress)


def _measure_usage(started_at: float, cpu_started_at: float, fetch_seconds: float) -> dict[str, float]:
    """What the run took: seconds, those of fetching the model among them, the peak of memory, and its share of the time of the cores it
    computes on; where a card computes, nobody knows that share."""
    import torch  # noqa: PLC0415 - only a worker asks

    from studio.training.callback import peak_memory_gb  # noqa: PLC0415 - loads torch

    seconds = time.time() - started_at
    usage = {
        "seconds": round(seconds, 1),
        "fetch_seconds": round(fetch_seconds, 1),
        "peak_memory_gb": round(peak_memory_gb(), 3),
    }
    if torch.cuda.is_available():
        return usage
    core_share = (
        (time.process_time() - cpu_started_at)
        / max(seconds - fetch_seconds, 1e-3)
        / min(hardware.available_cores(), torch.get_num_threads())
    )
    return {**usage, "core_share": round(core_share, 2)}


def _evaluate_base(run: Run, job: TrainingContext, method: Method) -> dict[str, float]:
    """The base's scores; a run that goes on has them already. An untrained prompt already moves the model, so it stays away here."""
    from studio.data import collate  # noqa: PLC0415 - loads torch
    from studio.training.callback import as_point  # noqa: PLC0415

    saved_path = run.folder / "checkpoints" / "before.json"
    if saved_path.is_file():
        return dict(json.loads(saved_path.read_text(encoding="utf-8")))
    runs.set_status(run, "evaluating", "before")
    model = job.model.get_base_model() if collate.get_prompt_config(job.model) else job.model
    scores = _evaluate(run, job, model)
    start_scores = (
        scores if eval_split(job) == "validation" else job.measure(model, job.validation)
    )  # where the curve of the validation begins
    runs.add_point(run, method.stages[0], 0, 0.0, **as_point(start_scores))
    saved_path.parent.mkdir(exist_ok=True)
    write_json(saved_path, scores)
    return scores


def eval_split(job: TrainingContext) -> str:
    """The part that the verdict is measured on: "test" where there is one. What a model wrote itself is only there to validate on."""
    return "test" if job.test and not methods.get(job.plan.method.name).generate_rows else "validation"


def _evaluate(run: Run, job: TrainingContext, model: Any) -> dict[str, float]:
    """Scores on the examples the verdict rests on; beside the loss how many questions with known answers are answered rightly."""
    from studio.evaluate import answers  # noqa: PLC0415 - loads torch

    def report_progress(
        done: int, total: int
    ) -> None:  # not job.tell: a run that was stopped is still asked what it has learned
        runs.set_status(run, "evaluating", "asking", step=done, steps=total)

    rows = job.test if eval_split(job) == "test" else job.validation
    return {
        **job.measure(model, rows),
        **answers.measure_accuracy(
            model, job.tokenizer, job.test_examples or job.examples[1], report_progress
        ),
    }


def _train(
    method: Method, job: TrainingContext, monitors: list[StageMonitor]
) -> tuple[Any, Exception | None]:
    """Train; where it breaks off after a good validation, return why, so that what was learned by then is kept first."""
    from studio.training import callback as run_callback  # noqa: PLC0415 - loads torch

    def create_monitor(
        stage: str, model: Any, measure: Callable[[], dict[str, float]] | None
    ) -> StageMonitor:
        monitors.append(run_callback.MonitorCallback(runs.get(job.folder.name), stage, model, measure))
        return monitors[-1]

    runs.set_status(runs.get(job.folder.name), "training", method.stages[0])
    try:
        return method.train(dataclasses.replace(job, create_monitor=create_monitor)), None
    except StopRequested:
        raise
    except Exception as error:
        if len(method.stages) > 1 or not monitors or not monitors[0].best_step:
            raise
        monitors[0].restore()
        return method.finish(job.model), error


def _save_result(
    run: Run, job: TrainingContext, model: Any, fetched: FetchedModel, report: dict[str, Any]
) -> None:
    """Write what was learned beside the tokenizer, under a draft name until it is whole."""
    from studio.models import load  # noqa: PLC0415 - loads torch

    trainable_bytes = sum(
        parameter.numel() * parameter.element_size()
        for parameter in model.parameters()
        if parameter.requires_grad
    )
    require_disk_space(run.folder, trainable_bytes)
    report["tuned"] = {"checksum": load.fingerprint(model)}
    draft = run.folder / ".model"
    shutil.rmtree(draft, ignore_errors=True)
    methods.get(run.plan.method.name).save(model, draft, fetched.hub)
    job.tokenizer.save_pretrained(draft)
    shutil.rmtree(run.model, ignore_errors=True)
    draft.rename(run.model)


def limit_memory() -> None:
    """Let a request for more memory than is free fail with an error that can be told, instead of the system ending the process."""
    import torch  # noqa: PLC0415 - only a worker asks

    if not torch.cuda.is_available():  # CUDA reserves far more address space than it uses
        free_bytes = hardware.free_memory()
        limit_bytes = hardware.data_segment_bytes() + max(
            free_bytes - hardware.RESERVED_BYTES, free_bytes // 2
        )
        resource.setrlimit(resource.RLIMIT_DATA, (limit_bytes, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def main() -> int:
    """The worker process: `python -m studio.training.worker RUN`. Exit code 0 when the run ended well, else 1."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    run_id = parser.parse_args().run
    home()
    try:
        run(run_id, before_start=limit_memory)
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
