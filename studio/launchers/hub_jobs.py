"""Hugging Face Jobs: a machine by the minute, and a private repository for the data and the result."""

import dataclasses
import math
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from functools import cached_property, lru_cache
from pathlib import Path

from huggingface_hub import HfApi, JobStage, constants, snapshot_download
from huggingface_hub.errors import (
    HfHubHTTPError,
    HTTPError,
    LocalEntryNotFoundError,
    OfflineModeIsEnabled,
)

from studio import credentials
from studio.errors import NotPossible, StudioError
from studio.estimate.estimate_one import minutes_before_start
from studio.estimate.machines.catalogue import Machine, Source
from studio.hub import account, push
from studio.hub.account import Account
from studio.hub.push import Upload
from studio.hub.refusals import CONNECT, NO_NETWORK, HubBusy, HubRefused, explain_response
from studio.i18n import Message
from studio.launchers import bundle, record
from studio.launchers.spec import ConnectionLost, Job, JobLost, JobStatus, LauncherRefused, StageProgress
from studio.plan import Plan
from studio.runs import Run

# The image in which huggingface_hub runs its own uv jobs (huggingface_hub/_jobs_api.py: DEFAULT_UV_IMAGE).
IMAGE = "ghcr.io/astral-sh/uv:python3.12-bookworm"
BOOTSTRAP = Path(__file__).parent / "bootstrap.py"
BUNDLE_FOLDER, RESULT_FOLDER, STOP_FILE = "bundle", "result", "stop"
RUN_LABEL, SEQ_LABEL = "studio-run", "studio-seq"
# The minutes that a job gets beyond those of its training: the studio is installed, the model fetched, the
# result uploaded. How many are expected says estimate_one.minutes_before_start.
MAX_SETUP_MINUTES = 20.0
# So long before the hub ends the job the training ends itself, and its result is uploaded; no more than this
# share of a short job.
MAX_UPLOAD_MINUTES, UPLOAD_SHARE = 16.0, 0.25
# A cap on money has to pay so many times what comes before the training, or too little is left of it.
MIN_STARTS = 2
# A run without a cap of its own gets this many times its longest estimate, and no less than this.
CAP_FACTOR, MIN_CAP_MINUTES, UNKNOWN_CAP_MINUTES = 2.0, 10.0, 60.0
LAST_STAGES = (JobStage.COMPLETED, JobStage.CANCELED, JobStage.ERROR, JobStage.DELETED)
API_SAYS = "Hugging Face Jobs, by its API"
CONTENT = Message("the run “{name}” with its data, for a job")
NO_JOB = Message("Hugging Face no longer knows the job of this run.")
SUBMIT_AGAIN = Message("Resume the run: it is submitted again.")
CANCELED = Message("The job was cancelled at Hugging Face.")
ENDED_BADLY = Message("Hugging Face ended the job: {why}")
OTHER_ACCOUNT = Message("The run is one of “{owner}”, and this machine has a token of “{account}”.")
USE_THAT_ACCOUNT = Message("Use a token of “{owner}” (`hf auth login`), and try again.")
CAP_TOO_SMALL = Message(
    "A money cap of {limit:g} {currency} leaves {minutes:.0f} min at “{machine}”, and starting it and "
    "installing the studio take about {setup:.0f} of them."
)
RAISE_CAP = Message("Allow {least:.2f} {currency} more, or choose a machine that costs less.")


