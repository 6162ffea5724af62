"""Which method suits the answers: of those that data and estimates allow, the one that most speaks for."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from studio import presets
from studio.chooser import dataset_summary, exclusions, explanations, prompt, rules
from studio.chooser.answers import TASK_BY_DATA_KIND, Answers, short_texts, validate_answers
from studio.chooser.autofill import Estimator, build_plan, first_method, likely_minutes, table_estimator
from studio.chooser.context import DecisionContext
from studio.chooser.dataset_summary import DatasetSummary
from studio.chooser.exclusions import Exclusion
from studio.chooser.texts import TEXTS, fill_sentence
from studio.data.quality import base_languages
from studio.data.quality.minimum_examples import get_min_examples
from studio.data.schema.infer_roles import RoleGuess
from studio.estimate import all_methods
from studio.estimate.machines.catalogue import Machine
from studio.estimate.types import Estimate
from studio.evaluate import baselines
from studio.evaluate.baselines import Baselines
from studio.i18n import Message
from studio.methods import compatibility
from studio.models.shape import ModelShape
from studio.plan import Plan, Value

# Of methods that are ruled out, those for the first of these reasons are the nearest to a way out.
EXCLUSION_KINDS = ("budget", "room", "few", "refused")
FITS_TO_ROOM = {"no": "short", "unknown": "open"}

CHOOSE_OTHERS = Message("Choose another machine, model or precision. Until then, try the prompt below.")


@dataclass(frozen=True)
class Choice:
    """What the answers come to: a method with its ready plan, or advice.

    With advice, `method`, `plan` and `estimate` are None.

    Attributes:
        method: The name of the method.
        plan: The ready plan.
        reasons: Three sentences for a method, one for advice.
        rejections: Why every other method is not chosen; empty with advice, unless the estimates led to it.
        advice: What to do instead of training.
        prompt: A prompt that can be tried on the base model right away.
        estimate: What the plan takes.
        note: What the plan's data is, where it is not what the answers speak of.
        warning: What the base model hardly knows of the data's languages.
    """

    method: str | None
    plan: Plan | None
    reasons: tuple[Message, ...]
    rejections: dict[str, Message] = field(default_factory=dict)
    advice: Message | None = None
    prompt: Message | None = None
    estimate: Estimate | None = None
    note: Message | None = None
    warning: Message | None = None


def choose(
    answers: Answers,
    source: str,
    machine: Machine,
    estimator: Estimator | None = None,
    guess: RoleGuess | None = None,
    model: str = "",
) -> Choice:
    """The method for a complete set of answers and the data at hand; depends on nothing else.

    Args:
        answers: A choice for each of the six questions.
        source: The data as a plan names it; "" for none.
        machine: Where the training would run.
        estimator: Where estimates come from; the comparison table's where None.
        guess: The task and the columns that a person set for the data; guessed where None.
        model: The base model that a person chose; one that suits the data where "".

    Raises:
        BadData: An answer is wrong, or the data cannot be read.
    """
    checked_answers = validate_answers(answers)
    dataset = dataset_summary.summarize(source, guess)
    return decide(checked_answers, dataset, machine, estimator or table_estimator(machine), model)


def decide(
    answers: Answers,
    user_dataset: DatasetSummary | None,
    machine: Machine,
    estimator: Estimator,
    model: str = "",
) -> Choice:
    """As `choose`, for answers that have been checked and data that has been read."""
    trial_prompt = prompt.build_prompt(answers, user_dataset)
    advice = rules.find_advice(answers)
    if advice:
        return _advise(advice, answers, trial_prompt)
    dataset = dataset_summary.dataset_for_task(user_dataset, TASK_BY_DATA_KIND[answers["have"]])
    context = _build_context(answers, dataset, machine, estimator, model)
    if user_dataset and not dataset.sample_name:
        measured = baselines.find_any_split(
            build_plan(dataset, context.model, first_method(dataset.task), {})
        )
        if measured and measured.is_enough:
            return _advise_measured(measured, trial_prompt)
    for name in _rank_methods(context):
        settings = _rule_settings(name, context)
        plan = build_plan(context.dataset, context.model, name, settings)
        if settings:  # the estimates so far are those of every method's defaults
            context = _update_context(context, name, estimator(plan).get(name))
        if name not in context.exclusions:
            return _choose_method(name, plan, context, trial_prompt, user_dataset)
    return _advise_without_method(context, trial_prompt, user_dataset)


def _advise(advice: str, answers: Answers, trial_prompt: Message) -> Choice:
    """The advice that follows from the answers alone."""
    min_examples = get_min_examples("", TASK_BY_DATA_KIND.get(answers["have"], "chat"))[0]
    values = {**short_texts(answers), "wanted": min_examples}
    words = TEXTS.advice[advice]
    return Choice(
        method=None,
        plan=None,
        reasons=(fill_sentence(words.why, **values),),
        advice=fill_sentence(words.instead, **values),
        prompt=trial_prompt,
    )


def _advise_measured(measured: Baselines, trial_prompt: Message) -> Choice:
    """The advice where what needs no training was measured, and leaves hardly anything to gain."""
    words = TEXTS.advice[f"enough_{measured.best.name}"]
    score = measured.best.score
    values = {
        "name": measured.best.title,
        "share": f"{score.value:.0%}",
        "low": f"{score.low:.0%}",
        "high": f"{score.high:.0%}",
        "n": f"{measured.n:,}",
    }
    return Choice(
        method=None,
        plan=None,
        reasons=(fill_sentence(words.why, **values),),
        advice=fill_sentence(words.instead, **values),
        prompt=trial_prompt,
    )


def _choose_method(
    name: str,
    plan: Plan,
    context: DecisionContext,
    trial_prompt: Message,
    user_dataset: DatasetSummary | None,
) -> Choice:
    won_context = replace(context, facts={**context.facts, "won": name})
    rejections = {
        other: explanations.explain_rejection(other, name, won_context)
        for other in presets.methods()
        if other != name
    }
    reasons = explanations.build_reasons(name, context)
    return Choice(
        method=name,
        plan=plan,
        reasons=reasons,
        rejections=rejections,
        prompt=trial_prompt,
        estimate=context.estimates.get(name),
        note=explanations.data_note(context, user_dataset, name, reasons),
        warning=base_languages.language_warning(context.dataset.languages, context.model),
    )


def _build_context(
    answers: Answers, dataset: DatasetSummary, machine: Machine, estimator: Estimator, model: str
) -> DecisionContext:
    for_phone = answers["where"] == "phone"
    model = model or dataset_summary.choose_base_model(dataset, machine, for_phone)
    shape = all_methods.find_base_model(model).shape
    estimates = estimator(build_plan(dataset, model, first_method(dataset.task), {}))
    excluded: dict[str, Exclusion] = {}
    for name in presets.methods():
        exclusion = exclusions.find_exclusion(
            name, dataset.task, answers, machine, shape, estimates.get(name)
        )
        if exclusion:
            excluded[name] = exclusion
    facts = {**answers, **_data_facts(dataset), **_collect_facts(shape, estimates, excluded)}
    return DecisionContext(answers, facts, dataset, model, machine, shape, estimates, excluded)


def _data_facts(dataset: DatasetSummary) -> dict[str, str]:
    """What conditions can name of the data; a sample in its place says nothing of what the person has."""
    columns = {} if dataset.sample_name else dataset.data.columns
    has_results = dataset.task == "prompts" and "answer" in columns
    return {
        "judged": "thumbs" if "verdict" in columns else "pairs",
        "results": "known" if has_results else "open",
    }


def _collect_facts(
    shape: ModelShape | None, estimates: Mapping[str, Estimate], excluded: Mapping[str, Exclusion]
) -> dict[str, str]:
    """What conditions can name of the base model and the estimates (studio/chooser/rules.py)."""
    facts = {"base": "reader" if shape and shape.encoder else "writer"}
    for name in presets.methods():
        fits = estimates[name].fits if name in estimates else "unknown"
        facts[f"{name}.room"] = FITS_TO_ROOM.get(fits, "enough")
        facts[f"{name}.state"] = "out" if name in excluded else "able"
    return facts


def _update_context(context: DecisionContext, name: str, estimate: Estimate | None) -> DecisionContext:
    """The same with a method's estimate under the settings that the plan gives it."""
    excluded = {other: exclusion for other, exclusion in context.exclusions.items() if other != name}
    exclusion = exclusions.find_exclusion(
        name, context.dataset.task, context.answers, context.machine, context.shape, estimate
    )
    if exclusion:
        excluded[name] = exclusion
    estimates = {**context.estimates, name: estimate} if estimate else context.estimates
    return replace(context, estimates=estimates, exclusions=excluded)


