"""Prepares what a run trains on: its data split, its model loaded, its method attached."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from studio import methods, runs
from studio.data import examples, replay, split, store, targets
from studio.data.examples import Encoded, Example
from studio.data.split import Splits
from studio.data.targets import RatingScale
from studio.errors import BadData, BadPlan
from studio.estimate import dataset_lengths, history
from studio.estimate.machines import hardware
from studio.evaluate import predictions
from studio.i18n import Message
from studio.methods import defaults, folder_check
from studio.methods.spec import Method, Scores, StageMonitor, TrainingContext
from studio.methods.workload import RowTokens, packs_texts
from studio.models import cpu_precision, device, ranks, shape
from studio.models.cpu_precision import Precision
from studio.models.fetch import FetchedModel
from studio.models.shape import ModelShape
from studio.plan import PROBLEM_TYPES, Plan, target_role
from studio.runs import Run
from studio.storage import read_json, write_json
from studio.training.queue import raise_if_stopped

SPLIT_NAMES = ("train", "validation", "test")
# Written last, so that its presence marks the saved splits as complete: the report's section on the data.
DATA_REPORT_FILE = "about.json"
# What the base model made of the held-out rows, and the precision a processor computes in: a run that goes
# on measures neither again.
BASE_EVALUATION_FILE = "checkpoints/base.json"
PRECISION_FILE = "checkpoints/precision.json"
REPLAY_NOTE = Message("{count} of the {train} training examples are general questions (replay).")
NUMBERS_TOO_CLOSE = Message(
    "The numbers lie around {mean:,.4g} and differ by about {spread:,.2g}: {precision}, in which this GPU "
    "computes, does not tell them apart."
)
SUBTRACT = Message(
    "Subtract a fixed number from the column so that it lies around 0, or train on the processor: start the "
    "studio with STUDIO_DEVICE=cpu."
)
CreateMonitor = Callable[[str, Any, Callable[[], Scores] | None], StageMonitor]


@dataclass(frozen=True)
class PreparedData:
    """The examples of a run, not yet tokenized, and the section of the report that describes them."""

    splits: Splits
    report_section: dict[str, Any]


def has_saved_splits(run: Run) -> bool:
    """Whether the data of a run was prepared before: it goes on, or trains elsewhere."""
    return (run.folder / "data" / DATA_REPORT_FILE).is_file()


def has_begun(run: Run) -> bool:
    """Whether a worker has measured the base of a run before: it is a run that goes on."""
    return (run.folder / BASE_EVALUATION_FILE).is_file()


def prepare_data(run: Run, plan: Plan) -> PreparedData:
    """Read and split the data, and save the splits in the run: all scores are measured on the same rows.

    A run that goes on reads the splits it has saved.

    Raises:
        BadData: The data set, or the test set, cannot be used for the plan's task.
    """
    runs.set_status(run, "preparing", "data")
    folder = run.folder / "data"
    if has_saved_splits(run):
        return _load_saved_splits(folder)
    prepared = split_dataset(plan)
    _save_splits(prepared, folder)
    return prepared


def _load_saved_splits(folder: Path) -> PreparedData:
    rows_by_split = [predictions.read_rows(folder.parent, name) for name in SPLIT_NAMES]
    report_section = json.loads((folder / DATA_REPORT_FILE).read_text(encoding="utf-8"))
    return PreparedData(Splits(*rows_by_split), report_section)


def split_dataset(plan: Plan) -> PreparedData:
    """Read and split the data of a plan.

    Raises:
        BadData: The data set, or the test set, cannot be used for the plan's task.
    """
    dataset = store.find(plan.data.source)
    table = dataset.table()
    columns = plan.data.columns or guess_columns(plan, table)
    all_examples, incomplete = examples.build_examples(table, plan.task, columns)
    groups = split.duplicate_groups(all_examples)
    splits = split.split_examples(all_examples, plan.data, plan.training.seed, groups)
    about: dict[str, Any] = {
        "name": dataset.name,
        "sha256": dataset.sha256,
        "licence": dataset.licence,
        "columns": columns,
        "rows": len(table.rows),
        "damaged": len(table.bad_lines),
    }
    if plan.data.test:
        test_set = store.find(plan.data.test)
        about |= {"test_name": test_set.name, "test_sha256": test_set.sha256}
        labels = examples.collect_labels(all_examples) if plan.task == "classify" else []
        splits = replace(splits, test=load_test_set(test_set, plan, columns, labels))
    splits = split.keep_train_share(splits, plan.data.train_share)
    n_own = len(splits.train)
    splits = replay.mix_in(splits, plan.training)
    about |= {"incomplete": incomplete, "replay": len(splits.train) - n_own}
    about |= {name: len(getattr(splits, name)) for name in SPLIT_NAMES}
    return PreparedData(splits, {"data": about})


def _save_splits(prepared: PreparedData, folder: Path) -> None:
    folder.mkdir(exist_ok=True)
    for name in SPLIT_NAMES:
        split_examples = getattr(prepared.splits, name)
        if split_examples:
            lines = [json.dumps(example, ensure_ascii=False) + "\n" for example in split_examples]
            (folder / f"{name}.jsonl").write_text("".join(lines), encoding="utf-8")
    write_json(folder / DATA_REPORT_FILE, prepared.report_section)


def note_replay(context: TrainingContext, data: Mapping[str, Any]) -> None:
    """Note how many of the training examples are general ones, where any are.

    Args:
        context: The training.
        data: The report's section on the data.
    """
    n_replay = data.get("replay", 0)
    if n_replay:
        message = REPLAY_NOTE.format(count=n_replay, train=data["train"])
        context.add_note("replay", {"count": n_replay}, message)


def load_test_set(
    dataset: store.Dataset, plan: Plan, columns: Mapping[str, str], labels: Sequence[str]
) -> list[Example]:
    """The examples of a test set that is a data set of its own.

    Args:
        dataset: The test set.
        plan: The plan whose task it tests.
        columns: The columns of the training data, role -> column; the test set must have the same.
        labels: The classes that are trained; empty for other tasks than classification.

    Raises:
        BadData: It lacks a column, or has classes that are never trained.
    """
    test_examples, _ = examples.build_examples(dataset.table(), plan.task, columns)
    if plan.task != "classify":
        return test_examples
    unknown_labels = sorted(set(examples.collect_labels(test_examples)) - set(labels))
    if unknown_labels:
        raise BadData(
            Message("The test set “{name}” has classes that are never learned: {classes}."),
            Message("Correct these labels in the test set, or add examples of them to the data."),
            name=dataset.name,
            classes=unknown_labels[:8],
        )
    return test_examples


def guess_columns(plan: Plan, table: Any) -> dict[str, str]:
    """The columns (role -> column) of a plan that names none; empty where their names say another task."""
    from studio.data.schema import infer_roles  # noqa: PLC0415 - only here

    guess = infer_roles.guess_roles(table, plan.task)
    if not guess.is_confident and infer_roles.guess_roles(table).is_confident:
        return {}
    return guess.columns


def fetch_progress(run: Run) -> Callable[[float, float], None]:
    """A callback that shows how much of the model has been downloaded (megabytes)."""

    def on_progress(done: float, total: float) -> None:
        runs.set_status(run, "preparing", "fetch", step=int(done), steps=int(total))

    return on_progress


def load_context(
    run: Run, method: Method, base: FetchedModel, splits: Splits, create_monitor: CreateMonitor
) -> tuple[TrainingContext, dict[str, Any]]:
    """Load the model, attach the method and tokenize the examples.

    Args:
        run: The run to train.
        method: The method of its plan.
        base: Its base model on this machine.
        splits: Its examples.
        create_monitor: Makes the callback of a stage.

    Returns:
        The training, and the sections of the report that describe what was loaded.

    Raises:
        BadPlan: The method cannot be used with the model that was fetched.
        ModelUnavailable: The folder of the model is not one that can be trained.
    """
    import torch  # noqa: PLC0415 - a worker that waits does without

    from studio.evaluate import answers, held_out  # noqa: PLC0415
    from studio.methods.training import supervised  # noqa: PLC0415
    from studio.models import head, load  # noqa: PLC0415

    require_compatible(run.plan, base)
    folder_check.require_usable(base.folder, run.plan.task)
    device.set_precision(_choose_precision(run))
    model_shape = shape.from_folder(base.folder)
    tokenizer = load.tokenizer(base.folder)
    rows = _count_tokens(splits, run.plan, tokenizer) if run.plan.training.max_length is None else ()
    plan = defaults.fill_training(run.plan, method, model_shape, len(splits.train), rows)
    plan = _fill_step_settings(run, plan)
    labels = _collect_labels(plan, splits)
    is_sharded = ranks.count() > 1 and bool(history.load_estimate(run).get("is_sharded"))
    # Only the first rank evaluates, with the whole model.
    in_main_memory = is_sharded and not ranks.is_first()
    storage = load.WeightStorage(method.weights == "nf4", plan.training.disk_offload, in_main_memory)
    model = load.base_model(base.folder, plan.task, labels, plan.training.seed, storage)
    checksum, architecture = load.fingerprint(model), type(model).__name__
    settings = method.resolve_settings(plan.method.settings)
    if method.weights == "trained" and not is_sharded:
        dtype = supervised.trained_dtype(settings, model)
        if dtype is torch.float32:
            model = load.in_32_bits(model, base.folder, plan.task, labels, plan.training.seed)
        model = load.convert_parameters(model, dtype)
    answers.declare_stop_tokens(model, tokenizer, plan.task)
    problem_type, scale = None, None
    if plan.task == "classify":
        role = target_role(splits.train[0])
        problem_type = model.config.problem_type = PROBLEM_TYPES[role]
        scale = targets.fit_scale(splits.train, head.has_bias(model)) if role == "rating" else None
        if scale and not head.can_hold(device.weights_dtype(), scale.mean, scale.deviation):
            precision = str(device.weights_dtype()).removeprefix("torch.")
            raise BadData(
                NUMBERS_TOO_CLOSE, SUBTRACT, mean=scale.mean, spread=scale.deviation, precision=precision
            )
    torch.manual_seed(plan.training.seed)
    model = method.attach(model, settings, plan.task)
    plan = _limit_length(plan, method, model_shape)
    encoded = _encode_splits(splits, plan, tokenizer, labels, scale)
    training = plan.training
    micro_batch_size = max(1, (training.batch_size or 1) // training.accumulation_steps)

    def report_progress(stage: str, done: int, total: int) -> None:
        raise_if_stopped(run)
        runs.set_status(run, "preparing", stage, step=done, steps=total)

    context = TrainingContext(
        model=model,
        tokenizer=tokenizer,
        plan=plan,
        settings=settings,
        train=encoded["train"],
        validation=encoded["validation"],
        folder=run.folder,
        create_monitor=create_monitor,
        measure_rows=lambda model, rows: held_out.evaluate(
            model, rows, tokenizer, plan.task, micro_batch_size, scale
        ),
        free_memory=hardware.free_memory,
        test=encoded["test"],
        test_examples=splits.test,
        examples=(splits.train, splits.validation),
        base_folder=base.folder,
        is_sharded=is_sharded,
        packs_texts=packs_texts(
            training.padding_free,
            device.device_type(),
            ranks.count(),
            is_faster=bool(history.load_estimate(run).get("packs_texts")),
        ),
        scale=scale,
        report_progress=report_progress,
    )
    report = {
        "base": {
            "name": base.name,
            "hub": base.hub,
            "weights": base.note.to_json(),
            "checksum": checksum,
            "architecture": architecture,
            "dtype": str(device.weights_dtype()).removeprefix("torch."),
        },
        "precision": str(device.autocast_dtype() or torch.float32).removeprefix("torch."),
        "parameters": {
            "trainable": load.count_parameters(model, trainable_only=True),
            "total": load.count_parameters(model),
        },
        "texts": _summarize_lengths(plan, splits, encoded),
        "labels": list(labels),
        "problem_type": problem_type,
        "scale": asdict(scale) if scale else None,
        "device": str(model.device),
        "ranks": ranks.count(),
        "is_sharded": is_sharded,
    }
    return context, report


def _choose_precision(run: Run) -> Precision:
    """The precision of the plan; where its processor chooses, what the first rank has chosen for all.

    Measured again beside other work, the same processor may be found faster in the other format: so a run
    that goes on, and a rank that is started anew, keep what the run began with.
    """
    precision = run.plan.training.precision
    if precision != "auto" or not device.uses_cpu():
        return precision
    chosen = _load_or_measure_precision(run.folder / PRECISION_FILE) if ranks.is_first() else None
    shared: Precision = ranks.say(chosen)
    return shared


def _load_or_measure_precision(path: Path) -> Precision:
    """What the run began with, unless STUDIO_PRECISION or this processor forbid it; else what is faster."""
    saved_precision: Precision | None = read_json(path).get("precision")
    possible = {"float32", "bfloat16"} if cpu_precision.has_native_bf16() else {"float32"}
    if saved_precision in possible and cpu_precision.requested_precision() == "auto":
        return saved_precision
    device.set_precision("auto")
    chosen: Precision = "bfloat16" if device.autocast_dtype() else "float32"
    path.parent.mkdir(exist_ok=True)
    write_json(path, {"precision": chosen})
    return chosen


def _fill_step_settings(run: Run, plan: Plan) -> Plan:
    """The plan with micro batches and gradient checkpointing as its estimate chose them before the start.

    What the plan sets stays; so does the default where the estimate counted with another batch size.
    """
    estimate, training = history.load_estimate(run), plan.training
    changes: dict[str, Any] = {}
    checkpointing = estimate.get("gradient_checkpointing")
    if training.gradient_checkpointing is None and checkpointing is not None and not device.uses_cpu():
        changes["gradient_checkpointing"] = checkpointing
    count = estimate.get("gradient_accumulation_steps")
    is_open = run.plan.training.gradient_accumulation_steps is None
    if is_open and count and (training.batch_size or 1) % count == 0:
        changes["gradient_accumulation_steps"] = count
    return plan.model_copy(update={"training": training.model_copy(update=changes)})


def require_compatible(plan: Plan, base: FetchedModel) -> None:
    """Check the plan with the model at hand: of one from the hub nothing was known before it was fetched.

    Raises:
        BadPlan: They do not go together.
    """
    raw_plan = {
        "task": plan.task,
        "model": str(base.folder),
        "method": plan.method.model_dump(),
        "training": plan.training.model_dump(include={"disk_offload", "padding_free"}),
    }
    problems = methods.find_plan_problems(raw_plan)
    if problems:
        raise BadPlan(problems)


def _collect_labels(plan: Plan, splits: Splits) -> tuple[str, ...]:
    if plan.task != "classify":
        return ()
    return tuple(examples.collect_labels(splits.train + splits.validation + splits.test))


def _count_tokens(splits: Splits, plan: Plan, tokenizer: Any) -> Sequence[RowTokens]:
    """Tokens of training examples that represent all."""
    return dataset_lengths.sample_rows(
        splits.train, lambda example: dataset_lengths.count_row(example, plan.task, tokenizer)
    )


def _limit_length(plan: Plan, method: Method, model_shape: ModelShape) -> Plan:
    """The plan with the longest text that the model can read: virtual tokens take positions too."""
    settings = method.resolve_settings(plan.method.settings)
    max_length = method.max_text_tokens(model_shape, settings, plan.training.token_limit)
    training = plan.training.model_copy(update={"max_length": max_length})
    return plan.model_copy(update={"training": training})


def _encode_splits(
    splits: Splits, plan: Plan, tokenizer: Any, labels: Sequence[str], scale: RatingScale | None
) -> dict[str, list[Encoded]]:
    """The tokenized examples of each split; the test split may have none."""

    def encode(split_examples: Sequence[Example]) -> list[Encoded]:
        if scale:
            split_examples = [scale.standardize(example) for example in split_examples]
        max_length, mask_history = plan.training.token_limit, plan.training.mask_history
        return examples.encode_examples(
            split_examples, plan.task, tokenizer, max_length, labels, mask_history
        )

    return {
        "train": encode(splits.train),
        "validation": encode(splits.validation),
        "test": encode(splits.test) if splits.test else [],
    }


def _summarize_lengths(
    plan: Plan, splits: Splits, encoded: Mapping[str, Sequence[Encoded]]
) -> dict[str, int]:
    """How many examples were cut at the longest length, or dropped because their prompt alone is longer."""
    n_cut = sum(item.truncated for rows in encoded.values() for item in rows)
    # Of single judged answers, the bad ones are never learned as good ones.
    n_examples = sum(example.get("chosen") != "" for name in SPLIT_NAMES for example in getattr(splits, name))
    n_encoded = sum(len(rows) for rows in encoded.values())
    # A long text to continue becomes several rows, and none is dropped.
    n_dropped = 0 if plan.task == "complete" else n_examples - n_encoded
    return {"max_length": plan.training.token_limit, "cut": n_cut, "dropped": n_dropped}
