"""The guided chooser: six answers become a method with reasons and a ready plan, or the advice not to train."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from studio import methods, presets
from studio.chooser import dataset_summary as cases
from studio.chooser import exclusions, prompt, rules, texts
from studio.chooser.answers import (
    AMOUNT_RANGES,
    DATA_KIND_BY_TASK,
    QUESTIONS,
    TASK_BY_DATA_KIND,
    Answers,
    Question,
    amount_choice,
    answer_problems,
    short_texts,
    validate_answers,
)
from studio.chooser.dataset_summary import DatasetSummary
from studio.chooser.exclusions import BUDGET_LIMITS, Exclusion
from studio.chooser.texts import TEXTS, fill_sentence
from studio.data.quality.minimum_examples import get_min_examples
from studio.data.schema.infer_roles import RoleGuess
from studio.estimate import all_methods, dataset_lengths
from studio.estimate.machines.catalogue import Machine
from studio.estimate.types import Estimate
from studio.i18n import Message
from studio.methods import compatibility
from studio.models.shape import ModelShape
from studio.plan import MethodChoice, Plan, Task, Value

__all__ = [
    "QUESTIONS",
    "Answers",
    "Choice",
    "Estimator",
    "Question",
    "answer_problems",
    "choose",
    "decide",
    "known_answers",
    "prefill",
    "validate_answers",
]

# A loser that takes this many times as long as the winner, and so many minutes longer, is said to do so.
SLOWER_FACTOR, SLOWER_MINUTES = 1.3, 1.0
Estimator = Callable[[Plan], Mapping[str, Estimate]]


@dataclass(frozen=True)
class Choice:
    """What the answers come to: a method with its ready plan, or advice (then `method`, `plan` and `estimate` are None).

    `reasons` are three sentences for a method, one for advice. `lost` says of every other method why it is not chosen, of advice it is
    empty unless the estimates led to it. `prompt` can be tried on the base model right away. `note` says where the plan stands on other
    data than the answers speak of.
    """

    method: str | None
    plan: Plan | None
    reasons: tuple[Message, ...]
    rejections: dict[str, Message] = field(default_factory=dict)
    advice: Message | None = None
    prompt: Message | None = None
    estimate: Estimate | None = None
    note: Message | None = None


@dataclass(frozen=True)
class DecisionContext:
    """What a decision stands on: the answers with their facts, the case and model, and for each method its estimate and what shuts it out."""

    answers: Answers
    facts: dict[str, str]
    dataset: DatasetSummary
    model: str
    machine: Machine
    shape: ModelShape | None
    estimates: Mapping[str, Estimate]
    exclusions: dict[str, Exclusion]


def table_estimator(machine: Machine) -> Estimator:
    """The estimates of the comparison table for plans on a machine, with what has been traced before; takes milliseconds."""

    def estimate(plan: Plan) -> Mapping[str, Estimate]:
        base = all_methods.find_base_model(plan.model)
        settings = {plan.method.name: methods.get(plan.method.name).resolve_settings(plan.method.settings)}
        return all_methods.estimate_all_methods(
            plan, machine, settings, base, dataset_lengths.measure_lengths(plan, base.folder)
        )

    return estimate


def prefill(
    source: str,
    machine: Machine,
    guess: RoleGuess | None = None,
    estimator: Estimator | None = None,
    model: str = "",
) -> dict[str, str]:
    """What the data, the machine and the estimates answer already, by question; what nobody knows is left out.

    `given` is the task and the columns a person set for the data, `model` the base model they chose. Raises BadData where the data cannot
    be read.
    """
    user_dataset = cases.summarize(source, guess)
    if not user_dataset:
        return known_answers("", 0, 0, machine)
    fastest = None
    if not user_dataset.unusable_reason:
        plan = _build_plan(
            user_dataset,
            model or cases.choose_base_model(user_dataset, machine, phone=False),
            _first_method(user_dataset.task),
            {},
        )
        estimates = (estimator or table_estimator(machine))(plan)
        fastest = min(
            (estimate for estimate in estimates.values() if estimate.fits != "no" and estimate.minutes),
            key=_likely_minutes,
            default=None,
        )
    return known_answers(user_dataset.task, user_dataset.count, len(user_dataset.labels), machine, fastest)


def known_answers(
    task: Task | str, count: int, labels: int, machine: Machine, fastest: Estimate | None = None
) -> dict[str, str]:
    """The answers that follow from data of a task ("" for none) with `count` examples and so many labels, on a machine.

    `quickest` is the estimate of the method that takes least time there. Pure.
    """
    answers: dict[str, str] = {}
    if labels or task == "prompts":
        answers["change"] = "decisions"
    if task in DATA_KIND_BY_TASK:
        answers |= {"have": DATA_KIND_BY_TASK[task], "many": amount_choice(count)}
    # Where nothing speaks for a place, the answer that assumes none stands filled in.
    answers["where"] = "cloud" if machine.price_per_hour else "unknown"
    affordable = [
        name for name in BUDGET_LIMITS if not fastest or not exclusions.over_budget(fastest, machine, name)
    ]
    answers["budget"] = "small" if machine.price_per_hour and not fastest else affordable[0]
    return answers


def choose(
    answers: Answers,
    source: str,
    machine: Machine,
    estimator: Estimator | None = None,
    guess: RoleGuess | None = None,
    model: str = "",
) -> Choice:
    """The method for a whole set of answers and the data at hand, trained on `place`; depends on nothing else but `estimates`.

    `source` names the data as a plan does ("" for none), `given` is the task and the columns a person set for it. `model` is a base model
    that a person chose; one that suits is taken where it is empty. Raises BadData where an answer is wrong or the data cannot be read.
    """
    return decide(
        validate_answers(answers),
        cases.summarize(source, guess),
        machine,
        estimator or table_estimator(machine),
        model,
    )


def decide(
    answers: Answers,
    user_dataset: DatasetSummary | None,
    machine: Machine,
    estimator: Estimator,
    model: str = "",
) -> Choice:
    """As `choose`, for answers that have been checked and data that has been read."""
    explanation = rules.first_match(rules.ADVICE, answers)
    trial_prompt = prompt.build_prompt(answers, user_dataset)
    if explanation and explanation.name:
        min_examples = get_min_examples("", TASK_BY_DATA_KIND.get(answers["have"], "chat"))[0]
        advice = TEXTS.advice[explanation.name]
        values = {**short_texts(answers), "wanted": min_examples}
        return Choice(
            None,
            None,
            (fill_sentence(advice.why, **values),),
            advice=fill_sentence(advice.instead, **values),
            prompt=trial_prompt,
        )
    context = _build_context(
        answers,
        cases.dataset_for_task(user_dataset, TASK_BY_DATA_KIND[answers["have"]]),
        machine,
        estimator,
        model,
    )
    for name in _rank_methods(context):
        settings = _rule_settings(name, context)
        plan = _build_plan(context.dataset, context.model, name, settings)
        if settings:  # the first look was at every method's defaults
            context = _update_context(context, name, estimator(plan).get(name))
        if name not in context.exclusions:
            facts = {**context.facts, "won": name}
            rejections = {
                other: _explain_rejection(other, name, replace(context, facts=facts))
                for other in presets.methods()
                if other != name
            }
            reasons = _build_reasons(name, context)
            return Choice(
                name,
                plan,
                reasons,
                rejections,
                None,
                trial_prompt,
                context.estimates.get(name),
                _data_note(context, user_dataset, name, reasons),
            )
    return _advise_without_method(context, trial_prompt, user_dataset)


def _build_context(
    answers: Answers, dataset: DatasetSummary, machine: Machine, estimator: Estimator, model: str
) -> DecisionContext:
    model = model or cases.choose_base_model(dataset, machine, answers["where"] == "phone")
    shape = all_methods.find_base_model(model).shape
    estimates = estimator(_build_plan(dataset, model, _first_method(dataset.task), {}))
    excluded = {
        name: exclusions.exclusion(name, dataset.task, answers, machine, shape, estimates.get(name))
        for name in presets.methods()
    }
    lora_fit = estimates["lora"].fits if "lora" in estimates else "unknown"
    facts = {
        **answers,
        "base": "reader" if shape and shape.encoder else "writer",
        "practice": "out" if excluded["rlhf"] else "able",
        "room": {"no": "short", "unknown": "open"}.get(lora_fit, "enough"),
    }
    return DecisionContext(
        answers,
        facts,
        dataset,
        model,
        machine,
        shape,
        estimates,
        {name: exclusion for name, exclusion in excluded.items() if exclusion},
    )


def _update_context(context: DecisionContext, name: str, estimate: Estimate | None) -> DecisionContext:
    """The same with a method's estimate under the settings it would have."""
    exclusion = exclusions.exclusion(
        name, context.dataset.task, context.answers, context.machine, context.shape, estimate
    )
    others = {
        other: other_exclusion for other, other_exclusion in context.exclusions.items() if other != name
    }
    return replace(
        context,
        estimates={**context.estimates, **({name: estimate} if estimate else {})},
        exclusions=others | ({name: exclusion} if exclusion else {}),
    )