class JobsLauncher:
    """Trains in a job of Hugging Face, with the login of this machine."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    @cached_property
    def _person(self) -> Account:
        """Whose token this machine has, asked once."""
        return account.sign_in(credentials.hub_token())

    def _require(self, owner: str) -> Account:
        """The person, who has to be the run's owner: to another account it looks as if there were no job.

        Args:
            owner: The name of the account; empty where it is not known.
        """
        if owner and owner != self._person.name:
            raise LauncherRefused(OTHER_ACCOUNT, USE_THAT_ACCOUNT, owner=owner, account=self._person.name)
        return self._person

    def submit(self, run: Run, first_seq: int, on_progress: StageProgress) -> Job:
        """Upload run and studio to a private repository and start a job, unless one is there."""
        agreed = record.read(run)
        max_minutes = math.ceil(agreed.max_minutes)
        with _hub_errors():
            person = self._require(agreed.account)
            repo = _repo_name(person, run)
            job = {"namespace": person.name, "repo": repo}
            if running := self._find_job(person, run, first_seq):
                return job | {"id": running}
            on_progress("send", 0, 0)
            self._upload(run, repo, person)
            on_progress("machine", 0, 0)
            program = BOOTSTRAP.read_text(encoding="utf-8")
            info = person.api.run_job(
                image=IMAGE,
                command=["python", "-c", program, *self._arguments(repo, run, first_seq), str(max_minutes)],
                env=_hub_environment(person),
                secrets={"HF_TOKEN": str(person.api.token)},
                flavor=self.machine.job,
                timeout=f"{max_minutes}m",
                labels={RUN_LABEL: run.id, SEQ_LABEL: str(first_seq)},
                namespace=person.name,
            )
        return job | {"id": info.id}

    def _arguments(self, repo: str, run: Run, first_seq: int) -> list[str]:
        requirement = next(line for line in bundle.requirements() if line.startswith("huggingface-hub"))
        return [repo, run.id, str(first_seq), requirement]

    def _find_job(self, person: Account, run: Run, first_seq: int | None = None) -> str:
        """The id of a job of this run that has not ended, or else of the one whose first event this is."""
        jobs = list(person.api.list_jobs(labels={RUN_LABEL: run.id}, namespace=person.name))
        matching = [info for info in jobs if info.status.stage not in LAST_STAGES]
        matching += [info for info in jobs if (info.labels or {}).get(SEQ_LABEL) == str(first_seq)]
        return matching[0].id if matching else ""

    def _upload(self, run: Run, repo: str, person: Account) -> None:
        folder = bundle.remote_folder() / run.id
        bundle.remove(folder)
        bundle.write_run(run, folder / BUNDLE_FOLDER / "run", run.plan)
        shutil.copytree(bundle.write_code(), folder / BUNDLE_FOLDER / "studio")
        bundle.write_price(run, self.machine, folder / BUNDLE_FOLDER)
        prepared = Upload(folder, CONTENT.format(name=run.plan.name), repo, "dataset")
        push.create(prepared, person)
        push.require_private(prepared, person)
        # What an earlier job was told and has left is not taken for this one's.
        person.api.delete_files(repo, [STOP_FILE, f"{RESULT_FOLDER}/*"], repo_type="dataset")
        push.send_files(prepared, prepared.files, person)
        bundle.remove(folder)

    def events(self, job: Job) -> Iterator[str]:
        """The lines of the job's log, from the first, until it has ended."""
        with _hub_errors():
            yield from self._require(job["namespace"]).api.fetch_job_logs(
                job_id=job["id"], namespace=job["namespace"], follow=True
            )

    def status(self, job: Job) -> JobStatus:
        """Where the hub says that the job stands."""
        with _hub_errors():
            api = self._require(job["namespace"]).api
            status = api.inspect_job(job_id=job["id"], namespace=job["namespace"]).status
        if status.stage == JobStage.SCHEDULING:
            return JobStatus("waiting")
        if status.stage not in LAST_STAGES:
            return JobStatus("running")
        message = CANCELED if status.stage == JobStage.CANCELED else None
        if status.stage in (JobStage.ERROR, JobStage.DELETED):
            message = ENDED_BADLY.format(why=str(status.message or status.stage)[:300])
        return JobStatus("ended", message)

    def cancel(self, job: Job, at_once: bool = False) -> None:
        """Leave the wish to stop in the repository; a job that has not begun, or at once, is cancelled."""
        with _hub_errors():
            api = self._require(job["namespace"]).api
            if at_once or self.status(job).state == "waiting":
                api.cancel_job(job_id=job["id"], namespace=job["namespace"])
                return
            api.upload_file(
                path_or_fileobj=b"stop\n", path_in_repo=STOP_FILE, repo_id=job["repo"], repo_type="dataset"
            )

    def fetch(self, job: Job, folder: Path) -> None:
        """Download the result, if there is one; files that have arrived are not fetched again."""
        draft = folder / ".download"
        with _hub_errors():
            person = self._require(job["namespace"])
            info = person.api.dataset_info(job["repo"])
            snapshot_download(
                job["repo"],
                repo_type="dataset",
                revision=info.sha,
                allow_patterns=f"{RESULT_FOLDER}/**",
                local_dir=draft,
                token=person.api.token,
                endpoint=person.api.endpoint,
            )
        names = [file.rfilename for file in info.siblings or ()]
        # Where the client gets no list of files, it takes what has arrived for all of them.
        if not all((draft / name).is_file() for name in names if name.startswith(f"{RESULT_FOLDER}/")):
            raise ConnectionLost(NO_NETWORK, CONNECT)
        for path in (draft / RESULT_FOLDER).glob("*"):
            shutil.move(path, folder / path.name)
        shutil.rmtree(draft, ignore_errors=True)

    def remove(self, job: Job) -> None:
        """Delete the repository with data and result."""
        with _hub_errors():
            self._require(job["namespace"]).api.delete_repo(job["repo"], repo_type="dataset", missing_ok=True)

    def discard(self, run: Run, job: Job, keep: bool) -> None:
        """Cancel the run's job; unless `keep`, delete the repository with data and result."""
        with _hub_errors():
            person = self._require(job.get("namespace") or record.read(run).account)
            if job_id := self._find_job(person, run):
                person.api.cancel_job(job_id=job_id, namespace=person.name)
            if not keep:
                person.api.delete_repo(_repo_name(person, run), repo_type="dataset", missing_ok=True)


