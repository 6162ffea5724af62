"""The guided chooser: six answers become a method with reasons and a ready plan, or the advice not to train."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from studio import methods, presets
from studio.data.columns import Guess
from studio.data.enough import wanted
from studio.estimate import load, table
from studio.estimate.figures import Estimate
from studio.estimate.machines import Place
from studio.methods import fits
from studio.models.shape import ModelShape
from studio.plan import MethodChoice, Plan, Task, Value
from studio.wizard import case as cases
from studio.wizard import prompt, rules, shut, texts
from studio.wizard.answers import AMOUNTS, HAVE, QUESTIONS, TASKS, Answers, Question, amount, checked, problems, short
from studio.wizard.case import Case
from studio.wizard.shut import LIMITS, Shut
from studio.wizard.texts import WORDS, said
from studio.words import Words

__all__ = ["QUESTIONS", "Answers", "Choice", "Estimates", "Question", "checked", "choose", "decide", "known", "prefill", "problems"]

# A loser that takes this many times as long as the winner, and so many minutes longer, is said to do so.
SLOWER, LONGER = 1.3, 1.0
Estimates = Callable[[Plan], Mapping[str, Estimate]]


@dataclass(frozen=True)
class Choice:
    """What the answers come to: a method with its ready plan, or advice (then `method`, `plan` and `estimate` are None).

    `reasons` are three sentences for a method, one for advice. `lost` says of every other method why it is not chosen, of advice it is
    empty unless the estimates led to it. `prompt` can be tried on the base model right away. `note` says where the plan stands on other
    data than the answers speak of.
    """

    method: str | None
    plan: Plan | None
    reasons: tuple[Words, ...]
    lost: dict[str, Words] = field(default_factory=dict)
    advice: Words | None = None
    prompt: Words | None = None
    estimate: Estimate | None = None
    note: Words | None = None


@dataclass(frozen=True)
class Ground:
    """What a decision stands on: the answers with their facts, the case and model, and for each method its estimate and what shuts it out."""

    answers: Answers
    facts: dict[str, str]
    case: Case
    model: str
    place: Place
    shape: ModelShape | None
    found: Mapping[str, Estimate]
    shut: dict[str, Shut]


def by_table(place: Place) -> Estimates:
    """The estimates of the comparison table for plans on a machine, with what has been traced before; takes milliseconds."""

    def made(plan: Plan) -> Mapping[str, Estimate]:
        base = table.base(plan.model)
        settings = {plan.method.name: methods.get(plan.method.name).settle(plan.method.settings)}
        return table.estimates(plan, place, settings, base, load.lengths(plan, base.folder))

    return made


def prefill(source: str, place: Place, given: Guess | None = None, estimates: Estimates | None = None, model: str = "") -> dict[str, str]:
    """What the data, the machine and the estimates answer already, by question; what nobody knows is left out.

    `given` is the task and the columns a person set for the data, `model` the base model they chose. Raises BadData where the data cannot
    be read.
    """
    own = cases.of(source, given)
    if not own:
        return known("", 0, 0, place)
    quickest = None
    if not own.unfit:
        plan = _plan(own, model or cases.base_model(own, place, phone=False), _first(own.task), {})
        found = (estimates or by_table(place))(plan)
        quickest = min((one for one in found.values() if one.fits != "no" and one.minutes), key=_minutes, default=None)
    return known(own.task, own.count, len(own.labels), place, quickest)


def known(task: Task | str, count: int, labels: int, place: Place, quickest: Estimate | None = None) -> dict[str, str]:
    """The answers that follow from data of a task ("" for none) with `count` examples and so many labels, on a machine.

    `quickest` is the estimate of the method that takes least time there. Pure.
    """
    found: dict[str, str] = {}
    if labels or task == "prompts":
        found["change"] = "decisions"
    if task in HAVE:
        found |= {"have": HAVE[task], "many": amount(count)}
    # Where nothing speaks for a place, the answer that assumes none stands filled in.
    found["where"] = "cloud" if place.price_per_hour else "unknown"
    least = [name for name in LIMITS if not quickest or not shut.beyond(quickest, place, name)]
    found["budget"] = "small" if place.price_per_hour and not quickest else least[0]
    return found


def choose(
    answers: Answers, source: str, place: Place, estimates: Estimates | None = None, given: Guess | None = None, model: str = ""
) -> Choice:
    """The method for a whole set of answers and the data at hand, trained on `place`; depends on nothing else but `estimates`.

    `source` names the data as a plan does ("" for none), `given` is the task and the columns a person set for it. `model` is a base model
    that a person chose; one that suits is taken where it is empty. Raises BadData where an answer is wrong or the data cannot be read.
    """
    return decide(checked(answers), cases.of(source, given), place, estimates or by_table(place), model)


def decide(answers: Answers, own: Case | None, place: Place, estimates: Estimates, model: str = "") -> Choice:
    """As `choose`, for answers that have been checked and data that has been read."""
    line = rules.first(rules.ADVICE, answers)
    tried = prompt.fitting(answers, own)
    if line and line.name:
        least = wanted("", TASKS.get(answers["have"], "chat"))[0]
        found = WORDS.advice[line.name]
        told = {**short(answers), "wanted": least}
        return Choice(None, None, (said(found.why, **told),), advice=said(found.instead, **told), prompt=tried)
    ground = _looked_at(answers, cases.suited(own, TASKS[answers["have"]]), place, estimates, model)
    for name in _ranked(ground):
        settings = _settings(name, ground)
        plan = _plan(ground.case, ground.model, name, settings)
        if settings:  # the first look was at every method's defaults
            ground = _looked_again(ground, name, estimates(plan).get(name))
        if name not in ground.shut:
            facts = {**ground.facts, "won": name}
            lost = {other: _lost(other, name, replace(ground, facts=facts)) for other in presets.methods() if other != name}
            reasons = _reasons(name, ground)
            return Choice(name, plan, reasons, lost, None, tried, ground.found.get(name), _note(ground, own, name, reasons))
    return _nothing_left(ground, tried, own)


def _looked_at(answers: Answers, case: Case, place: Place, estimates: Estimates, model: str) -> Ground:
    model = model or cases.base_model(case, place, answers["where"] == "phone")
    shape = table.base(model).shape
    found = estimates(_plan(case, model, _first(case.task), {}))
    out = {name: shut.out(name, case.task, answers, place, shape, found.get(name)) for name in presets.methods()}
    fit = found["lora"].fits if "lora" in found else "unknown"
    facts = {
        **answers,
        "base": "reader" if shape and shape.encoder else "writer",
        "practice": "out" if out["rlhf"] else "able",
        "room": {"no": "short", "unknown": "open"}.get(fit, "enough"),
    }
    return Ground(answers, facts, case, model, place, shape, found, {name: why for name, why in out.items() if why})


def _looked_again(ground: Ground, name: str, found: Estimate | None) -> Ground:
    """The same with a method's estimate under the settings it would have."""
    why = shut.out(name, ground.case.task, ground.answers, ground.place, ground.shape, found)
    others = {other: one for other, one in ground.shut.items() if other != name}
    return replace(ground, found={**ground.found, **({name: found} if found else {})}, shut=others | ({name: why} if why else {}))


