"""Executes a run from top to bottom: prepare, fetch, load, attach, train, evaluate, save.

`run` is an ordinary function, which tests and the command line call in their own process; `main` is the
worker process.
"""

import argparse
import dataclasses
import gc
import os
import shutil
import signal
import sys
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import nullcontext, suppress
from typing import TYPE_CHECKING, Any

from studio import cgroups, methods, runs
from studio.errors import SEE_WORKER_LOG, NotPossible, OutOfMemory, StudioError, explain, is_known
from studio.estimate import history
from studio.evaluate import cap_messages, detail_scores, predictions, verdict
from studio.evaluate.verdict_messages import FAULT
from studio.i18n import Message
from studio.methods.spec import Method, Scores, StageMonitor, StopRequested, TrainingContext
from studio.models import device, fetch, ranks
from studio.models.fetch import FetchedModel
from studio.runs import Run
from studio.storage import read_json, require_disk_space, write_json, write_sealed_json
from studio.training import caps, coach, events, file_list, local_ranks, retention, trackio_writer
from studio.training import pause as pauses
from studio.training import queue as run_queue
from studio.training import setup as run_setup
from studio.training.caps import Budget
from studio.training.memory import limit_memory, peak_memory_gb
from studio.training.pause import Pause, Standing

if TYPE_CHECKING:
    from studio.training.evaluation import Evaluation

# Held in a file of the run while it works, and given up when the disk is full, so that the reason can be
# written.
DISK_RESERVE_BYTES = 1_000_000
DISK_RESERVE_FILE = ".ballast"
# How long a run has trained in all the processes that have ended (seconds).
EARLIER_FILE = "earlier.json"
# What a stopped run goes on from and nothing else needs: a next round of RLHF starts from the result.
ONLY_TO_GO_ON = ("checkpoints", "stages/sft")


def run(run_id: str, before_start: Callable[[], None] = lambda: None, pause: Pause | None = None) -> None:
    """Execute a run, from where it was stopped if it was.

    Args:
        run_id: The run.
        before_start: Called once the run's turn has come.
        pause: When it pauses on its way, counted from then on; None for never.

    Raises:
        NotPossible: Another process executes it.
        Exception: Whatever else goes wrong, after it has been written into the run's status.
    """
    run = runs.get(run_id)
    claim(run)
    started_at = turn_came_at = time.time()
    reserve_file = run.folder / DISK_RESERVE_FILE
    try:
        reserve_file.write_bytes(bytes(DISK_RESERVE_BYTES))
        n_beside = run_queue.wait_for_turn(run)
        run_queue.raise_if_stopped(run)
        turn_came_at = time.time()
        _share_cores(n_beside)
        before_start()
        with trackio_writer.following(run), local_ranks.together(run):
            _execute(run, dataclasses.replace(pause, started_at=time.monotonic()) if pause else None)
    except StopRequested:
        runs.set_status(run, "stopped", "before")
    except BaseException as error:
        reserve_file.unlink(missing_ok=True)
        _record_failure(run, error, started_at)
        raise
    finally:
        reserve_file.unlink(missing_ok=True)
        with suppress(OSError):  # the disk is still full
            _add_earlier_seconds(run, turn_came_at)


