"""Passes that were traced, and the questions that are still open: the closed form, set right by what a trace found at a few lengths."""

from collections.abc import Iterable
from typing import Any

from studio import methods
from studio.estimate import desk, formula, memory
from studio.estimate.machines import Place
from studio.estimate.tally import WORK, Tally
from studio.methods.base import Method, Settings
from studio.methods.touch import Touch
from studio.methods.work import Load, Phase, Portion
from studio.words import Words


class Traced:
    """What is known now of one model on one kind of machine, looked up once. `config` is the model's, as transformers has it."""

    def __init__(self, config: dict[str, Any], place: Place) -> None:
        self.config, self.place = config, place
        self._known: dict[tuple[object, ...], tuple[Method, Settings, Touch, int]] = {}
        self._answers: dict[tuple[object, ...], dict[str, Any] | None] = {}
        self.device = "cpu" if place.kind == "processor" else "cuda"

    def open(self, method: Method, settings: Settings, load: Load) -> list[dict[str, Any]]:
        """The questions whose answers an estimate of this method still lacks, and that have not just been refused."""
        return [one for one in self._questions(method, settings, load) if desk.known(one) is None and desk.refused(one) is None]

    def stuck(self, method: Method, settings: Settings, load: Load) -> Words | None:
        """Why a question of this method could not be answered; None where none was refused."""
        if not desk.troubled():
            return None
        found = (desk.refused(one) for one in self._questions(method, settings, load))
        return next((why for why in found if why), None)

    def _questions(self, method: Method, settings: Settings, load: Load) -> list[dict[str, Any]]:
        asked = [
            self._question(method, settings, load, phase, portion)
            for phase in method.work(settings, load)
            for portion in _knots(phase.portions)
        ]
        return list({str(one): one for one in asked}.values())

    def __call__(self, method: Method, settings: Settings, load: Load, phase: Phase, portion: Portion) -> Tally | None:
        """The closed form's tally times what the traces at the shortest and longest portion of the phase took more or less."""
        knots = _knots(phase.portions) if portion in phase.portions else (portion,)
        found = [(knot, self._answer(method, settings, load, phase, knot)) for knot in knots]
        if not found or any(answer is None for _, answer in found):
            return None
        truths = [(knot, Tally(**answer["tally"])) for knot, answer in found if answer]
        exact = next((tally for knot, tally in truths if knot == portion), None)
        if exact:
            return _share(exact, phase)
        plain = self._formula(method, settings, load, phase, portion)
        guesses = [self._formula(method, settings, load, phase, knot) for knot, _ in truths]
        low, high = truths[0][0].tokens, truths[-1][0].tokens
        share = (portion.tokens - low) / max(high - low, 1)
        for name in WORK:
            ratios = [getattr(truth, name) / max(getattr(guess, name), 1.0) for (_, truth), guess in zip(truths, guesses, strict=True)]
            setattr(plain, name, max(getattr(plain, name), 1.0) * ((1 - share) * ratios[0] + share * ratios[-1]))
        return _share(plain, phase)

    def _formula(self, method: Method, settings: Settings, load: Load, phase: Phase, portion: Portion) -> Tally:
        under, _, touch, trained = self._attached(method, settings, load, phase)
        whole = Phase(phase.name, (), phase.under, phase.learn, head=phase.head, new=phase.new)
        return formula.passed(load.shape, whole, portion, touch, self.device, self._again(under, load, phase), trained)

    def _attached(self, method: Method, settings: Settings, load: Load, phase: Phase) -> tuple[Method, Settings, Touch, int]:
        """The method that is attached in a phase, its settings, how it touches a pass, and how many numbers it trains; worked out once."""
        key = (method.name, phase.under, load.labels, *settings.items())
        if key not in self._known:
            under, inside = _under(method, settings, phase)
            touch, trained = under.touch(load.shape, inside), under.footprint(load.shape, inside, load.labels).trainable
            self._known[key] = (under, inside, touch, trained)
        return self._known[key]

    def _again(self, under: Method, load: Load, phase: Phase) -> bool:
        return phase.learn and memory.recomputes(under, load, self.place)

    def _answer(self, method: Method, settings: Settings, load: Load, phase: Phase, portion: Portion) -> dict[str, Any] | None:
        under, inside, _, _ = self._attached(method, settings, load, phase)
        how = (phase.head, phase.learn, phase.new > 0, load.labels, self._again(under, load, phase))
        key = (under.name, id(inside), *how, portion)  # `inside` lives as long as this: it is kept in `_known`
        if key not in self._answers:
            self._answers[key] = desk.known(self._question(method, settings, load, phase, portion))
        return self._answers[key]

    def _question(self, method: Method, settings: Settings, load: Load, phase: Phase, portion: Portion) -> dict[str, Any]:
        under, inside, _, trained = self._attached(method, settings, load, phase)
        classes = phase.head == "classes"
        model = {
            "config": self.config,
            "name": under.name,
            "settings": dict(inside),
            "task": "classify" if classes else "chat",
            "labels": (load.labels or 1) if classes else 0,
            "device": self.device,
            "bf16": self.place.bf16,
            "recompute": self._again(under, load, phase),
        }
        asked = {
            "rows": portion.rows,
            "tokens": portion.tokens,
            "scored": max(portion.scored, 1),
            "padded": portion.padded,
            "learn": phase.learn,
            "cache": phase.new > 0,
        }
        states = not memory.paged(under, trained, self.place)
        return {"what": "trace", "model": model, "pass": asked, "states": states}


def _knots(portions: Iterable[Portion]) -> tuple[Portion, ...]:
    """The shortest and the longest portion of a phase."""
    order = sorted(portions, key=lambda portion: (portion.tokens, portion.scored))
    return tuple(dict.fromkeys((order[0], order[-1]))) if order else ()


def _under(method: Method, settings: Settings, phase: Phase) -> tuple[Method, Settings]:
    """The method that is attached in a phase, with its settings; a base that is asked alone is a whole model that learns nothing."""
    under = methods.get(phase.under or "full")
    return under, settings if under is method else under.settle({})


def _share(tally: Tally, phase: Phase) -> Tally:
    """A pass through some of the blocks only."""
    found = tally.times(phase.blocks)
    found.peak, found.spare, found.parts = tally.peak, tally.spare, tally.parts
    return found
