"""Follows a run that trains elsewhere: submits it, writes its events into its folder, and brings it back.

It stands in for the worker on this machine, so that all that asks after a run works as ever. It outlives the
page; started again (Resume), it looks for the job there before it starts another.
"""

import argparse
import shutil
import sys
import threading
import time
import traceback
from dataclasses import replace
from pathlib import Path

from studio import launchers, runs
from studio.errors import SEE_WORKER_LOG, NotPossible, StudioError, explain
from studio.i18n import Message
from studio.launchers import bundle, record
from studio.launchers.record import Record
from studio.launchers.spec import ConnectionLost, Job, JobLost, JobStatus, Launcher
from studio.methods.spec import StopRequested
from studio.runs import Run, Status
from studio.training import events, file_list, queue, worker
from studio.training import setup as run_setup
from studio.training.events import Event

# How often the record of what was read is written, and how long a lost machine is left before it is asked.
RECORD_SECONDS = 1.0
FIRST_RETRY_SECONDS, MAX_RETRY_SECONDS = 2.0, 30.0
# A machine that is silent for so long is given up.
MAX_SILENCE_SECONDS = 86_400.0
# A worker that is to stop is ended after so many seconds of silence, or as many as it said it might need.
STOP_PATIENCE_SECONDS = 180.0
POLL_SECONDS = 0.5
# A result that does not arrive as its list says is fetched so often.
MAX_FETCHES = 3
RETRYING = Message("{why} The training may go on there. Trying again since {seconds:.0f} s.")
GONE = Message("The training at “{machine}” ended without a word: someone ended it, or it ran out of memory.")
RESUME_THERE = Message("Resume it: it goes on from its last checkpoint, if it has one.")
NO_RESULT = Message("The training at “{machine}” has ended well, but its result is not there.")
NOT_WHOLE = Message(
    "What came back from “{machine}” is not what lies there: {count} files, {name} among them."
)
FETCH_AGAIN = Message("All of it lies there still. Resume the run: it is fetched again.")
NOT_REMOVED = Message(
    "The result is here. What lies at “{machine}” could not be deleted: {why} It is tried again when the "
    "page starts and when the run is deleted."
)
CALLED_OFF = Message(
    "It was stopped before it began. What was sent to “{machine}” could not be deleted: {why} It is tried "
    "again when the page starts and when the run is deleted."
)
INSTALL_ENDED = Message(
    "It was stopped while the studio was installed at “{machine}”. Its installation there is ended; the next "
    "run there installs what is missing."
)
NOT_AGREED = Message("Nobody has agreed to train “{name}” at “{machine}”: its data would leave this machine.")
AGREE = Message("Start or resume it on the Train tab or with `studio train`, which ask first.")
NOT_STARTED = Message("Its start at “{machine}” was interrupted, and no job of it is there.")
SENDING_AGAIN = Message("{why} What is missing there is sent again. Trying since {seconds:.0f} s.")
STILL_THERE = Message("It may go on there. Resume the run to look for it.")


