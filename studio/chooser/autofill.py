"""The answers that follow from the data, the machine and the estimates, so that nobody has to give them."""

import math
from collections.abc import Callable, Mapping

from studio import methods, presets
from studio.chooser import dataset_summary, exclusions, texts
from studio.chooser.answers import DATA_KIND_BY_TASK, amount_choice
from studio.chooser.dataset_summary import DatasetSummary
from studio.chooser.exclusions import BUDGET_LIMITS
from studio.data.schema.infer_roles import RoleGuess
from studio.estimate import all_methods, dataset_lengths
from studio.estimate.machines.catalogue import Machine
from studio.estimate.types import Estimate
from studio.plan import MethodChoice, Plan, Task, Value

# A plan -> the estimates of the methods that go with its task and model, by name.
Estimator = Callable[[Plan], Mapping[str, Estimate]]
MAX_NAME_LENGTH = 120


def table_estimator(machine: Machine) -> Estimator:
    """The estimates of the comparison table on a machine, with what was traced before; takes milliseconds."""

    def estimate(plan: Plan) -> Mapping[str, Estimate]:
        base_model = all_methods.find_base_model(plan.model)
        method = methods.get(plan.method.name)
        settings = {method.name: method.resolve_settings(plan.method.settings)}
        lengths = dataset_lengths.measure_lengths(plan, base_model.folder)
        context = all_methods.EstimateContext(plan, machine, base_model, lengths, settings)
        return all_methods.estimate_all_methods(context)

    return estimate


def prefill(
    source: str,
    machine: Machine,
    guess: RoleGuess | None = None,
    estimator: Estimator | None = None,
    model: str = "",
) -> dict[str, str]:
    """What the data, the machine and the estimates answer already, by question; the others are left out.

    Args:
        source: The data as a plan names it; "" for none.
        machine: Where the training would run.
        guess: The task and the columns that a person set for the data; guessed where None.
        estimator: Where estimates come from; the comparison table's where None.
        model: The base model that a person chose; one that suits the data where "".

    Raises:
        BadData: The data cannot be read.
    """
    dataset = dataset_summary.summarize(source, guess)
    if not dataset:
        return infer_answers("", 0, 0, machine)
    fastest = None
    if not dataset.unusable_reason:
        model = model or dataset_summary.choose_base_model(dataset, machine, phone=False)
        plan = build_plan(dataset, model, first_method(dataset.task), {})
        fastest = _find_fastest((estimator or table_estimator(machine))(plan))
    return infer_answers(dataset.task, dataset.count, len(dataset.labels), machine, fastest)


def infer_answers(
    task: Task | str, count: int, labels: int, machine: Machine, fastest: Estimate | None = None
) -> dict[str, str]:
    """The answers that follow from the facts alone.

    Args:
        task: The task of the data; "" where there is none.
        count: Examples in the data.
        labels: Different labels in the data; 0 where it has none.
        machine: Where the training would run.
        fastest: The estimate of the method that takes least time there.
    """
    answers: dict[str, str] = {}
    if labels or task == "prompts":
        answers["change"] = "decisions"
    if task in DATA_KIND_BY_TASK:
        answers["have"] = DATA_KIND_BY_TASK[task]
        answers["many"] = amount_choice(count)
    # Where nothing speaks for a place, the answer that assumes none is filled in.
    answers["where"] = "cloud" if machine.price_per_hour else "unknown"
    answers["budget"] = _smallest_budget(machine, fastest)
    return answers


def build_plan(dataset: DatasetSummary, model: str, method: str, settings: Mapping[str, Value]) -> Plan:
    """The ready plan; what is left out of its training takes its default."""
    title = f"{presets.methods()[method].name.render()} · {texts.model_name(model).render()}"
    return Plan(
        name=title[:MAX_NAME_LENGTH],
        task=dataset.task,
        model=model,
        data=dataset.data,
        method=MethodChoice(name=method, settings=dict(settings)),
    )


def first_method(task: Task) -> str:
    """The first method of the table that trains a task, of those made for it where there are any."""
    cards = [card for card in presets.methods().values() if task in card.tasks]
    return min(cards, key=lambda card: card.tasks[0] != task).id


def likely_minutes(estimate: Estimate) -> float:
    """How long a run likely takes; infinite where nobody knows."""
    return estimate.minutes.likely if estimate.minutes else math.inf


def _find_fastest(estimates: Mapping[str, Estimate]) -> Estimate | None:
    candidates = [estimate for estimate in estimates.values() if estimate.fits != "no" and estimate.minutes]
    return min(candidates, key=likely_minutes, default=None)


def _smallest_budget(machine: Machine, fastest: Estimate | None) -> str:
    """The smallest budget within which the fastest method stays."""
    if not fastest:
        return "small" if machine.price_per_hour else next(iter(BUDGET_LIMITS))
    return next(name for name in BUDGET_LIMITS if not exclusions.over_budget(fastest, machine, name))