def _ranked(ground: Ground) -> list[str]:
    """The methods that something speaks for and nothing against but, perhaps, other settings; the most points first, then by the table."""
    scores = {name: sum(points for points, _ in rules.points(name, ground.facts)) for name in presets.methods()}
    able = [name for name in scores if scores[name] and (name not in ground.shut or _settings(name, ground))]
    return sorted(able, key=lambda name: -scores[name])


def _settings(name: str, ground: Ground) -> dict[str, Value]:
    return {key: value for _, rule in rules.points(name, ground.facts) for key, value in rule.settings.items()}


def _plan(case: Case, model: str, name: str, settings: Mapping[str, Value]) -> Plan:
    """The ready plan; what is left out of its training takes its default."""
    title = f"{presets.methods()[name].name.en} · {texts.model(model).en}"
    return Plan(name=title[:120], task=case.task, model=model, data=case.data, method=MethodChoice(name=name, settings=dict(settings)))


def _first(task: Task) -> str:
    return next(name for name in presets.methods() if task in fits.tasks(name))


def _minutes(found: Estimate) -> float:
    return found.minutes.likely if found.minutes else math.inf


def _told(name: str, ground: Ground) -> dict[str, object]:
    """Everything a sentence about a method may mention."""
    found, lora = ground.found.get(name), ground.found.get("lora")
    money = found.money if found and found.money and found.money.likely else None
    return {
        **short(ground.answers),
        "method": WORDS.names[name],
        "place": texts.place(ground.place),
        "model": texts.model(ground.model),
        "count": f"{ground.case.count:,}",
        "wanted": f"{wanted(name, ground.case.task)[0]:,}",
        "need": texts.gigabytes(found.memory_gb.likely) if found and found.memory_gb else "",
        "room": texts.gigabytes(found.room_gb) if found and found.room_gb is not None else "",
        "over": texts.gigabytes(shut.over(found)) if found else "",
        "lora_over": texts.gigabytes(shut.over(lora)) if lora else "",
        "time": texts.lasting(found.minutes.likely) if found and found.minutes else "",
        "cost": WORDS.cost.filled(price=texts.price(money, found.currency)) if found and money else "",
    }