def _repo_name(person: Account, run: Run) -> str:
    """The private repository of a run."""
    return person.full_name(f"studio-run-{run.id[:12]}")


@contextmanager
def _hub_errors() -> Iterator[None]:
    """Turn what the hub's client raises into ConnectionLost, JobLost or LauncherRefused."""
    try:
        yield
    except HubRefused as error:
        raise _as_launcher_error(error) from None
    except HfHubHTTPError as error:
        if error.response.status_code == 404:
            raise JobLost(NO_JOB, SUBMIT_AGAIN) from None
        raise _as_launcher_error(explain_response(error, "jobs")) from None
    # LocalEntryNotFoundError: a download broke off, or could not begin.
    except (OfflineModeIsEnabled, HTTPError, LocalEntryNotFoundError, ConnectionError, TimeoutError):
        raise ConnectionLost(NO_NETWORK, CONNECT) from None


def _as_launcher_error(error: HubRefused) -> StudioError:
    kind = ConnectionLost if isinstance(error, HubBusy) else LauncherRefused
    return kind(error.message, error.hint)


def is_stop_wished(api: HfApi, repo: str) -> bool:
    """Whether the wish to stop lies in a run's repository."""
    return bool(api.get_paths_info(repo, [STOP_FILE], repo_type="dataset"))


def _hub_environment(person: Account) -> dict[str, str]:
    """What the job has to know of this hub: its address, where it is not the usual one."""
    return {"HF_ENDPOINT": str(person.api.endpoint), "HF_HUB_DISABLE_TELEMETRY": "1"}


def upload_minutes(max_minutes: float) -> float:
    """How long before the hub ends a job of so many minutes the training ends itself."""
    return min(MAX_UPLOAD_MINUTES, UPLOAD_SHARE * max_minutes)


