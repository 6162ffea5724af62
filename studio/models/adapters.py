"""An adapter as a base model: its base is found, and and the two become one model to train.

An adapter is a folder with PEFT's adapter_config.json: one from elsewhere, an export, or what a run learned.
Which files they are is read without torch; only `merge` loads a model.
"""

import json
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from studio import presets
from studio.errors import ModelUnavailable
from studio.i18n import Message, parse_yaml
from studio.models.shape import list_labels
from studio.storage import home

CONFIG_FILE, WEIGHTS_FILE = "adapter_config.json", "adapter_model.safetensors"
# What stands before a text or between matrices, and so can become no part of them.
NOT_MERGEABLE = {
    "PREFIX_TUNING": Message("a prefix"),
    "PROMPT_TUNING": Message("a soft prompt"),
    "P_TUNING": Message("a soft prompt"),
    "BOTTLENECK": Message("bottleneck adapters"),
}
CANNOT_GO_ON = Message(
    "{folder} holds {kind}, which cannot become part of the base model's matrices, so no training goes on"
    " from it."
)
CANNOT_GO_ON_TO_DO = Message("Train longer from its own base, or train a LoRA, from which one can go on.")
NO_BASE = Message("{folder} holds an adapter whose base is not here: “{base}”.")
NO_BASE_TO_DO = Message("Fetch the base, or merge the adapter where both are, and name the merged folder.")
NO_ADAPTER_WEIGHTS = Message("{folder} holds an adapter's config, but not its weights ({file}).")
NO_ADAPTER_WEIGHTS_TO_DO = Message(
    "Copy the whole folder; weights as .bin are not opened, they can hold code."
)
DAMAGED = Message("The adapter's config in {folder} cannot be read.")
DAMAGED_TO_DO = Message("Copy the whole folder again.")
MERGED_NOTE = Message("the base {base} with the adapter in {folder} merged in")


@dataclass(frozen=True)
class Adapter:
    """An adapter on this machine.

    Attributes:
        folder: Where its files are.
        base: What it was trained on: a catalogue id, a hub id or a folder.
        name: What it is called on screen.
        is_classifier: Whether it sorts texts.
        labels: The names of its classes, in the order of its outputs; empty where nothing says them.
        in_4_bits: Whether it was trained on a base in 4 bits.
        is_pooled: Whether its head reads the mean of the tokens; None where that is for the base to say.
    """

    folder: Path
    base: str
    name: str
    is_classifier: bool
    labels: tuple[str, ...] = ()
    in_4_bits: bool = False
    is_pooled: bool | None = None

    def merged_folder(self) -> Path:
        """Where base and adapter are kept as one model: by the adapter's own content."""
        digest = sha256(str(self.folder).encode())
        for name in (CONFIG_FILE, WEIGHTS_FILE):
            digest.update((self.folder / name).read_bytes())
        return home() / "models" / f"merged-{digest.hexdigest()[:16]}"


def resolve_folder(folder: Path) -> Path:
    """The folder with the model: of a run's folder, what the run learned."""
    model_folder = folder / "model"
    has_own = any((folder / name).is_file() for name in ("config.json", CONFIG_FILE))
    return model_folder if not has_own and model_folder.is_dir() and _is_run(folder) else folder


def is_adapter(folder: Path) -> bool:
    """Whether a folder holds an adapter and no whole model."""
    is_whole = any(
        (folder / name).is_file() for name in ("model.safetensors", "model.safetensors.index.json")
    )
    return (folder / CONFIG_FILE).is_file() and not is_whole


