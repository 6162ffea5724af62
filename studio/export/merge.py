"""Merge what an adapter learned into the base model's own matrices, so that the result opens on its own."""

import json
from pathlib import Path
from typing import Any

import torch

from studio import methods, runs
from studio.errors import NotPossible, StudioError
from studio.evaluate import answers
from studio.export.usage import public_base_name
from studio.i18n import Message
from studio.models import device, fetch, load
from studio.runs import Run
from studio.storage import require_disk_space

NOT_PLAIN = Message("The merged model is not an ordinary one: it has other parts, or lacks some ({names}).")
REPORT_FAULT = Message("Take the adapter home instead, and report this fault of the studio.")


def save_merged_model(run: Run, folder: Path) -> None:
    """Write the base with what was learned merged in, and its tokenizer, as safetensors.

    Raises:
        NotPossible: The base model here is not the one the run was trained on.
        OutOfDiskSpace: The disk has not enough space.
    """
    report = runs.complete_report(run)
    base_model = load_base(run)
    base_model.config.problem_type = report.get("problem_type")
    require_disk_space(folder.parent, load.count_parameters(base_model) * device.weights_dtype().itemsize)
    merged = methods.get(run.plan.method.name).merge(base_model, run.model)
    require_plain(merged)
    tokenizer = load.tokenizer(run.model)
    answers.declare_stop_tokens(merged, tokenizer, run.plan.task)
    merged.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    config_path = folder / "config.json"
    config = json.loads(config_path.read_text(encoding="utf-8"))
    config_path.write_text(
        json.dumps(config | {"_name_or_path": public_base_name(report)}, indent=1) + "\n", encoding="utf-8"
    )


def load_base(run: Run) -> Any:
    """The base model of a run as it was before the training.

    Raises:
        NotPossible: The base model here is not the one the run was trained on.
    """
    plan, report = run.plan, runs.complete_report(run)
    method = methods.get(plan.method.name)
    base_model = load.base_model(
        fetch.fetch(plan.model).folder,
        plan.task,
        report["labels"],
        plan.training.seed,
        load.WeightStorage(in_4_bits=method.weights == "nf4"),
        reads_pooling=report["base"].get("architecture") == "PooledClassifier",
    )
    trained_on = report["base"]["checksum"]
    checksum = load.fingerprint(base_model, trained_on)
    if checksum != trained_on:
        raise NotPossible(
            Message(
                "The base model on this machine is not the one the run was trained on ({have} instead of "
                "{wanted})."
            ),
            Message("Take the adapter home instead, or train again on the present weights."),
            have=checksum,
            wanted=trained_on,
        )
    return base_model


def require_plain(model: Any) -> None:
    """Refuse a model whose tensors are not those of its class: what reads the file would drop the others.

    Raises:
        StudioError: With the names that the class does not know, or misses.
    """
    with torch.device("meta"):
        plain_model = type(model)(model.config)
    surprising = model.state_dict().keys() ^ plain_model.state_dict().keys()
    if surprising:
        raise StudioError(NOT_PLAIN, REPORT_FAULT, names=sorted(surprising)[:4])
