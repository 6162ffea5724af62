"""What the same run would cost on other machines, and at services that train for you."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date

from studio import methods
from studio.estimate import all_methods, limits
from studio.estimate.all_methods import EstimateContext
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import HostedOffer, Machine
from studio.estimate.types import Estimate
from studio.methods import several_cards, workload
from studio.methods.workload import Workload

# More GPUs are worth it where a run costs no more than so many times as much, and is so many times as fast.
MAX_COST_FACTOR, MIN_SPEEDUP = 1.5, 1.3


@dataclass(frozen=True)
class MachineOption:
    """One machine with the run's estimate there, and whether its price was read long ago."""

    machine: Machine
    estimate: Estimate
    is_price_stale: bool


@dataclass(frozen=True)
class CardComparison:
    """A run on more GPUs of a kind, compared with the fewest of them that hold it.

    Attributes:
        machine: The machine with more GPUs.
        speedup: How many times as fast it is.
        cost_factor: How many times as much the run costs; None where no price is known.
    """

    machine: Machine
    speedup: float
    cost_factor: float | None

    @property
    def is_worth_it(self) -> bool:
        """Whether the time that it saves is worth its price, by MAX_COST_FACTOR and MIN_SPEEDUP."""
        is_cheap = self.cost_factor is not None and self.cost_factor <= MAX_COST_FACTOR
        return is_cheap and self.speedup >= MIN_SPEEDUP


@dataclass(frozen=True)
class HostedOption:
    """One service with what the run's tokens would cost there (dollars).

    Which models a service trains is up to the service.
    """

    offer: HostedOffer
    low: float
    high: float
    is_price_stale: bool


def estimate_on_all_machines(context: EstimateContext, today: date) -> list[MachineOption]:
    """Estimate the plan's method on every machine of the list.

    Machines that it fits on come first, the cheapest run first, those without a price last. Dollars come
    before other currencies, which are not converted.

    Args:
        context: The plan and all it depends on; its machine does not matter.
        today: The date from which the age of a price is counted.
    """
    method = methods.get(context.plan.method.name)
    shares = several_cards.can_train_together(method.name, context.settings_of(method))
    options = []
    for machine in catalogue.load_machines().values():
        if machine.cards > 1 and not shares:
            continue
        estimates = all_methods.estimate_all_methods(replace(context, machine=machine), method.name)
        is_price_stale = catalogue.is_stale(machine.price_source, today)
        options += [MachineOption(machine, estimate, is_price_stale) for estimate in estimates.values()]
    return sorted(options, key=_sort_key)


def compare_cards(options: Sequence[MachineOption], first: MachineOption) -> list[CardComparison]:
    """Return how the same run goes on more GPUs of the kind that a machine has, the fewest first.

    Args:
        options: All machines.
        first: The machine to compare with; of its kind no more than one is listed for a number of GPUs: the
            cheapest.
    """
    base_minutes, base_money = first.estimate.minutes, first.estimate.money
    if not base_minutes or not first.machine.is_gpu:
        return []
    kind = first.machine.card, first.machine.currency
    cheapest: dict[int, MachineOption] = {}
    for option in options:  # sorted by cost
        is_kind = (option.machine.card, option.machine.currency) == kind
        if is_kind and option.machine.cards > first.machine.cards and option.estimate.fits != "no":
            cheapest.setdefault(option.machine.cards, option)
    comparisons = []
    for _, option in sorted(cheapest.items()):
        minutes, money = option.estimate.minutes, option.estimate.money
        if not minutes or not minutes.likely:
            continue
        cost_factor = None
        if money and base_money and base_money.likely:
            cost_factor = money.likely / base_money.likely
        comparisons.append(CardComparison(option.machine, base_minutes.likely / minutes.likely, cost_factor))
    return comparisons


def find_holding_machine(context: EstimateContext, machines: Iterable[Machine]) -> tuple[int, Machine] | None:
    """Return how many GPUs of a machine hold a run that fits on none of them, the fewest first.

    Returns:
        The number of GPUs and a machine with them; None where no number does.
    """
    by_card = {machine.card: machine for machine in machines if machine.is_gpu and machine.cards == 1}
    candidates = [
        (cards, machine)
        for machine in by_card.values()
        if (cards := limits.min_cards(replace(context, machine=machine)))
    ]
    return min(candidates, key=lambda item: (item[0], item[1].usable_bytes), default=None)


def _sort_key(option: MachineOption) -> tuple[object, ...]:
    money, currency = option.estimate.money, option.machine.currency
    return (
        option.estimate.fits == "no",
        money is None,
        currency != "USD",
        currency,
        money.likely if money else 0.0,
        option.machine.name,
    )


def count_training_tokens(run_workload: Workload) -> float:
    """Return the tokens that are trained on: those of the examples times the epochs."""
    n_tokens = sum(tokens for tokens, _ in workload.supervised_lengths(run_workload))
    tokens_per_example = n_tokens / max(len(run_workload.rows), 1)
    return tokens_per_example * run_workload.n_train * (run_workload.training.epochs or 1)


def hosted_options(tokens: float, today: date) -> list[HostedOption]:
    """Return every known service with its price for so many training tokens, the cheapest first."""
    options = []
    for offer in catalogue.hosted_offers():
        low, high = catalogue.hosted_dollar_range(offer, round(tokens))
        options.append(HostedOption(offer, low, high, catalogue.is_stale(offer.source, today)))
    return sorted(options, key=lambda option: option.low)
