"""What a data set holds for the chooser, the sample that takes its place, and a base model for either."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from studio import presets
from studio.data import examples, split, store, targets
from studio.data.examples import Example
from studio.data.quality import base_languages, table_view
from studio.data.schema import infer_roles
from studio.data.schema.infer_roles import RoleGuess
from studio.errors import BadData
from studio.estimate.machines.catalogue import GIB, Machine
from studio.i18n import Message
from studio.plan import Data, Task

# A prompt shows so many examples and asks one more; each text is cut at so many characters.
MAX_PROMPT_EXAMPLES, MAX_TEXT_CHARS = 3, 400
# A GPU of so many GB leaves room for LoRA on a model of this size: 2 bytes a parameter, and as much again
# for what it learns with (a rule of thumb, which the estimate then checks). On a processor the embedded
# models train in minutes; the larger ones take hours.
GENERATIVE_MODELS = ((60.0, "qwen3-8b"), (20.0, "qwen3-4b"), (10.0, "qwen3-1.7b"))
LARGEST_PHONE_MODEL = "qwen3-1.7b"
# The embedded models, which are taken unless they do not know the language of the examples.
SMALL_GENERATIVE_MODEL, ENCODER_MODEL = "smollm2-135m", "minilm-l6"
# No sample is of plain texts; the replies of this one, without their questions, are.
PLAIN_TEXT_SAMPLE = "support-tone"
PLAIN_TEXT_ROLES = RoleGuess("complete", {"text": "reply"}, is_confident=True)
# Other tasks that data can serve: which of its roles becomes each role that the task needs.
TASK_CONVERSIONS: dict[tuple[Task, Task], dict[str, str]] = {
    ("chat", "prompts"): {"prompt": "prompt"},
    ("prefer", "chat"): {"prompt": "prompt", "response": "chosen"},
    ("prompts", "chat"): {"prompt": "prompt", "response": "answer"},
}


@dataclass(frozen=True)
class PromptExample:
    """One example as a prompt shows it; `rejected` is the worse answer of a pair."""

    question: str
    answer: str
    rejected: str = ""


@dataclass(frozen=True)
class DatasetSummary:
    """A data set as the chooser sees it.

    Attributes:
        task: What the data is read for.
        data: Its source and columns as a plan names them.
        count: Examples in it.
        labels: Its different labels.
        prompt_examples: A few to show.
        languages: The languages of its texts (`base_languages.find_languages`).
        unusable_reason: Why nothing can be trained on it as it is; None where something can.
        sample_name: The name of the sample, where it takes the place of data that the person does not have
        yet.
    """

    task: Task
    data: Data
    count: int
    labels: tuple[str, ...] = ()
    prompt_examples: tuple[PromptExample, ...] = ()
    languages: tuple[str, ...] = ()
    unusable_reason: Message | None = None
    sample_name: Message | None = None


def summarize(source: str, guess: RoleGuess | None = None) -> DatasetSummary | None:
    """What a data set holds; None where there is no source.

    Args:
        source: The data as a plan names it; "" for none.
        guess: The task and the columns that a person set for it; guessed where None.

    Raises:
        BadData: It cannot be read.
    """
    if not source:
        return None
    dataset = store.find(source)
    guess = guess or _guess_roles(source, dataset.version)
    return _read_dataset(source, dataset.version, guess.task, tuple(sorted(guess.columns.items())))


def dataset_for_task(user_dataset: DatasetSummary | None, task: Task) -> DatasetSummary:
    """The data for a task: the data at hand where it can serve, else the first sample that does."""
    converted = _convert_to_task(user_dataset, task) if user_dataset else None
    if converted and not converted.unusable_reason:
        return converted
    name, guess = _find_sample(task)
    sample = summarize(f"sample:{name}", guess)
    assert sample is not None
    return replace(
        sample,
        sample_name=presets.samples()[name].name,
        languages=user_dataset.languages if user_dataset else sample.languages,
    )


def _find_sample(task: Task) -> tuple[str, RoleGuess]:
    if task == "complete":
        return PLAIN_TEXT_SAMPLE, PLAIN_TEXT_ROLES
    name, card = next((name, card) for name, card in presets.samples().items() if card.task == task)
    return name, RoleGuess(task, card.columns, is_confident=True)


def choose_base_model(dataset: DatasetSummary, machine: Machine, phone: bool) -> str:
    """A base model of the catalogue for the data: small enough for the machine to train, and for a phone."""
    if dataset.task == "classify":
        return base_languages.nearest_base(dataset.languages, ENCODER_MODEL)
    names = [name for _, name in GENERATIVE_MODELS]  # the largest first
    gigabytes = machine.usable_bytes / GIB
    candidates = [name for min_gb, name in GENERATIVE_MODELS if machine.is_gpu and gigabytes >= min_gb]
    if phone and candidates:
        phone_models = names[names.index(LARGEST_PHONE_MODEL) :]
        candidates = [name for name in candidates if name in phone_models] or [LARGEST_PHONE_MODEL]
    wanted = candidates[0] if candidates else SMALL_GENERATIVE_MODEL
    return base_languages.nearest_base(dataset.languages, wanted)


def _convert_to_task(user_dataset: DatasetSummary, task: Task) -> DatasetSummary | None:
    """The data at hand read for a task: as it is, or by those of its columns that serve it."""
    if user_dataset.task == task:
        return user_dataset
    conversion = TASK_CONVERSIONS.get((user_dataset.task, task), {})
    columns = user_dataset.data.columns
    if not conversion or not set(conversion.values()) <= set(columns):
        return None
    roles = {role: columns[source_role] for role, source_role in conversion.items()}
    return summarize(user_dataset.data.source, RoleGuess(task, roles, is_confident=True))


@lru_cache(maxsize=16)
def _guess_roles(source: str, version: int) -> RoleGuess:
    return infer_roles.guess_roles(store.find(source).table())


@lru_cache(maxsize=16)
def _read_dataset(
    source: str, version: int, task: Task, roles: tuple[tuple[str, str], ...]
) -> DatasetSummary:
    """A data set read for a task; cached while its rows stay the same (`version`)."""
    data, table = Data(source=source, columns=dict(roles)), store.find(source).table()
    try:
        rows = [example for example in examples.build_row_examples(table, task, data.columns) if example]
    except BadData as error:
        return DatasetSummary(task, data, 0, unusable_reason=error.message)
    unusable_reason = None
    try:
        examples.build_examples(table, task, data.columns)
    except BadData as error:
        unusable_reason = error.message
    return DatasetSummary(
        task=task,
        data=data,
        count=len(rows),
        labels=_collect_classes(rows) if task == "classify" else (),
        prompt_examples=tuple(_to_prompt_example(example, task) for example in _select_examples(rows, task)),
        languages=base_languages.find_languages(
            [table_view.extract_texts(example, task).parts for example in rows], task
        ),
        unusable_reason=unusable_reason,
    )


def _collect_classes(rows: list[Example]) -> tuple[str, ...]:
    """The different labels, or numbers, of texts to classify."""
    return tuple(sorted({name for example in rows for name in targets.classes_of(example)}))


def _select_examples(rows: list[Example], task: Task) -> list[Example]:
    """The examples to show: the first ones, of labelled texts with different labels."""
    if task != "classify":
        return rows[: MAX_PROMPT_EXAMPLES + 1]
    by_label: dict[str, Example] = {}
    for example in rows:
        by_label.setdefault(targets.describe(example), example)
    selected = list(by_label.values())[:MAX_PROMPT_EXAMPLES]
    others = [example for example in rows if example not in selected]
    return [*selected, *others][: MAX_PROMPT_EXAMPLES + 1]


def _to_prompt_example(example: Mapping[str, str], task: Task) -> PromptExample:
    question = _truncate(split.input_text(dict(example)))
    if task == "classify":
        return PromptExample(question, targets.describe(example))
    if task == "complete":
        return PromptExample("", question)
    if task == "prompts":
        return PromptExample(question, _truncate(example.get("answer", "")))
    last_message = examples.to_messages(dict(example))[-1]
    return PromptExample(question, _truncate(last_message["content"]), _truncate(example.get("rejected", "")))


def _truncate(text: str) -> str:
    return text if len(text) <= MAX_TEXT_CHARS else text[:MAX_TEXT_CHARS].rstrip() + " …"