class _Follower:
    """One run on its way.

    Attributes:
        final: The status with which it has ended there.
        left: What lies there although it was to be deleted, as a sentence.
    """

    def __init__(self, run: Run, launcher: Launcher, saved: Record) -> None:
        self.run, self.launcher, self.record = run, launcher, saved
        self.final: Status | None = None
        self.left: Message | None = None
        self.job_status: JobStatus | None = None
        self._next_seq, self._log_lines = saved.next_seq, saved.log_lines
        self._n_log_lines_read = 0
        self._recorded_at = self._event_at = time.monotonic()
        self._lost_at, self._retry_seconds = 0.0, FIRST_RETRY_SECONDS
        self._may_start = saved.agreed

    def submit(self) -> None:
        """Start the worker there, unless it has been; one whose answer was lost is only looked for."""
        if self.record.job:
            return
        if not self.record.asked:
            if not self.record.agreed:
                raise NotPossible(NOT_AGREED, AGREE, name=self.run.plan.name, machine=self.run.plan.where)
            queue.raise_if_stopped(self.run)
        run_setup.prepare_data(self.run, self.run.plan)
        runs.set_status(self.run, "preparing", "send")
        submitted = time.time()
        job = self._submit()
        self._log_lines = 0
        self._write_record(job=job, asked=False, log_lines=0, submitted=submitted, first_event_seconds=0.0)
        runs.set_status(self.run, "preparing", "machine")

    def _submit(self) -> Job:
        """The job there; once the machine was asked to start one, a lost answer is asked for again."""
        may_run = self.record.asked
        while True:
            try:
                return self.launcher.submit(self.run, self._next_seq, self._show_progress)
            except ConnectionLost as error:
                if not self.record.asked:
                    raise
                may_run = True
                self._wait_for_machine(error, SENDING_AGAIN)
            except StudioError:
                if not may_run:
                    self._write_record(asked=False)
                raise
            queue.raise_if_stopped(self.run)

    def _show_progress(self, stage: str, done: int, total: int) -> None:
        """Say what happens before the worker starts; raises what keeps it from being started."""
        self._note_answer()
        queue.raise_if_stopped(self.run)
        if not self._may_start:
            self._write_record(asked=False)
            raise NotPossible(NOT_STARTED, AGREE, machine=self.record.machine)
        if not self.record.asked:
            self._write_record(sent=True, undeleted=False, asked=True, agreed=False)
        runs.set_status(self.run, "preparing", stage, step=done, steps=total)

    def read_events(self) -> None:
        """Write the events into the run's folder until the job ends; a lost connection is taken up again."""
        while True:
            try:
                self._n_log_lines_read = 0
                for line in self.launcher.events(self.record.job):
                    self._note_answer()
                    self._take_line(line)
                self.job_status = self.launcher.status(self.record.job)
                self._note_answer()
                if self.job_status.state == "ended":
                    break
            except ConnectionLost as error:
                self._wait_for_machine(error)
                continue
            time.sleep(POLL_SECONDS)
        self._write_record()

    def _take_line(self, line: str) -> None:
        event = events.parse(line)
        if event:
            self._take_event(event)
        elif line.strip():
            self._n_log_lines_read += 1
            if self._n_log_lines_read > self._log_lines:
                self._log_lines = self._n_log_lines_read
                self._append_to_log(line)
        if time.monotonic() - self._recorded_at > RECORD_SECONDS:
            self._write_record()

    def _take_event(self, event: Event) -> None:
        if event.seq < self._next_seq:
            return
        self._next_seq, self._event_at = event.seq + 1, time.monotonic()
        status = events.apply(self.run, event)
        if status and status.state in runs.ENDED_STATES:
            self.final = status  # its result is not here yet
        elif status:
            self._show(status)
        if not self.record.first_event_seconds:
            self._write_record(first_event_seconds=round(time.time() - self.record.submitted, 1))

    def _append_to_log(self, line: str) -> None:
        with (self.run.folder / "worker.log").open("a", encoding="utf-8") as log:
            log.write(line.rstrip("\n") + "\n")

    def _show(self, status: Status, message: Message | None = None) -> None:
        runs.set_status(
            self.run,
            status.state,
            status.stage,
            step=status.step,
            steps=status.steps,
            seconds_left=status.seconds_left,
            message=message or status.message,
            hint=status.hint,
            patience=status.patience,
            cause=status.cause,
        )

    def _note_answer(self) -> None:
        """The machine answers; how long its worker is silent counts anew from the end of an outage."""
        if self._lost_at:
            self._event_at = time.monotonic()
        self._lost_at, self._retry_seconds = 0.0, FIRST_RETRY_SECONDS

    def _wait_for_machine(self, error: ConnectionLost, retrying: Message = RETRYING) -> None:
        """Say that the machine is silent, and wait; raises StudioError once it is given up."""
        self._lost_at = self._lost_at or time.monotonic()
        silent_seconds = time.monotonic() - self._lost_at
        if silent_seconds > MAX_SILENCE_SECONDS:
            raise StudioError(error.message, STILL_THERE)
        status = runs.status(self.run)
        if status.state not in runs.ENDED_STATES:
            self._show(status, retrying.format(why=error.message, seconds=silent_seconds))
        time.sleep(self._retry_seconds)
        self._retry_seconds = min(2 * self._retry_seconds, MAX_RETRY_SECONDS)

    def pass_on_stop(self, has_ended: threading.Event) -> None:
        """In a thread: tell the machine once the run is to stop, and end a worker that does not."""
        told_at = 0.0
        while not has_ended.wait(POLL_SECONDS):
            if not self.run.stop_file.exists() or (told_at and not self._is_hanging(told_at)):
                continue
            try:
                self.launcher.cancel(self.record.job, at_once=told_at > 0)
                told_at = time.monotonic()
            except StudioError:  # asked again: the loop over the events says what is wrong
                has_ended.wait(FIRST_RETRY_SECONDS)

    def _is_hanging(self, told_at: float) -> bool:
        """Whether the worker does not stop; one that has ended may still be handing over its result."""
        if self.final or self._lost_at:
            return False
        patience = max(STOP_PATIENCE_SECONDS, runs.stored_status(self.run).patience)
        return time.monotonic() - max(told_at, self._event_at) > patience

    def bring_back(self) -> None:
        """Bring the run's folder here and take over what is the run's."""
        folder = bundle.remote_folder() / f"result-{self.run.id}"
        shutil.rmtree(folder, ignore_errors=True)
        self._fetch(folder)
        # A log may break off before its last line: the folder knows how the run has ended.
        self.final = self.final or bundle.read_end(folder)
        if self.final and self.final.state != "failed" and not bundle.is_whole(folder, self.final.state):
            message = NO_RESULT.format(machine=self.record.machine)
            self.final = replace(self.final, state="failed", message=message, hint=RESUME_THERE)
        bundle.take_result(self.run, folder, self.record.machine)
        shutil.rmtree(folder, ignore_errors=True)

    def _fetch(self, folder: Path) -> None:
        """Bring the run's folder here; what breaks off is taken up again, what is not whole fetched anew."""
        for _ in range(MAX_FETCHES):
            self._fetch_once(folder)
            damaged = file_list.find_damaged(folder)
            if not damaged:
                return
            shutil.rmtree(folder)
        values = {"machine": self.record.machine, "count": len(damaged), "name": damaged[0]}
        raise StudioError(NOT_WHOLE, FETCH_AGAIN, **values)

    def _fetch_once(self, folder: Path) -> None:
        while True:
            self._show_fetching()
            try:
                self.launcher.fetch(self.record.job, folder)
                return
            except ConnectionLost as error:
                self._wait_for_machine(error)

    def remove(self) -> None:
        """Delete what lies there, now that all of it is here, unless it is to stay."""
        if self.record.keep:
            return
        try:
            self.launcher.remove(self.record.job)
        except StudioError as error:
            self.left = NOT_REMOVED.format(machine=self.record.machine, why=error.message)

    def _show_fetching(self) -> None:
        status = self.final or runs.status(self.run)
        runs.set_status(self.run, "evaluating", "bring_back", step=status.step, steps=status.steps)

    def finish(self) -> None:
        """Set the status with which the run has ended; the job and what was agreed to are forgotten."""
        self._forget_deleted_job()
        if not self.final and self.run.stop_file.exists():
            runs.set_status(self.run, "stopped", "after", message=self.left)
            return
        if not self.final:
            reason = self.job_status.message if self.job_status else None
            message = reason or GONE.format(machine=self.record.machine)
            raise StudioError(_join(message, self.left), RESUME_THERE)
        if self.final.state != "failed":
            worker.record_usage_of_report(self.run)
        self._show(self.final, _join(self.final.message, self.left) if self.final.message else self.left)

    def call_off(self) -> None:
        """End a run that was stopped before its worker started: what was sent there is deleted."""
        was_installing = runs.stored_status(self.run).stage == "install"
        if self.record.has_left:
            try:
                self.launcher.discard(self.run, self.record.job, self.record.keep)
            except StudioError as error:
                self.left = CALLED_OFF.format(machine=self.record.machine, why=error.message)
        self._forget_deleted_job()
        installed = INSTALL_ENDED.format(machine=self.record.machine) if was_installing else None
        runs.set_status(self.run, "stopped", "before", message=self.left or installed)

    def _forget_deleted_job(self) -> None:
        """Let a resume submit the run again; what could not be deleted is noted."""
        self.forget_job(sent=self.left is not None, undeleted=self.left is not None)

    def forget_job(self, **changes: object) -> None:
        """Let a resume submit the run again, once that is agreed to, as another attempt than this one."""
        self._next_seq += 1
        self._write_record(job={}, asked=False, agreed=False, **changes)

    def _write_record(self, **changes: object) -> None:
        self._recorded_at = time.monotonic()
        counts = {"next_seq": self._next_seq, "log_lines": self._log_lines}
        self.record = self.record.write(self.run, **{**counts, **changes})