def with_cap(plan: Plan, max_minutes: float, used_minutes: float) -> Plan:
    """The plan with a cap that ends the training, with its result, before the hub ends the job.

    Args:
        plan: The plan, whose own cap counts where it is smaller.
        max_minutes: After how many minutes the hub ends the job, counted from its start.
        used_minutes: How many of them are gone, less those that earlier jobs of the run have trained for: its
            caps count on from there.
    """
    cap_minutes = max(1.0, max_minutes - upload_minutes(max_minutes) - used_minutes)
    training = plan.training
    if training.max_minutes is not None:
        cap_minutes = min(cap_minutes, training.max_minutes)
    return plan.model_copy(update={"training": training.model_copy(update={"max_minutes": cap_minutes})})


def choose_max_minutes(
    plan: Plan, longest_minutes: float | None, machine: Machine, used_minutes: float = 0.0
) -> float:
    """After how many minutes the hub ends the job: it costs no more than the plan's `max_money`.

    Args:
        plan: The plan, whose own caps count if it has any.
        longest_minutes: The high end of the estimate; None without one.
        machine: The machine, at the price that counts.
        used_minutes: How long the run has trained so far: its caps count on from there.

    Raises:
        NotPossible: The money pays for little more than starting the machine.
    """
    training = plan.training
    if training.max_minutes is not None:
        cap_minutes = max(0.0, training.max_minutes - used_minutes)
    elif longest_minutes is None:
        cap_minutes = UNKNOWN_CAP_MINUTES
    else:
        cap_minutes = max(MIN_CAP_MINUTES, CAP_FACTOR * longest_minutes)
    max_minutes = math.ceil(cap_minutes + MAX_SETUP_MINUTES)
    if training.max_money is not None and machine.price_per_hour:
        max_minutes = min(max_minutes, _paid_minutes(training.max_money, machine, used_minutes))
    return float(max_minutes)


def _paid_minutes(max_money: float, machine: Machine, used_minutes: float) -> int:
    """How many minutes a cap on money pays, less those of earlier jobs of the run.

    Raises:
        NotPossible: Too few are left to train.
    """
    setup_minutes = minutes_before_start(machine)
    gone_minutes = used_minutes + setup_minutes if used_minutes else 0.0
    per_minute = (machine.price_per_hour or 0.0) / 60
    minutes = round(max_money / per_minute - gone_minutes, 6)
    missing_minutes = MIN_STARTS * setup_minutes - minutes
    if missing_minutes > 0:
        values = {"limit": max_money, "minutes": max(0.0, minutes), "setup": setup_minutes}
        least = math.ceil(100 * missing_minutes * per_minute) / 100
        names = {"machine": machine.name, "currency": machine.currency}
        raise NotPossible(CAP_TOO_SMALL, RAISE_CAP, least=least, **values, **names)
    return math.floor(minutes)


def current_price(machine: Machine) -> Machine:
    """The machine at the price that the hub names today; as the catalogue has it where it does not answer."""
    per_hour = _api_prices(date.today()).get(machine.job)
    if per_hour is None:
        return machine
    source = Source(said=API_SAYS, date=date.today(), quality="cited")
    return dataclasses.replace(
        machine, price_per_hour=per_hour, currency="USD", billed="minute", price_source=source
    )


@lru_cache(maxsize=1)
def _prices_of(endpoint: str, today: date) -> dict[str, float]:
    """Dollars an hour by the hub's names of its hardware, asked once a day."""
    hours = {"minute": 60.0, "hour": 1.0, "second": 3600.0}
    hardware = HfApi(endpoint=endpoint, token=False).list_jobs_hardware()
    return {
        item.name: item.unit_cost_usd * hours[item.unit_label]
        for item in hardware
        if item.unit_label in hours
    }


def _api_prices(today: date) -> dict[str, float]:
    """As `_prices_of`; empty where the hub does not answer."""
    try:
        return _prices_of(constants.ENDPOINT, today)
    except (HfHubHTTPError, HTTPError, OSError, KeyError):
        return {}
