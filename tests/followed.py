"""A run that is followed in a thread, while a test does something to it."""

import threading
import time
from contextlib import contextmanager

from studio import runs
from studio.launchers import follower, record
from studio.training import launcher


@contextmanager
def followed(run):
    """Follow a run in a thread; what it raised is appended to the list that is handed out."""
    errors = []

    def work():
        try:
            follower.follow(run.id)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield errors
    finally:
        thread.join(timeout=60)
        assert not thread.is_alive()


def wait_for(condition, seconds=30.0):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def steps(run):
    return [point["step"] for point in runs.read_points(run)]


def stop_once_trained(run):
    """Follow a run, and stop it when it has made its five steps; returns what it raised."""
    with followed(run) as errors:
        wait_for(lambda: len(steps(run)) == 5)
        launcher.stop(run)
    return errors


def resume(run):
    """Follow a run again, once a person has agreed; returns its end and the steps that have a point."""
    record.read(run).write(run, agreed=True)
    launcher.requeue(run)
    follower.follow(run.id)
    return runs.status(run).state, steps(run)