def _join(end: Message, left: Message | None) -> Message:
    """How a run has ended, and what lies there although it was to be deleted."""
    return launchers.END_AND_LEFT.format(end=end, left=left) if left else end


def follow(run_id: str) -> None:
    """Follow a run to its end; what goes wrong is written into its status.

    Raises:
        NotPossible: Another process follows it.
        StudioError: The machine refuses it, or is given up; in the status too.
    """
    run = runs.get(run_id)
    worker.claim(run)
    try:
        _follow(run)
    except BaseException as error:
        explained = explain(error, SEE_WORKER_LOG)
        status = runs.status(run)
        progress = {"step": status.step, "steps": status.steps}
        runs.set_status(
            run, "failed", status.stage, message=explained.message, hint=explained.hint, **progress
        )
        raise


def _follow(run: Run) -> None:
    machine = launchers.find_machine(run.plan.where)
    saved = record.read(run).write(run, machine=machine.name)
    follower = _Follower(run, launchers.create(machine), saved)
    try:
        follower.submit()
    except StopRequested:
        follower.call_off()
        return
    has_ended = threading.Event()
    stopper = threading.Thread(target=follower.pass_on_stop, args=(has_ended,), daemon=True)
    stopper.start()
    try:
        follower.read_events()
        follower.bring_back()
        follower.remove()
    except JobLost as error:
        follower.forget_job()
        if not run.stop_file.exists():
            raise
        runs.set_status(run, "stopped", "before", message=error.message, hint=error.hint)
        return
    finally:
        has_ended.set()
    follower.finish()


def main() -> int:
    """The process: `python -m studio.launchers.follower RUN`. Returns exit code 1 after a failure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("run")
    try:
        follow(parser.parse_args().run)
    except StudioError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except Exception as error:
        traceback.print_exception(error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