def _rank_methods(context: DecisionContext) -> list[str]:
    """The methods that something speaks for, the most points first, then in the order of the table.

    A method that is ruled out stays among them where the plan would give it other settings.
    """
    scores = {
        name: sum(reason.points for reason in rules.matching_reasons(name, context.facts))
        for name in presets.methods()
    }
    candidates = [
        name
        for name, score in scores.items()
        if score and (name not in context.exclusions or _rule_settings(name, context))
    ]
    return sorted(candidates, key=lambda name: -scores[name])


def _rule_settings(name: str, context: DecisionContext) -> dict[str, Value]:
    settings: dict[str, Value] = {}
    for reason in rules.matching_reasons(name, context.facts):
        settings |= reason.settings
    return settings


def _advise_without_method(
    context: DecisionContext, trial_prompt: Message, user_dataset: DatasetSummary | None
) -> Choice:
    """The advice where everything that could learn from the data is ruled out: the nearest way out."""
    rejections = {
        name: context.exclusions[name].message for name in presets.methods() if name in context.exclusions
    }
    kind, name = _nearest_exclusion(context)
    words = TEXTS.advice["short" if kind == "few" else kind]
    refusal = compatibility.find_incompatibility(name, context.dataset.task, context.shape)
    # What does not fit says what to change in its own sentence.
    reason = refusal.reason if refusal else rejections.get(name, "")
    values = {
        **explanations.sentence_values(name, context),
        "refused": reason,
        "nearest": refusal.alternative if refusal else CHOOSE_OTHERS,
    }
    return Choice(
        method=None,
        plan=None,
        reasons=(fill_sentence(words.why, **values),),
        rejections=rejections,
        advice=fill_sentence(words.instead, **values),
        prompt=trial_prompt,
        note=explanations.data_note(context, user_dataset),
    )


def _nearest_exclusion(context: DecisionContext) -> tuple[str, str]:
    """What stands in the way of the method that is nearest to being able to run, and its name.

    "undecided" where nothing speaks for any method that learns from the data.
    """
    candidates = {
        name: exclusion.kind
        for name, exclusion in context.exclusions.items()
        if exclusion.kind != "data" and rules.matching_reasons(name, context.facts)
    }
    for kind in EXCLUSION_KINDS:
        names = [name for name, candidate_kind in candidates.items() if candidate_kind == kind]
        estimated = [name for name in names if name in context.estimates]
        if estimated and kind == "room":
            return kind, min(estimated, key=lambda name: context.estimates[name].missing_gb)
        if estimated:
            return kind, min(estimated, key=lambda name: likely_minutes(context.estimates[name]))
        if names:
            return kind, names[0]
    return "undecided", first_method(context.dataset.task)
