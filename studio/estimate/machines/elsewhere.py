"""What the same run would cost on other machines, and at services that train for you."""

from dataclasses import dataclass, replace
from datetime import date

from studio.estimate import all_methods
from studio.estimate.all_methods import EstimateContext
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import HostedOffer, Machine
from studio.estimate.types import Estimate
from studio.methods import workload
from studio.methods.workload import Workload


@dataclass(frozen=True)
class MachineOption:
    """One machine with the run's estimate there, and whether its price was read long ago."""

    machine: Machine
    estimate: Estimate
    is_price_stale: bool


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
    options = []
    for machine in catalogue.load_machines().values():
        estimates = all_methods.estimate_all_methods(
            replace(context, machine=machine), only_method=context.plan.method.name
        )
        is_price_stale = catalogue.is_stale(machine.price_source, today)
        options += [MachineOption(machine, estimate, is_price_stale) for estimate in estimates.values()]
    return sorted(options, key=_sort_key)


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
