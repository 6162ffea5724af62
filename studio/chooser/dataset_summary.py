"""What a data set holds for the chooser, the sample that stands in for it, and the base model that suits both."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from studio import presets
from studio.data import examples, split, store
from studio.data.examples import Example
from studio.data.quality import language_id
from studio.data.schema import infer_roles
from studio.data.schema.infer_roles import RoleGuess
from studio.errors import BadData
from studio.estimate.machines.catalogue import GIB, Machine
from studio.i18n import Message
from studio.plan import Data, Task

# So many examples stand in a prompt, and one more is what it asks; each text is cut at so many characters.
MAX_PROMPT_EXAMPLES, MAX_TEXT_CHARS = 3, 400
LANGUAGE_SAMPLE_SIZE = 200  # texts that say which language it is
# From so many GB on a card a model of this size leaves room for LoRA (2 bytes a number, and as much again for what it learns with: a rule
# of thumb, which the estimate then checks). On a processor the embedded models train in minutes; the larger ones take hours.
GENERATIVE_MODELS = ((60.0, "qwen3-8b"), (20.0, "qwen3-4b"), (10.0, "qwen3-1.7b"))
LARGEST_PHONE_MODEL = "qwen3-1.7b"
# By whether the examples are Chinese, which the embedded models do not know.
SMALL_GENERATIVE_MODEL = {False: "smollm2-135m", True: "qwen3-0.6b"}
ENCODER_MODEL = {False: "minilm-l6", True: "bert-base-chinese"}
# No sample is of plain texts; the replies of this one, without their questions, are.
PLAIN_TEXT_ROLES = RoleGuess("complete", {"text": "reply"}, is_confident=True)
# Other tasks that data can serve: its role for each that the task needs.
TASK_CONVERSIONS: dict[tuple[Task, Task], dict[str, str]] = {
    ("chat", "prompts"): {"prompt": "prompt"},
    ("prefer", "chat"): {"prompt": "prompt", "response": "chosen"},
    ("prompts", "chat"): {"prompt": "prompt", "response": "answer"},
}


@dataclass(frozen=True)
class PromptExample:
    """One example as a prompt shows it; `worse` is the other answer of a pair."""

    question: str
    answer: str
    rejected: str = ""


@dataclass(frozen=True)
class DatasetSummary:
    """A data set as the chooser sees it: `count` examples for a task, their classes, a few to show, and whether most are Chinese.

    `unfit` says why nothing can be trained on it as it is. `lent` is the name of the sample, where it stands in for data that the person
    does not have yet.
    """

    task: Task
    data: Data
    count: int
    labels: tuple[str, ...] = ()
    prompt_examples: tuple[PromptExample, ...] = ()
    is_chinese: bool = False
    unusable_reason: Message | None = None
    sample_name: Message | None = None


def summarize(source: str, guess: RoleGuess | None = None) -> DatasetSummary | None:
    """What a data set holds, `given` the task and the columns a person set for it; None where there is no source.

    Raises BadData where it cannot be read.
    """
    if not source:
        return None
    dataset = store.find(source)
    resolved = guess or _guess_roles(source, dataset.version)
    return _read_dataset(source, dataset.version, resolved.task, tuple(sorted(resolved.columns.items())))


def dataset_for_task(user_dataset: DatasetSummary | None, task: Task) -> DatasetSummary:
    """The case for a task: the data at hand where it can serve, else the first sample that does."""
    converted = user_dataset and _convert_to_task(user_dataset, task)
    if converted and not converted.unusable_reason:
        return converted
    if task == "complete":
        name, guess = "support-tone", PLAIN_TEXT_ROLES
    else:
        name = next(name for name, card in presets.samples().items() if card.task == task)
        guess = RoleGuess(task, presets.samples()[name].columns, is_confident=True)
    sample = summarize(f"sample:{name}", guess)
    assert sample is not None
    return replace(
        sample,
        sample_name=presets.samples()[name].name,
        is_chinese=user_dataset.is_chinese if user_dataset else sample.is_chinese,
    )


def choose_base_model(dataset: DatasetSummary, machine: Machine, phone: bool) -> str:
    """A base model of the catalogue for a case on a machine: small enough to be trained there, and for a phone to carry."""
    if dataset.task == "classify":
        return ENCODER_MODEL[dataset.is_chinese]
    sizes = [name for _, name in GENERATIVE_MODELS]
    candidates = [
        name
        for min_gb, name in GENERATIVE_MODELS
        if machine.kind == "card" and machine.usable_bytes / GIB >= min_gb
    ]
    if phone:
        candidates = [
            name for name in candidates if sizes.index(name) >= sizes.index(LARGEST_PHONE_MODEL)
        ] or (candidates and [LARGEST_PHONE_MODEL])
    return candidates[0] if candidates else SMALL_GENERATIVE_MODEL[dataset.is_chinese]


def _convert_to_task(user_dataset: DatasetSummary, task: Task) -> DatasetSummary | None:
    """The data at hand read for a task: as it is, or by those of its columns that serve it."""
    if user_dataset.task == task:
        return user_dataset
    role_map, roles = TASK_CONVERSIONS.get((user_dataset.task, task), {}), user_dataset.data.columns
    if not role_map or not set(role_map.values()) <= set(roles):
        return None
    return summarize(
        user_dataset.data.source,
        RoleGuess(
            task, {role: roles[source_role] for role, source_role in role_map.items()}, is_confident=True
        ),
    )


@lru_cache(maxsize=16)
def _guess_roles(source: str, version: int) -> RoleGuess:
    return infer_roles.guess_roles(store.find(source).table())


@lru_cache(maxsize=16)
def _read_dataset(
    source: str, version: int, task: Task, roles: tuple[tuple[str, str], ...]
) -> DatasetSummary:
    """A data set read for a task; remembered while its rows stay the same."""
    data, table = Data(source=source, columns=dict(roles)), store.find(source).table()
    try:
        usable_rows = [
            example for example in examples.build_row_examples(table, task, data.columns) if example
        ]
    except BadData as error:
        return DatasetSummary(task, data, 0, unusable_reason=_error_message(error))
    unusable_reason = None
    try:
        examples.build_examples(table, task, data.columns)
    except BadData as error:
        unusable_reason = _error_message(error)
    labels = tuple(examples.collect_labels(usable_rows)) if task == "classify" else ()
    scripts = [
        language_id.detect_script(split.input_text(example)) for example in usable_rows[:LANGUAGE_SAMPLE_SIZE]
    ]
    prompt_examples = tuple(
        _to_prompt_example(example, task) for example in _select_examples(usable_rows, task)
    )
    return DatasetSummary(
        task,
        data,
        len(usable_rows),
        labels,
        prompt_examples,
        is_chinese=scripts.count("zh") * 2 > len(scripts),
        unusable_reason=unusable_reason,
    )


def _error_message(error: BadData) -> Message:
    return error.message


def _select_examples(rows: list[Example], task: Task) -> list[Example]:
    """The examples to show: the first ones, of labelled texts with different labels."""
    if task != "classify":
        return rows[: MAX_PROMPT_EXAMPLES + 1]
    by_label: dict[str, Example] = {}
    for example in rows:
        by_label.setdefault(example["label"], example)
    selected = list(by_label.values())[:MAX_PROMPT_EXAMPLES]
    return [*selected, *(example for example in rows if example not in selected)][: MAX_PROMPT_EXAMPLES + 1]


def _to_prompt_example(example: Mapping[str, str], task: Task) -> PromptExample:
    question = _truncate(split.input_text(dict(example)))
    if task == "classify":
        return PromptExample(question, example["label"])
    if task == "complete":
        return PromptExample("", question)
    if task == "prompts":
        return PromptExample(question, _truncate(example.get("answer", "")))
    return PromptExample(
        question,
        _truncate(examples.to_messages(dict(example))[-1]["content"]),
        _truncate(example.get("rejected", "")),
    )


def _truncate(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARS else text[:MAX_TEXT_CHARS].rstrip() + " …"
