"""Add what an adapter learned into the base model's own matrices, so that the result opens on its own."""

import json
from pathlib import Path

from studio import methods, runs
from studio.errors import NotPossible
from studio.home import check_room
from studio.models import fetch, load
from studio.runs import Run
from studio.words import Words


def merge(run: Run, folder: Path) -> None:
    """Write the base with the change merged in, and its tokenizer, as safetensors."""
    plan, report = run.plan, runs.report(run)
    method = methods.get(plan.method.name)
    base = load.base(fetch.fetch(plan.model).folder, plan.task, report["labels"], plan.training.seed, method.weights == "nf4")
    have = load.fingerprint(base)
    if have != report["base"]["checksum"]:
        raise NotPossible(
            Words(
                "The base model on this machine is not the one the run was trained on ({have} instead of {wanted}).",
                "这台机器上的基础模型不是训练所用的那个（{have}，应为 {wanted}）。",
            ),
            Words("Take the adapter home instead, or train again on the present weights.", "请改为下载 adapter，或用当前权重重新训练。"),
            have=have,
            wanted=report["base"]["checksum"],
        )
    check_room(folder.parent, load.numbers(base) * load.dtype().itemsize)
    whole = method.merge(base, run.model)
    whole.save_pretrained(folder)
    load.tokenizer(run.model).save_pretrained(folder)
    index = folder / "config.json"
    config = json.loads(index.read_text(encoding="utf-8"))
    index.write_text(json.dumps(config | {"_name_or_path": report["base"]["hub"]}, indent=1) + "\n", encoding="utf-8")