def _reasons(name: str, ground: Ground) -> tuple[Words, ...]:
    """Three sentences: what speaks most for a method, what else does (or how the data stands to what it wants), and what it takes here."""
    told, found = _told(name, ground), ground.found.get(name)
    top, *others = (rule.name for _, rule in rules.points(name, ground.facts))
    more = next((WORDS.rules[other] for other in others if other != "light"), None)
    takes = {"tight": WORDS.tight, "yes": WORDS.fits}.get(found.fits if found else "", WORDS.open)
    return tuple(said(sentence, **told) for sentence in (WORDS.rules[top], more or _amount(name, ground), takes))


def _amount(name: str, ground: Ground) -> Words:
    """Whether there are as many examples as a method wants: by their count where the answer agrees with it, else by the answer."""
    many, least = ground.answers["many"], wanted(name, ground.case.task)[0]
    if ground.case.lent or amount(ground.case.count) != many:
        return WORDS.enough if least <= AMOUNTS[many][0] else WORDS.nearly
    return WORDS.enough if least <= ground.case.count else WORDS.under


def _lost(name: str, winner: str, ground: Ground) -> Words:
    """Why a method lost, in one line."""
    if name in ground.shut:
        return ground.shut[name].line
    line = rules.first(rules.LOST, ground.facts, name)
    assert line is not None
    told = {**_told(name, ground), "winner": WORDS.names[winner]}
    found = said(WORDS.lost[line.name], **told)
    its, won = (_minutes(ground.found[one]) if one in ground.found else math.inf for one in (name, winner))
    if line.timed and won + LONGER < its < math.inf and its > SLOWER * won:
        return said(WORDS.slower, line=found, its=texts.lasting(its), won=texts.lasting(won))
    return found


def _note(ground: Ground, own: Case | None, name: str = "", reasons: tuple[Words, ...] = ()) -> Words | None:
    """Where the plan's data is not what the answers speak of, or less than the method wants and no reason says so."""
    case = ground.case
    if case.lent:
        kind = "none" if not own else "unfit" if own.unfit and own.task == case.task else "sample"
        return said(WORDS.notes[kind], sample=case.lent, why=own.unfit if own and own.unfit else "", **short(ground.answers))
    if amount(case.count) != ground.answers["many"]:
        return said(WORDS.notes["count"], count=f"{case.count:,}")
    few = name and _amount(name, ground) is WORDS.under and said(WORDS.under, **_told(name, ground))
    return few if few and few not in reasons else None


def _nothing_left(ground: Ground, tried: Words, own: Case | None) -> Choice:
    """The advice where everything that could learn from the data is shut out: the nearest way to one that is not."""
    able = {name: why for name, why in ground.shut.items() if why.kind != "data" and rules.points(name, ground.facts)}
    kind = next(kind for kind in ("budget", "room", "few", "refused") if kind in {why.kind for why in able.values()})
    of_kind = [name for name, why in able.items() if why.kind == kind]
    estimated = [name for name in of_kind if name in ground.found]
    name = min(
        estimated, key=lambda one: shut.over(ground.found[one]) if kind == "room" else _minutes(ground.found[one]), default=of_kind[0]
    )
    refused = fits.refusal(name, ground.case.task, ground.shape)
    told = {**_told(name, ground), "refused": refused.why if refused else "", "nearest": refused.nearest if refused else ""}
    found = WORDS.advice["short" if kind == "few" else kind]
    lost = {other: ground.shut[other].line for other in presets.methods() if other in ground.shut}
    return Choice(None, None, (said(found.why, **told),), lost, said(found.instead, **told), tried, None, _note(ground, own))