def _rank_methods(context: DecisionContext) -> list[str]:
    """The methods that something speaks for and nothing against but, perhaps, other settings; the most points first, then by the table."""
    scores = {
        name: sum(points for points, _ in rules.matching_rules(name, context.facts))
        for name in presets.methods()
    }
    candidates = [
        name
        for name in scores
        if scores[name] and (name not in context.exclusions or _rule_settings(name, context))
    ]
    return sorted(candidates, key=lambda name: -scores[name])


def _rule_settings(name: str, context: DecisionContext) -> dict[str, Value]:
    return {
        key: value
        for _, rule in rules.matching_rules(name, context.facts)
        for key, value in rule.settings.items()
    }


def _build_plan(dataset: DatasetSummary, model: str, name: str, settings: Mapping[str, Value]) -> Plan:
    """The ready plan; what is left out of its training takes its default."""
    title = f"{presets.methods()[name].name.render()} · {texts.model_name(model).render()}"
    return Plan(
        name=title[:120],
        task=dataset.task,
        model=model,
        data=dataset.data,
        method=MethodChoice(name=name, settings=dict(settings)),
    )


def _first_method(task: Task) -> str:
    return next(name for name in presets.methods() if task in compatibility.supported_tasks(name))


def _likely_minutes(estimate: Estimate) -> float:
    return estimate.minutes.likely if estimate.minutes else math.inf