def _share_cores(n_beside: int) -> None:
    """Compute with a fair share of the cores where other runs train already; torch is not loaded yet."""
    if n_beside:
        n_threads = int(cgroups.available_cores() // (n_beside + 1))
        os.environ["OMP_NUM_THREADS"] = str(max(1, n_threads))


def claim(run: Run) -> None:
    """Note that this process executes the run; raises NotPossible where another one does."""
    with runs.claiming():
        worker = runs.worker_process(run)
        if worker and worker.pid != os.getpid():
            raise NotPossible(
                Message("Another process ({pid}) is training the run “{name}”."),
                Message("Wait until it has ended, or stop it first."),
                pid=worker.pid,
                name=run.plan.name,
            )
        runs.claim(run, os.getpid())


def _record_failure(run: Run, error: BaseException, started_at: float) -> None:
    """Write into the status why a run failed, and into the history of estimates that its memory ran out.

    Of several ranks one that loses another is started again with it, so nothing has failed yet.
    """
    if ranks.count() > 1 and not is_known(error):
        return
    explained = explain(error, SEE_WORKER_LOG)
    if isinstance(explained, OutOfMemory):
        minutes = (time.time() - started_at) / 60
        history.add_entry(run, minutes, peak_memory_gb(), is_complete=False, ran_out_of_memory=True)
    status = runs.status(run)
    runs.set_status(
        run,
        "failed",
        status.stage,
        step=status.step,
        steps=status.steps,
        message=explained.message,
        hint=explained.hint,
        cause="memory" if isinstance(explained, OutOfMemory) else "",
    )


def _add_earlier_seconds(run: Run, started_at: float) -> None:
    """Note how long a run has trained in all by now: if it goes on, its time and cost are those of all."""
    if not ranks.is_first():
        return
    path = run.folder / EARLIER_FILE
    if runs.status(run).state == "done":
        path.unlink(missing_ok=True)
        return
    earlier_seconds = caps.read_seconds(read_json(path).get("seconds"))
    write_json(path, {"seconds": round(earlier_seconds + time.time() - started_at, 1)})


class _Usage:
    """What a run takes, from the moment this is created: time, memory, and its share of the cores.

    Its time includes that of earlier attempts, but of one that was killed.

    Args:
        run: The run.
    """

    def __init__(self, run: Run) -> None:
        self._earlier_seconds = caps.read_seconds(read_json(run.folder / EARLIER_FILE).get("seconds"))
        self._started_at = self._computing_started_at = time.time()
        self._cpu_started_at = time.process_time()
        self._fetch_seconds = 0.0

    def fetch(self, run: Run) -> FetchedModel:
        """Fetch the run's base model; how long that takes says nothing about the machine."""
        started_at = time.time()
        fetched = fetch.fetch(run.plan.model, run_setup.fetch_progress(run))
        self._fetch_seconds = time.time() - started_at
        return fetched

    def begin_computing(self) -> None:
        """Note that from now on all cores compute: before, a single one imports, reads and loads."""
        import torch  # noqa: PLC0415 - a worker that waits does without

        self._n_cores = min(cgroups.available_cores(), torch.get_num_threads())
        self._computing_started_at, self._cpu_started_at = time.time(), time.process_time()

    def measure(self, run: Run) -> dict[str, float]:
        """Seconds, of them those of fetching, and the peak of memory; on a CPU the share of the cores it got.

        On a GPU nobody knows that share, and where weights are read from the disk the cores wait for it.
        """
        seconds = self._earlier_seconds + time.time() - self._started_at
        usage = {
            "seconds": round(seconds, 1),
            "fetch_seconds": round(self._fetch_seconds, 1),
            "peak_memory_gb": round(peak_memory_gb(), 3),
        }
        if device.uses_cpu() and not run.plan.training.disk_offload:
            usage["core_share"] = round(self._core_share(), 2)
        return usage

    def _core_share(self) -> float:
        """Of all cores it began with: beside other programs it goes on with fewer threads (cpu_threads)."""
        computing_seconds = max(time.time() - self._computing_started_at, 1e-3)
        return float((time.process_time() - self._cpu_started_at) / computing_seconds / self._n_cores)


def _execute(run: Run, pause: Pause | None) -> None:
    from studio.models import load  # noqa: PLC0415 - loads torch
    from studio.training import evaluation  # noqa: PLC0415 - as above

    usage_meter = _Usage(run)
    # A bake-off has a cap of its own, which ends its turns by a pause.
    budget = None if pause else caps.create_budget(run)
    method = methods.get(run.plan.method.name)
    is_resumed = run_setup.has_begun(run)
    prepared = run_setup.prepare_data(run, run.plan)
    fetched = usage_meter.fetch(run)
    ranks.wait_for_all()
    run_queue.raise_if_stopped(run)
    runs.set_status(run, "preparing", "load")
    monitors: list[StageMonitor] = []
    context, load_report = run_setup.load_context(
        run, method, fetched, prepared.splits, _monitor_factory(run, monitors, pause, budget)
    )
    usage_meter.begin_computing()
    run_setup.note_replay(context, prepared.report_section["data"])
    run_queue.raise_if_stopped(run)
    if method.generate_rows:
        train, validation = method.generate_rows(context)
        context = dataclasses.replace(context, train=train, validation=validation)
    if budget:
        budget.write_use(run)
    before = _evaluate_base(run, context, budget)
    linear = _start_from_linear_fit(run, context)
    run_queue.raise_if_stopped(run)
    model, failure = _train(run, method, context, monitors)
    last_monitor = monitors[-1]
    progress = {"step": last_monitor.step, "steps": last_monitor.steps}
    if context.is_sharded:
        gc.collect()  # this rank's share
        model = model.to(device.torch_device())
    if pause or pauses.is_contender(run):
        pauses.write(run, Standing(**progress, outcomes=evaluation.measure_validation(context, model)))
    if last_monitor.paused:
        runs.set_status(run, "stopped", "paused", **progress)
        return
    runs.set_status(run, "evaluating", "after", **progress)
    if method.weights == "trained":
        model = load.convert_parameters(model, device.weights_dtype())
    after = _evaluate_tuned(run, context, model, last_monitor.best_step)
    changes = retention.compare_with_base(run, context, model)
    tuned_checksum = _save_result(run, context, model, fetched)
    training = context.plan.training.model_dump()
    usage = usage_meter.measure(run)
    seconds_saved = sum(monitor.seconds_saved for monitor in monitors)
    is_complete = not (failure or is_resumed or last_monitor.stopped)
    _record_usage(run, usage, seconds_saved, is_complete)
    report = {
        **prepared.report_section,
        **load_report,
        "tuned": {"checksum": tuned_checksum},
        "before": before.scores,
        "linear_baseline": linear.scores,
        "after": after.scores,
        "retention": changes,
        "measured_on": evaluation.scored_split(context),
        "best_step": last_monitor.best_step,
        "stopped": last_monitor.stopped,
        **({"cap": last_monitor.reached_cap} if last_monitor.reached_cap else {}),
        "stopped_early": any(monitor.stopped_early for monitor in monitors),
        "seconds_saved": round(seconds_saved, 1),
        "training": training,
        "learning_rate": training["learning_rate"],
        "method": context.notes,
        **usage,
        "resumed": is_resumed,
    }
    write_sealed_json(run.folder / "report.json", report)
    outcomes = {"base": before.outcomes, "linear": linear.outcomes, "tuned": after.outcomes}
    predictions.write(run.folder, evaluation.answered_split(context), outcomes)
    write_sealed_json(run.folder / "report.json", report | _judge(run, report))
    if failure:
        runs.set_status(run, "training", method.stages[0], **progress)  # where it broke off
        raise failure
    if budget:
        budget.write_use(run)
    if last_monitor.reached_cap:
        caps.forget_use(run)
    state = "stopped" if last_monitor.stopped else "done"
    cause = "cap" if last_monitor.reached_cap else ""
    runs.set_status(run, state, "after", message=cap_messages.describe(report), cause=cause, **progress)
    if not last_monitor.stopped:  # only now: a run that is killed before it is done goes on from them
        for name in ONLY_TO_GO_ON:
            shutil.rmtree(run.folder / name, ignore_errors=True)


def _find_gaming(run: Run) -> dict[str, Any]:
    """For the report: the coach's sentence where practice seems to have gamed its reward."""
    finding = coach.read_curve(runs.read_points(run))
    return {"gaming": finding.sentence.to_json()} if finding and finding.rule == "gaming" else {}


def _judge(run: Run, report: dict[str, Any]) -> dict[str, Any]:
    """For the report: the verdict; where it cannot be computed, a sentence that says so."""
    try:
        signs = _find_gaming(run)
        answered = predictions.read(run.folder)
        details = detail_scores.build_report(answered) if answered else {}
        result = verdict.judge(answered, report | signs, run.plan)
        return {**signs, **details, "verdict": result.to_json()}
    except Exception as error:  # the result is complete without it
        traceback.print_exception(error)
        return {"verdict_fault": FAULT.format(error=f"{error!r:.200}", run=run.id[:8]).to_json()}


def _monitor_factory(
    run: Run, monitors: list[StageMonitor], pause: Pause | None, budget: Budget | None
) -> run_setup.CreateMonitor:
    """A function that makes the callback of a stage, and appends it to `monitors`."""

    def create_monitor(stage: str, model: Any, measure: Callable[[], Scores] | None) -> StageMonitor:
        from studio.training import callback, ranked_monitor  # noqa: PLC0415 - loads torch

        kind = ranked_monitor.LeadingMonitor if ranks.count() > 1 else callback.MonitorCallback
        monitor: StageMonitor = kind(run, stage, model, measure, pause, budget)
        monitors.append(monitor)
        return monitor

    return create_monitor


def _record_usage(run: Run, usage: Mapping[str, Any], seconds_saved: float, is_complete: bool) -> None:
    """Note what the run took, so that later estimates learn from it.

    An estimate is for the full length, so a run that ended early counts as if it had gone on at its pace.
    """
    minutes = (usage["seconds"] - usage["fetch_seconds"] + seconds_saved) / 60
    is_shared = (run.folder / run_queue.SHARED_FILE).exists()
    was_busy = is_shared or usage.get("core_share", 1) < history.MIN_CORE_SHARE
    history.add_entry(run, minutes, usage["peak_memory_gb"], is_complete, was_busy=was_busy)


def record_usage_of_report(run: Run) -> None:
    """Note what a run took that trained elsewhere, by the report that came back."""
    report = runs.report(run)
    if {"seconds", "fetch_seconds", "peak_memory_gb"} <= report.keys():
        is_complete = not (report.get("resumed") or report.get("stopped"))
        _record_usage(run, report, float(report.get("seconds_saved") or 0), is_complete)


def _evaluate_base(run: Run, context: TrainingContext, budget: Budget | None) -> "Evaluation":
    """What the base model makes of the held-out rows; a run that goes on has saved it.

    What was attached takes time, and may change the outputs untrained (soft prompts, LoftQ), so the base is
    measured without it.
    """
    from studio.data import collate  # noqa: PLC0415 - loads torch
    from studio.models import trainable  # noqa: PLC0415
    from studio.training import evaluation  # noqa: PLC0415

    saved_path = run.folder / run_setup.BASE_EVALUATION_FILE
    if saved_path.is_file():
        return evaluation.load(saved_path)
    runs.set_status(run, "evaluating", "before")
    started_at = time.monotonic()
    model = context.model.get_base_model() if collate.get_prompt_config(context.model) else context.model
    starts_changed = context.settings.get("init_lora_weights") == "loftq"
    # A classifier's new head is PEFT's too.
    has_adapter = hasattr(model, "disable_adapter") and (starts_changed or context.plan.task != "classify")
    with trainable.without_adapter(model) if has_adapter else nullcontext():
        base = evaluation.evaluate_base(context, model, _report_questions(run))
        retention.measure_base(run, context, model)
    saved_path.parent.mkdir(exist_ok=True)
    evaluation.save(base, saved_path)
    if budget:
        budget.evaluation_seconds = time.monotonic() - started_at
        budget.write_use(run)
    return base


def _start_from_linear_fit(run: Run, context: TrainingContext) -> "Evaluation":
    """Fit a classifier's head to the base's embeddings: what it makes of the held-out rows.

    Empty for other tasks.
    """
    from studio.training import evaluation  # noqa: PLC0415 - loads torch

    if context.plan.task != "classify":
        return evaluation.Evaluation()
    from studio.methods.training import linear_head  # noqa: PLC0415

    runs.set_status(run, "preparing", "linear")
    takes_steps = methods.get(run.plan.method.name).takes_steps(context.settings)
    measured = linear_head.start(context, evaluation.scored_rows(context), keeps_head=takes_steps)
    rows = evaluation.answered_examples(context)
    return evaluation.Evaluation(measured.scores, evaluation.place_outcomes(context, measured, rows))


def _evaluate_tuned(run: Run, context: TrainingContext, model: Any, best_step: int) -> "Evaluation":
    from studio.training import evaluation  # noqa: PLC0415 - loads torch
    from studio.training.callback import as_point  # noqa: PLC0415

    tuned = evaluation.evaluate_tuned(context, model, _report_questions(run))
    point = as_point(tuned.scores, evaluation.scored_split(context))
    runs.add_point(run, "after", best_step, 0.0, **point)
    return tuned


def _report_questions(run: Run) -> Callable[[int, int], None]:
    """A callback that shows how many held-out questions have been answered.

    Not context.report_progress, which raises: a run that was stopped is still evaluated.
    """

    def on_progress(done: int, total: int) -> None:
        runs.set_status(run, "evaluating", "asking", step=done, steps=total)

    return on_progress


def _train(
    run: Run, method: Method, context: TrainingContext, monitors: list[StageMonitor]
) -> tuple[Any, Exception | None]:
    """Train.

    Returns:
        The trained model, and None. Where a training with one stage and one rank broke off after a validation
        that was better than the base: the model of the best validation, which is saved first, and the error.
    """
    stages = method.list_stages(run.plan.method.settings, run.plan.task)
    runs.set_status(run, "training", stages[0])
    try:
        return method.train(context), None
    except StopRequested:
        raise
    except Exception as error:
        if len(method.stages) > 1 or not monitors or not monitors[0].best_step or ranks.count() > 1:
            raise
        monitors[0].restore()
        return method.finish(context.model), error


def _save_result(run: Run, context: TrainingContext, model: Any, fetched: FetchedModel) -> str:
    """Save what was trained with the tokenizer, as a draft until it is complete. Returns the checksum."""
    from studio.models import head, load  # noqa: PLC0415 - loads torch

    if context.scale:
        head.fold_scale(model, context.scale.mean, context.scale.deviation)
    trainable_bytes = sum(
        parameter.numel() * parameter.element_size()
        for parameter in model.parameters()
        if parameter.requires_grad
    )
    require_disk_space(run.folder, trainable_bytes)
    checksum = load.fingerprint(model)
    draft = run.folder / ".model"
    shutil.rmtree(draft, ignore_errors=True)
    methods.get(run.plan.method.name).save(model, draft, fetched.hub)
    context.tokenizer.save_pretrained(draft)
    shutil.rmtree(run.model, ignore_errors=True)
    draft.rename(run.model)
    return checksum


def _stop_on_sigterm(run_id: str) -> None:
    """Let a polite end (shutdown, logout, a container's stop) keep what was learned, as Stop does."""
    stop_file = runs.get(run_id).stop_file
    signal.signal(signal.SIGTERM, lambda *_: stop_file.touch())


def main() -> int:
    """The worker process: `python -m studio.training.worker RUN`. Returns exit code 1 after a failure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    parser.add_argument("--pause-after", type=int, default=0, help="validations after which it pauses")
    parser.add_argument("--events-from", type=int, default=-1, help="print events, numbered from here")
    parser.add_argument("--pause-seconds", type=float, default=0.0, help="seconds after which it pauses")
    options = parser.parse_args()
    pause = Pause(options.pause_after, options.pause_seconds) if options.pause_seconds else None
    is_elsewhere = options.events_from >= 0
    try:
        if is_elsewhere:
            (runs.get(options.run).folder / file_list.LIST_FILE).unlink(missing_ok=True)
            events.print_events(runs.get(options.run), options.events_from, sys.stdout)
            sys.stdout = sys.stderr  # what libraries print comes between no events
        _stop_on_sigterm(options.run)
        run(options.run, before_start=limit_memory, pause=pause)
    except StudioError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except Exception as error:
        traceback.print_exception(error)
        return 1
    finally:
        if is_elsewhere:
            with suppress(StudioError, OSError):  # no run, or a full disk: that has been told
                file_list.write(runs.get(options.run).folder)
        gc.collect()
    return 0


if __name__ == "__main__":
    sys.exit(main())
