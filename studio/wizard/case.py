"""What a data set holds for the chooser, the sample that stands in for it, and the base model that suits both."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

from studio import presets
from studio.data import columns, keep, languages, prepare, split
from studio.data.columns import Guess
from studio.data.prepare import Example
from studio.errors import BadData
from studio.estimate.machines import GIB, Place
from studio.plan import Data, Task
from studio.words import LANGUAGES, Words

# So many examples stand in a prompt, and one more is what it asks; each text is cut at so many characters.
SHOWN, LONGEST = 3, 400
LOOKED_AT = 200  # texts that say which language it is
# From so many GB on a card a model of this size leaves room for LoRA (2 bytes a number, and as much again for what it learns with: a rule
# of thumb, which the estimate then checks). On a processor the embedded models train in minutes; the larger ones take hours.
WRITERS = ((60.0, "qwen3-8b"), (20.0, "qwen3-4b"), (10.0, "qwen3-1.7b"))
LARGEST_ON_A_PHONE = "qwen3-1.7b"
# By whether the examples are Chinese, which the embedded models do not know.
SMALL_WRITER = {False: "smollm2-135m", True: "qwen3-0.6b"}
READER = {False: "minilm-l6", True: "bert-base-chinese"}
# No sample is of plain texts; the replies of this one, without their questions, are.
PLAIN = Guess("complete", {"text": "reply"}, sure=True)
# Other tasks that data can serve: its role for each that the task needs.
TURNED: dict[tuple[Task, Task], dict[str, str]] = {
    ("chat", "prompts"): {"prompt": "prompt"},
    ("prefer", "chat"): {"prompt": "prompt", "response": "chosen"},
    ("prompts", "chat"): {"prompt": "prompt", "response": "answer"},
}


@dataclass(frozen=True)
class Shown:
    """One example as a prompt shows it; `worse` is the other answer of a pair."""

    question: str
    answer: str
    worse: str = ""


@dataclass(frozen=True)
class Case:
    """A data set as the chooser sees it: `count` examples for a task, their classes, a few to show, and whether most are Chinese.

    `unfit` says why nothing can be trained on it as it is. `lent` is the name of the sample, where it stands in for data that the person
    does not have yet.
    """

    task: Task
    data: Data
    count: int
    labels: tuple[str, ...] = ()
    shown: tuple[Shown, ...] = ()
    chinese: bool = False
    unfit: Words | None = None
    lent: Words | None = None


def of(source: str, given: Guess | None = None) -> Case | None:
    """What a data set holds, `given` the task and the columns a person set for it; None where there is no source.

    Raises BadData where it cannot be read.
    """
    if not source:
        return None
    kept = keep.find(source)
    found = given or _guessed(source, kept.stamp)
    return _read(source, kept.stamp, found.task, tuple(sorted(found.columns.items())))


def suited(own: Case | None, task: Task) -> Case:
    """The case for a task: the data at hand where it can serve, else the first sample that does."""
    found = own and _turned(own, task)
    if found and not found.unfit:
        return found
    if task == "complete":
        name, guess = "support-tone", PLAIN
    else:
        name = next(name for name, card in presets.samples().items() if card.task == task)
        guess = Guess(task, presets.samples()[name].columns, sure=True)
    lent = of(f"sample:{name}", guess)
    assert lent is not None
    return replace(lent, lent=presets.samples()[name].name, chinese=own.chinese if own else lent.chinese)


def base_model(case: Case, place: Place, phone: bool) -> str:
    """A base model of the catalogue for a case on a machine: small enough to be trained there, and for a phone to carry."""
    if case.task == "classify":
        return READER[case.chinese]
    sizes = [name for _, name in WRITERS]
    able = [name for room, name in WRITERS if place.kind == "card" and place.usable_bytes / GIB >= room]
    if phone:
        able = [name for name in able if sizes.index(name) >= sizes.index(LARGEST_ON_A_PHONE)] or (able and [LARGEST_ON_A_PHONE])
    return able[0] if able else SMALL_WRITER[case.chinese]


def _turned(own: Case, task: Task) -> Case | None:
    """The data at hand read for a task: as it is, or by those of its columns that serve it."""
    if own.task == task:
        return own
    wanted, roles = TURNED.get((own.task, task), {}), own.data.columns
    if not wanted or not set(wanted.values()) <= set(roles):
        return None
    return of(own.data.source, Guess(task, {role: roles[mine] for role, mine in wanted.items()}, sure=True))


@lru_cache(maxsize=16)
def _guessed(source: str, stamp: int) -> Guess:
    return columns.guess(keep.find(source).table())


@lru_cache(maxsize=16)
def _read(source: str, stamp: int, task: Task, roles: tuple[tuple[str, str], ...]) -> Case:
    """A data set read for a task; remembered while its rows stay the same."""
    data, table = Data(source=source, columns=dict(roles)), keep.find(source).table()
    try:
        found = [example for example in prepare.rows(table, task, data.columns) if example]
    except BadData as error:
        return Case(task, data, 0, unfit=_what(error))
    unfit = None
    try:
        prepare.examples(table, task, data.columns)
    except BadData as error:
        unfit = _what(error)
    labels = tuple(prepare.labels_of(found)) if task == "classify" else ()
    scripts = [languages.script(split.text_of(example)) for example in found[:LOOKED_AT]]
    shown = tuple(_shown(example, task) for example in _varied(found, task))
    return Case(task, data, len(found), labels, shown, chinese=scripts.count("zh") * 2 > len(scripts), unfit=unfit)


def _what(error: BadData) -> Words:
    return Words(*(error.sentences(language)[0] for language in LANGUAGES))


def _varied(found: list[Example], task: Task) -> list[Example]:
    """The examples to show: the first ones, of labelled texts with different labels."""
    if task != "classify":
        return found[: SHOWN + 1]
    first: dict[str, Example] = {}
    for example in found:
        first.setdefault(example["label"], example)
    some = list(first.values())[:SHOWN]
    return [*some, *(example for example in found if example not in some)][: SHOWN + 1]


def _shown(example: Mapping[str, str], task: Task) -> Shown:
    asked = _cut(split.text_of(dict(example)))
    if task == "classify":
        return Shown(asked, example["label"])
    if task == "complete":
        return Shown("", asked)
    if task == "prompts":
        return Shown(asked, _cut(example.get("answer", "")))
    return Shown(asked, _cut(prepare.conversation(dict(example))[-1]["content"]), _cut(example.get("rejected", "")))


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else text[:LONGEST].rstrip() + " …"