def _sentence_values(name: str, context: DecisionContext) -> dict[str, object]:
    """Everything a sentence about a method may mention."""
    estimate, lora_estimate = context.estimates.get(name), context.estimates.get("lora")
    money = estimate.money if estimate and estimate.money and estimate.money.likely else None
    return {
        **short_texts(context.answers),
        "method": TEXTS.names[name],
        "place": texts.machine_name(context.machine),
        "model": texts.model_name(context.model),
        "count": f"{context.dataset.count:,}",
        "wanted": f"{get_min_examples(name, context.dataset.task)[0]:,}",
        "need": texts.format_gb(estimate.memory_gb.likely) if estimate and estimate.memory_gb else "",
        "room": texts.format_gb(estimate.room_gb) if estimate and estimate.room_gb is not None else "",
        "over": texts.format_gb(exclusions.missing_gb(estimate)) if estimate else "",
        "lora_over": texts.format_gb(exclusions.missing_gb(lora_estimate)) if lora_estimate else "",
        "time": texts.format_duration(estimate.minutes.likely) if estimate and estimate.minutes else "",
        "cost": TEXTS.cost.format(price=texts.format_price(money, estimate.currency))
        if estimate and money
        else "",
    }


def _build_reasons(name: str, context: DecisionContext) -> tuple[Message, ...]:
    """Three sentences: what speaks most for a method, what else does (or how the data stands to what it wants), and what it takes here."""
    values, estimate = _sentence_values(name, context), context.estimates.get(name)
    top, *others = (rule.name for _, rule in rules.matching_rules(name, context.facts))
    second = next((TEXTS.rules[other] for other in others if other != "light"), None)
    cost_sentence = {"tight": TEXTS.tight, "yes": TEXTS.fits}.get(
        estimate.fits if estimate else "", TEXTS.open
    )
    return tuple(
        fill_sentence(sentence, **values)
        for sentence in (TEXTS.rules[top], second or _amount_sentence(name, context), cost_sentence)
    )


