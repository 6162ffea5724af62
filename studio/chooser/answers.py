"""The six questions of the chooser, and what a set of answers must be."""

from collections.abc import Mapping
from dataclasses import dataclass

from studio.chooser.texts import TEXTS
from studio.errors import BadData
from studio.i18n import Message, join_messages
from studio.plan import Task

# The choice by question.
Answers = Mapping[str, str]
TASK_BY_DATA_KIND: dict[str, Task] = {
    "answers": "chat",
    "labels": "classify",
    "pairs": "prefer",
    "questions": "prompts",
    "texts": "complete",
}
DATA_KIND_BY_TASK: dict[str, str] = {task: data_kind for data_kind, task in TASK_BY_DATA_KIND.items()}
# The least and the most examples of each amount.
AMOUNT_RANGES: dict[str, tuple[float, float]] = {
    "few": (0, 49),
    "some": (50, 500),
    "many": (500, 5_000),
    "lots": (5_000, float("inf")),
}
NOT_A_MAPPING = Message("expected lines such as `change: tone`, but got {kind}")
UNKNOWN_QUESTION = Message("{name}: is not a question")
MISSING_ANSWER = Message("{question}: is missing ({names})")
UNKNOWN_CHOICE = Message("{question}: expected one of {names}, but got {got}")
PROBLEM_SEPARATOR = Message("; ")


@dataclass(frozen=True)
class Question:
    """One question with its choices; `why` says what the answer decides."""

    id: str
    text: Message
    why: Message
    choices: tuple[tuple[str, Message], ...]


QUESTIONS = tuple(
    Question(name, card.text, card.why, tuple(card.choices.items())) for name, card in TEXTS.questions.items()
)


def amount_choice(count: int) -> str:
    """The choice of `many` for a number of examples."""
    return next(name for name, (_, maximum) in AMOUNT_RANGES.items() if count <= maximum)


def short_texts(answers: Answers) -> dict[str, Message]:
    """Every answer as it stands inside a sentence, by its question."""
    return {name: TEXTS.questions[name].short[choice] for name, choice in answers.items()}


def answer_problems(raw: object) -> list[Message]:
    """What is wrong with a set of answers, one sentence for each question; empty where nothing is."""
    if not isinstance(raw, Mapping):
        return [NOT_A_MAPPING.format(kind=type(raw).__name__)]
    problems = [UNKNOWN_QUESTION.format(name=name) for name in raw if name not in TEXTS.questions]
    for question in QUESTIONS:
        names, answer = [name for name, _ in question.choices], raw.get(question.id)
        if question.id not in raw:
            problems.append(MISSING_ANSWER.format(question=question.id, names=names))
        elif answer not in names:
            problems.append(UNKNOWN_CHOICE.format(question=question.id, names=names, got=f"{answer!r:.80}"))
    return problems


def validate_answers(raw: object) -> dict[str, str]:
    """A complete set of answers; raises BadData with everything that is wrong with it."""
    problems = answer_problems(raw)
    if problems or not isinstance(raw, Mapping):
        raise BadData(
            TEXTS.terminal["bad_answers"],
            TEXTS.terminal["correct_answers"],
            problems=join_messages(problems, PROBLEM_SEPARATOR),
        )
    return {question.id: str(raw[question.id]) for question in QUESTIONS}
