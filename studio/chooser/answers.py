"""The six questions of the chooser, and what a set of answers must be."""

from collections.abc import Mapping
from dataclasses import dataclass

from studio.chooser.texts import TEXTS
from studio.errors import BadData
from studio.i18n import Message, join_messages
from studio.plan import Task

Answers = Mapping[str, str]
TASK_BY_DATA_KIND: dict[str, Task] = {
    "answers": "chat",
    "labels": "classify",
    "pairs": "prefer",
    "questions": "prompts",
    "texts": "complete",
}
DATA_KIND_BY_TASK: dict[str, str] = {task: data_kind for data_kind, task in TASK_BY_DATA_KIND.items()}
# The most and the least examples of each amount.
AMOUNT_RANGES: dict[str, tuple[float, float]] = {
    "few": (0, 49),
    "some": (50, 500),
    "many": (500, 5_000),
    "lots": (5_000, float("inf")),
}


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
    """What is wrong with a whole set of answers, one sentence per question; empty where nothing is."""
    if not isinstance(raw, Mapping):
        kind = type(raw).__name__
        return [Message("expected lines such as `change: tone`, but got {kind}").format(kind=kind)]
    messages = [
        Message("{name}: is not a question").format(name=name) for name in raw if name not in TEXTS.questions
    ]
    for question in QUESTIONS:
        names, got = [name for name, _ in question.choices], raw.get(question.id)
        if question.id not in raw:
            messages.append(
                Message("{question}: is missing ({names})").format(question=question.id, names=names)
            )
        elif got not in names:
            messages.append(
                Message("{question}: expected one of {names}, but got {got}").format(
                    question=question.id, names=names, got=f"{got!r:.80}"
                )
            )
    return messages


def validate_answers(raw: object) -> dict[str, str]:
    """A whole set of answers; raises BadData with everything that is wrong with it."""
    messages = answer_problems(raw)
    if messages or not isinstance(raw, Mapping):
        joined_messages = join_messages(messages, Message("; "))
        raise BadData(
            TEXTS.terminal["bad_answers"], TEXTS.terminal["correct_answers"], problems=joined_messages
        )
    return {item.id: str(raw[item.id]) for item in QUESTIONS}
