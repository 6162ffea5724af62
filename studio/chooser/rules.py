"""How the chooser weighs methods: conditions on the answers, and what holds under them.

What speaks for a method, why it was not chosen and what it says of other data stands in the method's card
(presets/methods/), with the source of each rule; what several methods share stands in presets/chooser.yaml.
What speaks against training at all stands here.

Points: 8 and more decide, 1 to 3 only tell the others apart; what the result has to be (for a phone; within
memory) comes before all else. A method without points is never chosen.

A condition names questions with the choices under which it holds, any of them. Beside the six questions
there are facts:

- `base`: whether the base model is a `reader` or a `writer`.
- `judged`: how the answers of the person's own data are judged: in `pairs`, or by `thumbs` alone.
- `results`: whether the person's own questions come with their results: `known` or `open`.
- `METHOD.room`: whether that method fits into memory at its defaults: `enough`, `short` or `open`
  (not known).
- `METHOD.state`: whether that method is `able` to run at its defaults, or `out`.
- `won`: the method that was chosen.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from studio import presets
from studio.chooser.texts import TEXTS
from studio.i18n import Message
from studio.plan import Value
from studio.presets import Condition

Facts = Mapping[str, str]


@dataclass(frozen=True)
class Reason:
    """Something that speaks for a method: its points, the sentence, and what the plan then sets."""

    points: int
    when: Condition
    text: Message
    settings: Mapping[str, Value]

    @property
    def is_general(self) -> bool:
        """Whether it holds under all answers, and so says nothing about them."""
        return not self.when


@dataclass(frozen=True)
class Rejection:
    """Why a method that could run was not chosen; `timed` adds how much longer it would take."""

    when: Condition
    text: Message
    timed: bool = True


@dataclass(frozen=True)
class Advice:
    """Advice that is given under these answers; "" sends on to the methods.

    Its words stand in presets/chooser.yaml, under the same name.
    """

    name: str
    when: Condition


def when(**choices: str) -> Condition:
    """`when(have="answers texts", apart="far")`: either of the first two and the last."""
    return {name: tuple(value.split()) for name, value in choices.items()}


def holds(condition: Condition, facts: Facts) -> bool:
    """Whether the answers and facts are among those of a condition."""
    return all(facts.get(name) in choices for name, choices in condition.items())


# The first line that holds says what to do instead of training.
ADVICE = (
    # A field's language can be trained (Gururangan et al. 2020, Don't Stop Pretraining); its facts are in
    # the reason `look_up`.
    Advice("", when(change="knowledge", have="answers texts", apart="far", many="many lots")),
    # Ovadia et al. 2023.
    Advice("facts", when(change="knowledge")),
    Advice("nothing", when(have="nothing")),
    Advice("labels_manner", when(have="labels", change="tone format")),
    # Ji et al. 2025: the model learns from itself alone.
    Advice("alone_manner", when(have="questions", change="tone format")),
    # OpenAI's fine-tuning guide: improvements show from 50 examples on.
    Advice("few", when(many="few", have="answers labels pairs texts")),
    # Ji et al. 2025: small gains on weak models.
    Advice("alone_far", when(have="questions", apart="far")),
    Advice("texts_decisions", when(have="texts", change="decisions")),
)


def find_advice(facts: Facts) -> str:
    """The name of the first advice that holds; empty where a method is to be chosen."""
    for advice in ADVICE:
        if holds(advice.when, facts):
            return advice.name
    return ""


def method_reasons(method: str) -> list[Reason]:
    """Everything that can speak for a method, in the order of its card."""
    reasons = []
    for card in presets.methods()[method].chooser.reasons:
        shared = TEXTS.reasons.get(card.shared)
        if shared:
            reasons.append(Reason(card.points, shared.when, shared.text, card.settings))
        elif card.text:
            reasons.append(Reason(card.points, card.when, card.text, card.settings))
    return reasons


def matching_reasons(method: str, facts: Facts) -> list[Reason]:
    """What speaks for a method under these facts, the most points first."""
    matches = [reason for reason in method_reasons(method) if holds(reason.when, facts)]
    return sorted(matches, key=lambda reason: -reason.points)


def method_rejections(method: str) -> list[Rejection]:
    """Why a method may not be chosen, in the order of its card; the last holds under all answers."""
    rejections = []
    for card in presets.methods()[method].chooser.rejections:
        shared = TEXTS.rejections.get(card.shared)
        if shared:
            rejections.append(Rejection(shared.when, shared.text, card.timed))
        elif card.text:
            rejections.append(Rejection(card.when, card.text, card.timed))
    return [*rejections, Rejection({}, TEXTS.rejections["other"].text)]


def find_rejection(method: str, facts: Facts) -> Rejection:
    """The first reason that holds for a method not to be chosen."""
    return next(rejection for rejection in method_rejections(method) if holds(rejection.when, facts))
