"""The six questions of the chooser, and what a set of answers must be."""

from collections.abc import Mapping
from dataclasses import dataclass

from studio.errors import BadData
from studio.plan import Task
from studio.wizard.texts import WORDS
from studio.words import Words

Answers = Mapping[str, str]
TASKS: dict[str, Task] = {"answers": "chat", "labels": "classify", "pairs": "prefer", "questions": "prompts", "texts": "complete"}
HAVE: dict[str, str] = {task: have for have, task in TASKS.items()}
# The most and the least examples of each amount.
AMOUNTS: dict[str, tuple[float, float]] = {"few": (0, 49), "some": (50, 500), "many": (500, 5_000), "lots": (5_000, float("inf"))}


@dataclass(frozen=True)
class Question:
    """One question with its choices; `why` says what the answer decides."""

    id: str
    asked: Words
    why: Words
    choices: tuple[tuple[str, Words], ...]


QUESTIONS = tuple(Question(name, found.asked, found.why, tuple(found.choices.items())) for name, found in WORDS.questions.items())


def amount(count: int) -> str:
    """The choice of `many` for a number of examples."""
    return next(name for name, (_, most) in AMOUNTS.items() if count <= most)


def short(answers: Answers) -> dict[str, Words]:
    """Every answer as it stands inside a sentence, by its question."""
    return {name: WORDS.questions[name].short[choice] for name, choice in answers.items()}


def problems(raw: object) -> list[Words]:
    """What is wrong with a whole set of answers, one sentence per question; empty where nothing is."""
    if not isinstance(raw, Mapping):
        kind = type(raw).__name__
        return [Words(f"expected lines such as `change: tone`, but got {kind}", f"应为 `change: tone` 这样的若干行，但得到的是 {kind}")]
    found = [Words(f"{name}: is not a question", f"{name}：没有这个问题") for name in raw if name not in WORDS.questions]
    for one in QUESTIONS:
        names, got = [name for name, _ in one.choices], raw.get(one.id)
        if one.id not in raw:
            found.append(Words(f"{one.id}: is missing ({', '.join(names)})", f"{one.id}：缺少答案（{'、'.join(names)}）"))
        elif got not in names:
            en = f"{one.id}: expected one of {', '.join(names)}, but got {got!r:.80}"
            found.append(Words(en, f"{one.id}：应为 {'、'.join(names)} 之一，但得到的是 {got!r:.80}"))
    return found


def checked(raw: object) -> dict[str, str]:
    """A whole set of answers; raises BadData with everything that is wrong with it."""
    found = problems(raw)
    if found or not isinstance(raw, Mapping):
        listed = Words("; ".join(one.en for one in found), "；".join(one.zh for one in found))
        raise BadData(WORDS.terminal["bad_answers"], WORDS.terminal["correct_answers"], problems=listed)
    return {one.id: str(raw[one.id]) for one in QUESTIONS}
