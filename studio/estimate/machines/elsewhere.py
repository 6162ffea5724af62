"""What the same run would cost on other machines, and at services that train for you."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from studio.estimate import all_methods
from studio.estimate.all_methods import BaseModelInfo
from studio.estimate.dataset_lengths import DatasetLengths
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import HostedOffer, Machine
from studio.estimate.types import Estimate
from studio.methods import workload
from studio.methods.spec import Settings
from studio.methods.workload import Workload
from studio.plan import Plan


@dataclass(frozen=True)
class MachineOption:
    """One machine with the run's estimate there; `stale` says that its price was read long ago."""

    machine: Machine
    estimate: Estimate
    is_price_stale: bool


@dataclass(frozen=True)
class HostedOption:
    """One service with what the run's tokens would cost there (dollars); what kind of model it trains is its own affair."""

    offer: HostedOffer
    low: float
    high: float
    is_price_stale: bool


def estimate_on_all_machines(
    plan: Plan,
    settings: Mapping[str, Settings],
    base_model: BaseModelInfo,
    lengths: DatasetLengths,
    today: date,
) -> list[MachineOption]:
    """The plan's method on every machine of the list: those it fits on first, the cheapest run first, without a price last.

    Dollars come before other currencies, which are not converted.
    """
    options = []
    for machine in catalogue.load_machines().values():
        estimates = all_methods.estimate_all_methods(
            plan, machine, settings, base_model, lengths, only_method=plan.method.name
        )
        options += [
            MachineOption(machine, estimate, catalogue.is_stale(machine.price_source, today))
            for estimate in estimates.values()
        ]

    def sort_key(option: MachineOption) -> tuple[object, ...]:
        money, currency = option.estimate.money, option.machine.currency
        return (
            option.estimate.fits == "no",
            money is None,
            currency != "USD",
            currency,
            money.likely if money else 0.0,
            option.machine.name,
        )

    return sorted(options, key=sort_key)


def count_training_tokens(run_workload: Workload) -> float:
    """Tokens that are trained on: those of the examples times the rounds."""
    tokens_per_example = sum(tokens for tokens, _ in workload.supervised_lengths(run_workload)) / max(
        len(run_workload.rows), 1
    )
    return tokens_per_example * run_workload.n_train * (run_workload.training.epochs or 1)


def hosted_options(tokens: float, today: date) -> list[HostedOption]:
    """Every known service with its price for so many trained tokens, the cheapest first."""
    options = [
        HostedOption(
            offer,
            *catalogue.hosted_dollar_range(offer, round(tokens)),
            catalogue.is_stale(offer.source, today),
        )
        for offer in catalogue.hosted_offers()
    ]
    return sorted(options, key=lambda option: option.low)
