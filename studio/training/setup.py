"""What a run needs before it trains: its data split, its model loaded, its method attached."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from studio import methods, runs
from studio.data import examples, split, store
from studio.data.examples import Example
from studio.data.split import Splits
from studio.errors import BadData, BadPlan
from studio.estimate.machines import hardware
from studio.i18n import Message
from studio.methods import defaults
from studio.methods.spec import Method, TrainingContext
from studio.models import shape
from studio.models.fetch import FetchedModel
from studio.plan import Plan
from studio.runs import Run
from studio.storage import write_json
from studio.training.queue import raise_if_stopped

SPLIT_NAMES = ("train", "validation", "test")


@dataclass(frozen=True)
class PreparedData:
    """The examples of a run, in words, and what is known about them."""

    splits: Splits
    report_section: dict[str, Any]


def prepare_data(run: Run, plan: Plan) -> PreparedData:
    """Read and split the data, and keep the parts in the run: every later verdict is measured on the same rows."""
    runs.set_status(run, "preparing", "data")
    folder = run.folder / "data"
    if (folder / "about.json").is_file():  # a run that goes on
        files = [folder / f"{name}.jsonl" for name in SPLIT_NAMES]
        rows_by_split = [
            [json.loads(line) for line in file.read_bytes().splitlines()] if file.is_file() else []
            for file in files
        ]
        return PreparedData(
            Splits(*rows_by_split), json.loads((folder / "about.json").read_text(encoding="utf-8"))
        )
    dataset = store.find(plan.data.source)
    table = dataset.table()
    columns = plan.data.columns or guess_columns(plan, table)
    all_examples, incomplete = examples.build_examples(table, plan.task, columns)
    splits = split.split_examples(
        all_examples, plan.data, plan.training.seed, split.duplicate_groups(all_examples)
    )
    about: dict[str, Any] = {
        "name": dataset.name,
        "sha256": dataset.sha256,
        "licence": dataset.licence,
        "columns": columns,
    }
    about |= {"rows": len(table.rows), "damaged": len(table.bad_lines)}
    if plan.data.test:
        test_set = store.find(plan.data.test)
        about |= {"test_name": test_set.name, "test_sha256": test_set.sha256}
        splits = replace(
            splits,
            test=load_test_set(
                test_set,
                plan,
                columns,
                examples.collect_labels(all_examples) if plan.task == "classify" else [],
            ),
        )
    folder.mkdir(exist_ok=True)
    examples_by_split = dict(zip(SPLIT_NAMES, (splits.train, splits.validation, splits.test), strict=True))
    for name, split_rows in (
        (name, split_rows) for name, split_rows in examples_by_split.items() if split_rows
    ):
        text = "".join(json.dumps(example, ensure_ascii=False) + "\n" for example in split_rows)
        (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    about |= {
        "incomplete": incomplete,
        **{name: len(split_rows) for name, split_rows in examples_by_split.items()},
    }
    write_json(folder / "about.json", {"data": about})
    return PreparedData(splits, {"data": about})


def load_test_set(
    dataset: store.Dataset, plan: Plan, columns: Mapping[str, str], labels: Sequence[str]
) -> list[Example]:
    """The examples of a test set of its own; raises BadData where its columns or its classes are not those that are learned."""
    test_examples, _ = examples.build_examples(dataset.table(), plan.task, columns)
    unknown_labels = (
        sorted({example["label"] for example in test_examples} - set(labels))
        if plan.task == "classify"
        else []
    )
    if unknown_labels:
        raise BadData(
            Message("The test set “{name}” has classes that are never learned: {classes}."),
            Message("Correct these labels in the test set, or add examples of them to the data."),
            name=dataset.name,
            classes=unknown_labels[:8],
        )
    return test_examples


def guess_columns(plan: Plan, table: Any) -> dict[str, str]:
    """The roles of the columns where the plan names none; a guess from content does not stand against names that say another task."""
    from studio.data.schema import infer_roles  # noqa: PLC0415 - only here

    guess = infer_roles.guess_roles(table, plan.task)
    return {} if not guess.is_confident and infer_roles.guess_roles(table).is_confident else guess.columns


def fetch_progress(run: Run) -> Callable[[float, float], None]:
    """Shows how much of the model has come (megabytes)."""

    def progress(done: float, total: float) -> None:
        runs.set_status(run, "preparing", "fetch", step=int(done), steps=int(total))

    return progress


def load_job(
    run: Run, method: Method, base: FetchedModel, splits: Splits
) -> tuple[TrainingContext, dict[str, Any]]:
    """Load the model, attach the method and encode the examples; beside the job the report's part on what was loaded.

    Raises BadPlan where the method does not go with the model that came.
    """
    import torch  # noqa: PLC0415 - a waiting worker does without

    from studio.evaluate import held_out  # noqa: PLC0415
    from studio.models import load  # noqa: PLC0415

    model_shape = shape.from_folder(base.folder)
    raw_plan = {"task": run.plan.task, "model": str(base.folder), "method": run.plan.method.model_dump()}
    if problems := methods.find_plan_problems(raw_plan):  # what nobody could know before the model was here
        raise BadPlan(problems)
    plan = defaults.fill_training(run.plan, method, model_shape, len(splits.train))
    tokenizer, training = load.tokenizer(base.folder), plan.training
    labels = (
        tuple(examples.collect_labels(splits.train + splits.validation + splits.test))
        if plan.task == "classify"
        else ()
    )
    model = load.base_model(base.folder, plan.task, labels, training.seed, method.weights == "nf4")
    checksum = load.fingerprint(model)
    if method.weights == "trained":  # small steps vanish in 16-bit numbers
        model = model.float()
    torch.manual_seed(training.seed)
    settings = method.resolve_settings(plan.method.settings)
    model = method.attach(model, settings, plan.task)
    max_length = method.max_text_tokens(model_shape, settings, training.max_length)
    plan = plan.model_copy(update={"training": training.model_copy(update={"max_length": max_length})})
    all_splits = (splits.train, splits.validation, *([splits.test] if splits.test else []))
    encoded = [
        examples.encode_examples(split_rows, plan.task, tokenizer, max_length, labels)
        for split_rows in all_splits
    ]
    n_dropped = sum(map(len, all_splits)) - sum(map(len, encoded)) if plan.task != "complete" else 0
    report = {
        "base": {
            "name": base.name,
            "hub": base.hub,
            "weights": base.note.to_json(),
            "checksum": checksum,
        },
        "parameters": {
            "trainable": load.count_parameters(model, trainable_only=True),
            "total": load.count_parameters(model),
        },
        "texts": {
            "max_length": max_length,
            "cut": sum(item.truncated for split_rows in encoded for item in split_rows),
            "dropped": n_dropped,
        },
        "labels": list(labels),
        "device": str(model.device),
    }
    micro_batch_size = max(1, (training.batch_size or 1) // training.gradient_accumulation_steps)

    def report_progress(stage: str, done: int, total: int) -> None:
        raise_if_stopped(run)
        runs.set_status(run, "preparing", stage, step=done, steps=total)

    job = TrainingContext(
        model=model,
        tokenizer=tokenizer,
        plan=plan,
        settings=settings,
        train=encoded[0],
        validation=encoded[1],
        folder=run.folder,
        create_monitor=lambda stage, model, measure: None,  # type: ignore[arg-type,return-value] # set where training begins
        measure=lambda model, rows: held_out.evaluate(model, rows, tokenizer, plan.task, micro_batch_size),
        free_memory=hardware.free_memory,
        test=encoded[2] if splits.test else [],
        test_examples=splits.test,
        examples=(splits.train, splits.validation),
        base_folder=base.folder,
        report_progress=report_progress,
    )
    return job, report
