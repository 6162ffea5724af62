"""What this machine knows of a run that trains elsewhere: what was agreed to, its job, the events read."""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from studio.launchers.spec import Job
from studio.runs import REMOTE_FILE, Run
from studio.storage import read_json, write_json


@dataclass(frozen=True)
class Record:
    """The file `remote.json` of a run.

    Attributes:
        machine: The name of the machine, for people.
        agreed: Whether a person has agreed to what a run there comes to; once it is sent, no longer.
        keep: Whether what lies there stays once the result is here.
        account: The account at the machine under which it was agreed to; empty where there are none.
        price: The price that was agreed to (per_hour, currency, billed); empty where none is known.
        max_minutes: The machine ends the job after so many; 0 for no such limit.
        sent: Whether something may lie there that is to be deleted once the result is here.
        undeleted: Whether it was to be deleted and could not be: that is tried again.
        asked: Whether the machine was asked to start a job, and its answer is not here: one may be there.
        job: The job while there is one; empty before it is submitted and once its result is here.
        next_seq: The number of the next event; those below it have been written into the run's folder.
        log_lines: How many lines of the job's log that are no events have been copied.
        submitted: When the job was submitted (seconds since 1970); 0 for never.
        first_event_seconds: How long after that its first event came; 0 where none has.
    """

    machine: str = ""
    agreed: bool = False
    keep: bool = False
    account: str = ""
    price: dict[str, Any] = field(default_factory=dict)
    max_minutes: float = 0.0
    sent: bool = False
    undeleted: bool = False
    asked: bool = False
    job: Job = field(default_factory=dict)
    next_seq: int = 0
    log_lines: int = 0
    submitted: float = 0.0
    first_event_seconds: float = 0.0

    @property
    def has_left(self) -> bool:
        """Whether a job or rows of the run may be there that nobody wants once the run is given up."""
        return self.sent or bool(self.job)

    def write(self, run: Run, **changes: Any) -> "Record":
        """Write the record with these changes, and return it."""
        changed = replace(self, **changes)
        write_json(run.folder / REMOTE_FILE, asdict(changed))
        return changed


def read(run: Run) -> Record:
    """The record of a run; an empty one where there is none."""
    raw = read_json(run.folder / REMOTE_FILE)
    return Record(**{item.name: raw[item.name] for item in fields(Record) if item.name in raw})