def _amount_sentence(name: str, context: DecisionContext) -> Message:
    """Whether there are as many examples as a method wants: by their count where the answer agrees with it, else by the answer."""
    amount_answer, min_examples = context.answers["many"], get_min_examples(name, context.dataset.task)[0]
    if context.dataset.sample_name or amount_choice(context.dataset.count) != amount_answer:
        return TEXTS.enough if min_examples <= AMOUNT_RANGES[amount_answer][0] else TEXTS.nearly
    return TEXTS.enough if min_examples <= context.dataset.count else TEXTS.under


def _explain_rejection(name: str, winner: str, context: DecisionContext) -> Message:
    """Why a method lost, in one line."""
    if name in context.exclusions:
        return context.exclusions[name].message
    explanation = rules.first_match(rules.REJECTIONS, context.facts, name)
    assert explanation is not None
    values = {**_sentence_values(name, context), "winner": TEXTS.names[winner]}
    sentence = fill_sentence(TEXTS.lost[explanation.name], **values)
    minutes, winner_minutes = (
        _likely_minutes(context.estimates[method]) if method in context.estimates else math.inf
        for method in (name, winner)
    )
    if (
        explanation.timed
        and winner_minutes + SLOWER_MINUTES < minutes < math.inf
        and minutes > SLOWER_FACTOR * winner_minutes
    ):
        return fill_sentence(
            TEXTS.slower,
            line=sentence,
            its=texts.format_duration(minutes),
            won=texts.format_duration(winner_minutes),
        )
    return sentence


def _data_note(
    context: DecisionContext,
    user_dataset: DatasetSummary | None,
    name: str = "",
    reasons: tuple[Message, ...] = (),
) -> Message | None:
    """Where the plan's data is not what the answers speak of, or less than the method wants and no reason says so."""
    dataset = context.dataset
    if dataset.sample_name:
        kind = (
            "none"
            if not user_dataset
            else "unfit"
            if user_dataset.unusable_reason and user_dataset.task == dataset.task
            else "sample"
        )
        return fill_sentence(
            TEXTS.notes[kind],
            sample=dataset.sample_name,
            why=user_dataset.unusable_reason if user_dataset and user_dataset.unusable_reason else "",
            **short_texts(context.answers),
        )
    if amount_choice(dataset.count) != context.answers["many"]:
        return fill_sentence(TEXTS.notes["count"], count=f"{dataset.count:,}")
    shortage = (
        name
        and _amount_sentence(name, context) is TEXTS.under
        and fill_sentence(TEXTS.under, **_sentence_values(name, context))
    )
    return shortage if shortage and shortage not in reasons else None


def _advise_without_method(
    context: DecisionContext, trial_prompt: Message, user_dataset: DatasetSummary | None
) -> Choice:
    """The advice where everything that could learn from the data is shut out: the nearest way to one that is not."""
    candidates = {
        name: exclusion
        for name, exclusion in context.exclusions.items()
        if exclusion.kind != "data" and rules.matching_rules(name, context.facts)
    }
    kind = next(
        kind
        for kind in ("budget", "room", "few", "refused")
        if kind in {exclusion.kind for exclusion in candidates.values()}
    )
    same_kind = [name for name, exclusion in candidates.items() if exclusion.kind == kind]
    estimated = [name for name in same_kind if name in context.estimates]
    name = min(
        estimated,
        key=lambda method: (
            exclusions.missing_gb(context.estimates[method])
            if kind == "room"
            else _likely_minutes(context.estimates[method])
        ),
        default=same_kind[0],
    )
    refusal = compatibility.find_incompatibility(name, context.dataset.task, context.shape)
    values = {
        **_sentence_values(name, context),
        "refused": refusal.reason if refusal else "",
        "nearest": refusal.alternative if refusal else "",
    }
    advice = TEXTS.advice["short" if kind == "few" else kind]
    rejections = {
        other: context.exclusions[other].message for other in presets.methods() if other in context.exclusions
    }
    return Choice(
        None,
        None,
        (fill_sentence(advice.why, **values),),
        rejections,
        fill_sentence(advice.instead, **values),
        trial_prompt,
        None,
        _data_note(context, user_dataset),
    )
