"""What a run needs before it trains: its data split, its model loaded, its method attached."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from studio import methods, runs
from studio.data import keep, prepare, split
from studio.data.prepare import Example
from studio.data.split import Parts
from studio.errors import BadData, BadPlan
from studio.estimate import hardware
from studio.home import write_json
from studio.methods import defaults
from studio.methods.base import Job, Method
from studio.models import shape
from studio.models.fetch import Fetched
from studio.plan import Plan
from studio.runs import Run
from studio.train.turn import go_on
from studio.words import Words

NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class Prepared:
    """The examples of a run, in words, and what is known about them."""

    parts: Parts
    about: dict[str, Any]


def prepare_data(this: Run, plan: Plan) -> Prepared:
    """Read and split the data, and keep the parts in the run: every later verdict is measured on the same rows."""
    runs.set_status(this, "preparing", "data")
    folder = this.folder / "data"
    if (folder / "about.json").is_file():  # a run that goes on
        files = [folder / f"{name}.jsonl" for name in NAMES]
        read = [[json.loads(line) for line in file.read_bytes().splitlines()] if file.is_file() else [] for file in files]
        return Prepared(Parts(*read), json.loads((folder / "about.json").read_text(encoding="utf-8")))
    kept = keep.find(plan.data.source)
    table = kept.table()
    columns = plan.data.columns or guessed(plan, table)
    found, incomplete = prepare.examples(table, plan.task, columns)
    parts = split.split(found, plan.data, plan.training.seed, split.alike(found))
    known: dict[str, Any] = {"name": kept.name, "sha256": kept.sha256, "licence": kept.licence, "columns": columns}
    known |= {"rows": len(table.rows), "damaged": len(table.bad)}
    if plan.data.test:
        tested = keep.find(plan.data.test)
        known |= {"test_name": tested.name, "test_sha256": tested.sha256}
        parts = replace(parts, test=own_test(tested, plan, columns, prepare.labels_of(found) if plan.task == "classify" else []))
    folder.mkdir(exist_ok=True)
    each = dict(zip(NAMES, (parts.train, parts.validation, parts.test), strict=True))
    for name, part in ((name, part) for name, part in each.items() if part):
        text = "".join(json.dumps(example, ensure_ascii=False) + "\n" for example in part)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    known |= {"incomplete": incomplete, **{name: len(part) for name, part in each.items()}}
    write_json(folder / "about.json", {"data": known})
    return Prepared(parts, {"data": known})


def own_test(kept: keep.Kept, plan: Plan, columns: Mapping[str, str], labels: Sequence[str]) -> list[Example]:
    """The examples of a test set of its own; raises BadData where its columns or its classes are not those that are learned."""
    found, _ = prepare.examples(kept.table(), plan.task, columns)
    strange = sorted({example["label"] for example in found} - set(labels)) if plan.task == "classify" else []
    if strange:
        raise BadData(
            Words(
                "The test set “{name}” has classes that are never learned: {classes}.",
                "测试集“{name}”里有训练数据中没有的类别：{classes}。",
            ),
            Words(
                "Correct these labels in the test set, or add examples of them to the data.",
                "请在测试集中改正这些标签，或在数据里补充这些类别的样本。",
            ),
            name=kept.name,
            classes=strange[:8],
        )
    return found


def guessed(plan: Plan, table: Any) -> dict[str, str]:
    """The roles of the columns where the plan names none; a guess from content does not stand against names that say another task."""
    from studio.data import columns  # noqa: PLC0415 - only here

    found = columns.guess(table, plan.task)
    return {} if not found.sure and columns.guess(table).sure else found.columns


def fetching(this: Run) -> Callable[[float, float], None]:
    """Shows how much of the model has come (megabytes)."""

    def progress(done: float, total: float) -> None:
        runs.set_status(this, "preparing", "fetch", step=int(done), steps=int(total))

    return progress


def load_job(this: Run, method: Method, base: Fetched, parts: Parts) -> tuple[Job, dict[str, Any]]:
    """Load the model, attach the method and encode the examples; beside the job the report's part on what was loaded.

    Raises BadPlan where the method does not go with the model that came.
    """
    import torch  # noqa: PLC0415 - a waiting worker does without

    from studio.evaluate import held_out  # noqa: PLC0415
    from studio.models import load  # noqa: PLC0415

    found = shape.read(base.folder)
    raw = {"task": this.plan.task, "model": str(base.folder), "method": this.plan.method.model_dump()}
    if problems := methods.problems(raw):  # what nobody could know before the model was here
        raise BadPlan(problems)
    plan = defaults.fill(this.plan, method, found, len(parts.train))
    tokenizer, training = load.tokenizer(base.folder), plan.training
    labels = tuple(prepare.labels_of(parts.train + parts.validation + parts.test)) if plan.task == "classify" else ()
    model = load.base(base.folder, plan.task, labels, training.seed, method.weights == "nf4")
    check = load.fingerprint(model)
    if method.weights == "trained":  # small steps vanish in 16-bit numbers
        model = model.float()
    torch.manual_seed(training.seed)
    settings = method.settle(plan.method.settings)
    model = method.attach(model, settings, plan.task)
    length = method.room(found, settings, training.max_length)
    plan = plan.model_copy(update={"training": training.model_copy(update={"max_length": length})})
    every = (parts.train, parts.validation, *([parts.test] if parts.test else []))
    encoded = [prepare.encode(part, plan.task, tokenizer, length, labels) for part in every]
    dropped = sum(map(len, every)) - sum(map(len, encoded)) if plan.task != "complete" else 0
    report = {
        "base": {"name": base.name, "hub": base.hub, "weights": base.note.en, "weights_zh": base.note.zh, "checksum": check},
        "parameters": {"trainable": load.numbers(model, learned=True), "total": load.numbers(model)},
        "texts": {"max_length": length, "cut": sum(item.cut for part in encoded for item in part), "dropped": dropped},
        "labels": list(labels),
        "device": str(model.device),
    }
    portion = max(1, (training.batch_size or 1) // training.accumulate)

    def tell(stage: str, done: int, of: int) -> None:
        go_on(this)
        runs.set_status(this, "preparing", stage, step=done, steps=of)

    job = Job(
        model=model,
        tokenizer=tokenizer,
        plan=plan,
        settings=settings,
        train=encoded[0],
        validation=encoded[1],
        folder=this.folder,
        watch=lambda stage, model, measure: None,  # type: ignore[arg-type,return-value] # set where training begins
        measure=lambda model, rows: held_out.measure(model, rows, tokenizer, plan.task, portion),
        free_memory=hardware.free_memory,
        test=encoded[2] if parts.test else [],
        tested=parts.test,
        examples=(parts.train, parts.validation),
        base=base.folder,
        tell=tell,
    )
    return job, report