def read(folder: Path) -> Adapter:
    """The adapter in a folder.

    Raises:
        ModelUnavailable: No training can go on from it.
    """
    try:
        config = dict(json.loads((folder / CONFIG_FILE).read_text(encoding="utf-8")))
        kind, base = str(config.get("peft_type")), str(config["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError):
        raise ModelUnavailable(DAMAGED, DAMAGED_TO_DO, folder=folder) from None
    if kind in NOT_MERGEABLE:
        raise ModelUnavailable(CANNOT_GO_ON, CANNOT_GO_ON_TO_DO, folder=folder, kind=NOT_MERGEABLE[kind])
    if not (folder / WEIGHTS_FILE).is_file():
        raise ModelUnavailable(NO_ADAPTER_WEIGHTS, NO_ADAPTER_WEIGHTS_TO_DO, folder=folder, file=WEIGHTS_FILE)
    plan, report = _read_run(folder.parent) if _is_run(folder.parent) else ({}, {})
    architecture = _section(report, "base").get("architecture")
    labels = report.get("labels") or list_labels(_read_json(folder / "config.json"))
    return Adapter(
        folder=folder,
        base=str(plan.get("model") or _catalogue_id(base)),
        name=str(plan.get("name") or folder.absolute().name),
        is_classifier=config.get("task_type") == "SEQ_CLS",
        labels=tuple(str(label) for label in labels),
        in_4_bits=_section(plan, "method").get("name") == "qlora",
        is_pooled=architecture == "PooledClassifier" if architecture else None,
    )


def _is_run(folder: Path) -> bool:
    return (folder / "plan.yaml").is_file() and (folder / "report.json").is_file()


def _read_run(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The plan and the report of a run, as they are on the disk; empty where they cannot be read."""
    try:
        text = (folder / "plan.yaml").read_text(encoding="utf-8")
        plan = parse_yaml(text)
    except (OSError, ValueError, yaml.YAMLError):
        plan = {}
    return plan if isinstance(plan, dict) else {}, _read_json(folder / "report.json")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return {}


def _section(fields: dict[str, Any], name: str) -> dict[str, Any]:
    section = fields.get(name)
    return section if isinstance(section, dict) else {}


def _catalogue_id(base: str) -> str:
    """The catalogue's name for a hub id; the name itself where the catalogue has none."""
    return next((card.id for card in presets.models().values() if card.hub == base), base)


def merge(adapter: Adapter, base_folder: Path, target: Path) -> None:
    """Write the base with an adapter merged in, and the adapter's tokenizer, as an ordinary model.

    Args:
        adapter: The adapter.
        base_folder: Its base model.
        target: A new folder.
    """
    from peft import PeftModel  # noqa: PLC0415 - loads torch

    from studio.models import load  # noqa: PLC0415 - loads torch

    labels = adapter.labels or tuple(f"LABEL_{index}" for index in range(_count_classes(adapter.folder)))
    base = load.base_model(
        base_folder,
        "classify" if adapter.is_classifier else "chat",
        labels if adapter.is_classifier else (),
        storage=load.WeightStorage(in_4_bits=adapter.in_4_bits),
        reads_pooling=adapter.is_pooled is not False,
    )
    if adapter.in_4_bits:
        base = base.dequantize()
    merged = unwrap_trained_copies(PeftModel.from_pretrained(base, adapter.folder).merge_and_unload())
    if adapter.in_4_bits:
        merged._weight_conversions = None  # transformers would try to write it in 4 bits again
    merged.save_pretrained(target)
    has_tokenizer = (adapter.folder / "tokenizer_config.json").is_file()
    load.tokenizer(adapter.folder if has_tokenizer else base_folder).save_pretrained(target)


def _count_classes(folder: Path) -> int:
    """The outputs of the head that an adapter brings along; 2 where it brings none."""
    from safetensors import safe_open  # noqa: PLC0415

    with safe_open(folder / WEIGHTS_FILE, "np") as file:
        for name in file.keys():  # noqa: SIM118 - no mapping
            if name.endswith(("classifier.weight", "score.weight", "out_proj.weight")):
                return int(file.get_slice(name).get_shape()[0])
    return 2


def unwrap_trained_copies(model: Any) -> Any:
    """Put trained copies of modules where they belong; PEFT's LN tuning leaves them beside the originals."""
    from peft.utils import ModulesToSaveWrapper  # noqa: PLC0415 - loads torch

    for path, module in list(model.named_modules()):
        if isinstance(module, ModulesToSaveWrapper):
            parent, _, name = path.rpartition(".")
            setattr(model.get_submodule(parent), name, module.modules_to_save[module.active_adapters[0]])
    return model
