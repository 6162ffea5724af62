"""What the same run would cost on other machines, and at services that train for you."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from studio.estimate import machines, table
from studio.estimate.figures import Estimate
from studio.estimate.load import Lengths
from studio.estimate.machines import HostedOffer, Place
from studio.estimate.table import Base
from studio.methods import work
from studio.methods.base import Settings
from studio.methods.work import Load
from studio.plan import Plan


@dataclass(frozen=True)
class Elsewhere:
    """One machine with the run's estimate there; `stale` says that its price was read long ago."""

    place: Place
    estimate: Estimate
    stale: bool


@dataclass(frozen=True)
class Hosted:
    """One service with what the run's tokens would cost there (dollars); what kind of model it trains is its own affair."""

    offer: HostedOffer
    low: float
    high: float
    stale: bool


def everywhere(plan: Plan, settings: Mapping[str, Settings], base: Base, lengths: Lengths, today: date) -> list[Elsewhere]:
    """The plan's method on every machine of the list: those it fits on first, the cheapest run first, without a price last.

    Dollars come before other currencies, which are not converted.
    """
    found = []
    for place in machines.places().values():
        made = table.estimates(plan, place, settings, base, lengths, only=plan.method.name)
        found += [Elsewhere(place, one, machines.stale(place.price_source, today)) for one in made.values()]

    def order(one: Elsewhere) -> tuple[object, ...]:
        money, currency = one.estimate.money, one.place.currency
        return one.estimate.fits == "no", money is None, currency != "USD", currency, money.likely if money else 0.0, one.place.name

    return sorted(found, key=order)


def trained_tokens(load: Load) -> float:
    """Tokens that are trained on: those of the examples times the rounds."""
    each = sum(tokens for tokens, _ in work.texts(load)) / max(len(load.rows), 1)
    return each * load.learned * (load.training.epochs or 1)


def hosted(tokens: float, today: date) -> list[Hosted]:
    """Every known service with its price for so many trained tokens, the cheapest first."""
    found = [
        Hosted(offer, *machines.hosted_dollars(offer, round(tokens)), machines.stale(offer.source, today)) for offer in machines.hosted()
    ]
    return sorted(found, key=lambda one: one.low)
