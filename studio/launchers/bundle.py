"""What travels: the studio itself, a run on its way out, and its result on the way back."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import yaml
from filelock import FileLock

from studio import plan as plans
from studio import presets, runs
from studio.errors import StudioError
from studio.estimate.estimate_one import minutes_before_start
from studio.estimate.machines.catalogue import LOCAL_ID, Machine
from studio.hub import space_bundle
from studio.i18n import Message
from studio.launchers import record
from studio.models import fetch
from studio.plan import Plan
from studio.runs import Run
from studio.storage import SEAL, home, read_json, write_json, write_sealed_json, write_text
from studio.training import caps, file_list

# What of a run's folder a worker elsewhere needs: to begin, and to go on.
SENT = (
    *("format.json", "status.json", "metrics.jsonl", "estimate.json", "notes.json", "use.json"),
    "earlier.json",
    *("contender", "data", "checkpoints", "stages"),
)
# Where a base model that is a folder of this machine travels, within the run.
BASE_FOLDER = "base"
CODE_LOCK_FILE = ".studio.lock"
NOT_A_RUN = Message(
    "What came back from “{machine}” is no run's folder: {path} is a link or leads elsewhere."
)
USE_NOTHING = Message("Nothing of it was used. Look at the machine before you train there again.")


def remote_folder() -> Path:
    """Where what travels is put together; the page hands out nothing of it."""
    folder = home() / "remote"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


def write_code() -> Path:
    """The studio as a folder with its requirements, once for each state of its files, as its name says."""
    sources = [
        path
        for root in (space_bundle.PACKAGE, presets.FOLDER, presets.ASSETS)
        for path in sorted(root.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    ]
    versions = [f"{path}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in sources]
    digest = hashlib.sha256("\n".join(versions).encode()).hexdigest()[:12]
    folder = remote_folder() / f"studio-{digest}"
    with FileLock(remote_folder() / CODE_LOCK_FILE):  # several runs may leave at once
        if not folder.is_dir():
            draft = remote_folder() / f".draft-{digest}"
            shutil.rmtree(draft, ignore_errors=True)
            space_bundle.write(draft)
            write_text(draft / space_bundle.REQUIREMENTS_FILE, "\n".join(requirements()) + "\n")
            draft.rename(folder)
    return folder


def requirements() -> list[str]:
    """What a worker installs: what the studio needs, without what draws its page."""
    required, _ = space_bundle.read_project()
    return sorted(line for line in required if not line.startswith(("gradio", "plotly")))


def write_run(run: Run, folder: Path, plan: Plan) -> None:
    """Write what a worker elsewhere needs of a run into a new folder, with the plan as it goes on there.

    A base model that is a folder travels along, and the plan names it relative to the run.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in SENT:
        source = run.folder / name
        if source.is_dir():
            shutil.copytree(source, folder / name)
        elif source.is_file():
            shutil.copyfile(source, folder / name)
    changes: dict[str, Any] = {"where": "local"}
    if is_base_local(plan):
        changes["model"] = f"{BASE_FOLDER}/{Path(plan.model).name}"
        shutil.copytree(plan.model, folder / changes["model"])
    write_text(folder / "plan.yaml", plans.dump(plan.model_copy(update=changes)))


def remove(folder: Path) -> None:
    """Remove what was put together to travel, once it has."""
    shutil.rmtree(folder, ignore_errors=True)


def is_base_local(plan: Plan) -> bool:
    """Whether the plan's base model is a folder of this machine."""
    return plan.model not in presets.models() and Path(plan.model).is_dir()


def price_of(machine: Machine) -> dict[str, Any]:
    """The price of a machine, as it stands in a list of machines; empty where it is not known."""
    if machine.price_per_hour is None:
        return {}
    return {"per_hour": machine.price_per_hour, "currency": machine.currency, "billed": machine.billed}


def write_price(run: Run, machine: Machine, folder: Path) -> None:
    """Write the price that was agreed to where the worker there looks for its own, for a cap on money.

    The worker measures the fetching of the model itself, so only what comes before stands there.
    """
    price = record.read(run).price or price_of(machine)
    if not price:
        return
    row = {"start_minutes": minutes_before_start(machine), "price": price}
    text = yaml.safe_dump({"machines": {LOCAL_ID: row}})
    write_text(folder / "machines.yaml", text)


def read_end(folder: Path) -> runs.Status | None:
    """The status with which a run that came back has ended; None where it broke off."""
    try:
        status = runs.parse_status(read_json(folder / "status.json"))
    except (TypeError, ValueError, KeyError, AttributeError):
        return None
    return status if status.state in runs.ENDED_STATES else None


def is_whole(folder: Path, state: str) -> bool:
    """Whether what came back is that of the run's end in this state; where it is done, with report and model.

    What an earlier attempt has left there ends in the state of that attempt.
    """
    end = read_end(folder)
    has_result = (folder / "report.json").is_file() and (folder / "model").is_dir()
    return end is not None and end.state == state and (state != "done" or has_result)


def take_result(run: Run, folder: Path, machine: str) -> None:
    """Move what came back into the run's folder, its report last, and under the names of this machine.

    Raises:
        StudioError: It holds links, or what is no file.
    """
    for path in folder.rglob("*"):
        if path.is_symlink() or not (path.is_file() or path.is_dir()):
            raise StudioError(NOT_A_RUN, USE_NOTHING, machine=machine, path=path.name)
    _append_log(run, folder / "worker.log")
    entries = [path for path in folder.iterdir() if path.name not in file_list.NOT_RESULT]
    if not (folder / caps.USE_FILE).exists():  # its cap counts anew: what it had used came as it trained
        (run.folder / caps.USE_FILE).unlink(missing_ok=True)
    for path in sorted(entries, key=lambda entry: entry.name == "report.json"):
        target = run.folder / path.name
        if target.is_dir():
            shutil.rmtree(target)
        shutil.move(path, target)
    if runs.report(run) and runs.is_report_intact(run):
        _complete_report(run, machine)


def _append_log(run: Run, log: Path) -> None:
    if log.is_file():
        with (run.folder / "worker.log").open("ab") as file:
            file.write(log.read_bytes())


def _complete_report(run: Run, machine: str) -> None:
    """Note where the run trained, and name its base as it is called on this machine."""
    report: dict[str, Any] = json.loads((run.folder / "report.json").read_text(encoding="utf-8"))
    report.pop(SEAL, None)
    if is_base_local(run.plan) and "base" in report:
        fetched = fetch.fetch(run.plan.model)
        report["base"] |= {"hub": fetched.hub, "weights": fetched.note.to_json()}
        config_path = run.model / "adapter_config.json"
        if config := read_json(config_path):
            write_json(config_path, config | {"base_model_name_or_path": fetched.hub})
    write_sealed_json(run.folder / "report.json", report | {"trained_at": machine})
