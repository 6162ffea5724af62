"""The machines a run could go to: what each can do, what it costs, and where both were read."""

import dataclasses
import math
from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import psutil
import yaml
from pydantic import Field, ValidationError, model_validator

from studio import presets
from studio.errors import BadPlan
from studio.estimate import hardware
from studio.home import home
from studio.presets import Strict
from studio.words import Words

Kind: TypeAlias = Literal["card", "processor"]
Billed: TypeAlias = Literal["second", "minute", "hour", "free"]
Figure: TypeAlias = Annotated[float, Field(gt=0, le=1e6)]
Money: TypeAlias = Annotated[float, Field(ge=0, le=1e6)]

HERE = "here"
STALE_DAYS = 180
GIB = 2**30
# What a process gets of the memory on the label where nobody has measured it: the share of a T4 with ECC, 14,912 of 16,384 MiB.
USABLE_SHARE = 0.91
# The 32-bit rate of a card where no source gives one. A T4 reached 4.1 TFLOP/s, against half of its 65 in 16 bit: an eighth.
SHARE_32 = 1 / 8
# These stand in for a card or a processor that the list does not know.
SLOWEST_CARD, ANY_PROCESSOR = "t4", "zen3-core"
RATES = ("tflops_16", "tflops_32", "bandwidth_gb_s")
UNIT_MINUTES: dict[Billed, float] = {"second": 1 / 60, "minute": 1, "hour": 60}


class Source(Strict):
    """Where a figure is from, when it was read, and whether it was read at all."""

    said: str
    date: date
    quality: Literal["cited", "recalled"]


class Card(Strict):
    """What one kind of hardware can do; the rates of a processor are per core, its bandwidth is the whole machine's."""

    name: str
    kind: Kind
    memory_gb: Figure | None = None
    usable_gb: Figure | None = None
    bf16: bool
    tflops_16: Figure
    tflops_32: Figure | None = None
    bandwidth_gb_s: Figure
    watts: Figure | None = None
    seen_as: tuple[str, ...] = ()
    source: Source


class Host(Strict):
    """The machine around the hardware: for a processor, and for a card that shares the machine's memory."""

    memory_gb: Figure
    usable_gb: Figure | None = None
    cores: Figure | None = None


class Price(Strict):
    """What an hour costs; a billing unit nobody named counts as the hour."""

    per_hour: Money
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"
    billed: Billed | None = None
    source: Source

    @model_validator(mode="after")
    def _free(self) -> "Price":
        if self.billed == "free" and self.per_hour:
            raise ValueError(f"what is free costs 0 per hour, but got {self.per_hour:g}")
        return self


class Machine(Strict):
    """An offer: hardware by its id under `cards`, and a price where there is one. The studio trains on one card."""

    name: str = ""
    card: str = ""
    cards: Literal[1] = 1
    host: Host | None = None
    price: Price | None = None
    start_minutes: Money | None = None
    note: Words | None = None


class HostedOffer(Strict):
    """A service that trains for you, in dollars per million training tokens (tokens of the examples times epochs)."""

    id: str
    name: str
    low: Money
    high: Money
    source: Source
    note: Words | None = None


class Rows(Strict):
    """A file of machines."""

    cards: dict[str, Card] = Field(default_factory=dict)
    machines: dict[str, Machine] = Field(default_factory=dict)
    hosted: dict[str, HostedOffer] = Field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Place:
    """One machine with every figure the estimator computes with; `assumed` names the fields that stand on a rule and not on a source.

    The rates are what the specification promises, in TFLOP/s and GB/s; what a run reaches of them is the estimator's business.
    `price_per_hour` is in `currency`, None where no price is known; `billed` is None with it.
    """

    id: str
    name: str
    kind: Kind
    usable_bytes: int
    tflops_16: float
    tflops_32: float
    bandwidth_gb_s: float
    watts: float | None
    bf16: bool
    price_per_hour: float | None
    currency: str
    billed: Billed | None
    start_minutes: float | None
    spec_source: Source
    price_source: Source | None
    note: Words | None = None
    assumed: tuple[str, ...] = ()


def places() -> dict[str, Place]:
    """Every machine of the list by id, the rows of the person's own `machines.yaml` over the shipped ones; this machine is `here()`.

    Raises BadPlan with everything wrong in a file, each problem under its file and key.
    """
    rows = _rows()
    return {name: _place(name, row, rows.cards[row.card]) for name, row in rows.machines.items() if name != HERE}


def here(cgroup: Path = hardware.CGROUP) -> Place:
    """This machine as the next run will find it: with what is free and what going runs give back; its card where nvidia-smi names one.

    `cgroup` is where the limits of a container are read. The price comes from the row `here` of the person's own file.
    Raises BadPlan where that file is wrong.
    """
    rows = _rows()
    row = rows.machines.get(HERE, Machine())
    found = hardware.nvidia()
    if found:
        name, free = found
        known = row.card or next((card for card, spec in rows.cards.items() if name.casefold() in map(str.casefold, spec.seen_as)), "")
        card = rows.cards[known or SLOWEST_CARD]
        place = _place(HERE, row.model_copy(update={"name": row.name or name, "host": None}), card)
        if not known:
            stand_in = Source(said=f"nothing is known of {name}: {card.name} stands in", date=card.source.date, quality="recalled")
            place = dataclasses.replace(place, spec_source=stand_in, watts=None, assumed=(*place.assumed, *RATES, "bf16"))
    else:
        free, cores = hardware.free_memory(cgroup) - hardware.SPARED, hardware.cores(cgroup)
        host = Host(memory_gb=psutil.virtual_memory().total / GIB, cores=cores)
        named = row.model_copy(update={"name": row.name or f"CPU × {cores:g}", "host": host})
        place = _place(HERE, named, rows.cards[row.card or ANY_PROCESSOR])
    assumed = tuple(dict.fromkeys(field for field in place.assumed if field != "usable_bytes"))
    return dataclasses.replace(place, usable_bytes=max(free + hardware.given_back(card=bool(found)), 0), assumed=assumed)


def stale(source: Source | None, today: date) -> bool:
    """Whether a figure was read more than STALE_DAYS days before `today`; nothing is never stale."""
    return source is not None and today - source.date > timedelta(days=STALE_DAYS)


def billed_hours(billed: Billed | None, minutes: float) -> float:
    """The hours that are charged for `minutes` of running (with its start-up), rounded up to the unit of billing."""
    unit = UNIT_MINUTES.get(billed) if billed else None
    if unit is None:
        return minutes / 60
    return math.ceil(round(minutes / unit, 6)) * unit / 60  # 61/60 minutes are 61 seconds, not a hair more


def cost(place: Place, minutes: float) -> float | None:
    """What `minutes` of running cost in the place's own currency; None where no price is known."""
    return None if place.price_per_hour is None else billed_hours(place.billed, minutes) * place.price_per_hour


def dollars(place: Place, minutes: float) -> float | None:
    """What `minutes` of running cost in dollars; None where no price is known or it is in another currency (see `cost`)."""
    return cost(place, minutes) if place.currency == "USD" else None


def hosted() -> list[HostedOffer]:
    """The services that train for you, in the order of the file. Raises BadPlan as `places` does."""
    return list(_rows().hosted.values())


def hosted_dollars(offer: HostedOffer, tokens: float) -> tuple[float, float]:
    """The least and the most a service takes for `tokens` training tokens (tokens of the examples times epochs), in dollars."""
    return offer.low * tokens / 1e6, offer.high * tokens / 1e6


def _place(name: str, row: Machine, card: Card) -> Place:
    host, price, processor = row.host, row.price, card.kind == "processor"
    memory = (host.memory_gb if host else None) if card.memory_gb is None else card.memory_gb
    usable = (host.usable_gb if host else None) or card.usable_gb
    cores = host.cores if processor and host and host.cores else 1
    assumed = [] if usable else ["usable_bytes"]
    assumed += RATES if processor else [] if card.tflops_32 else ["tflops_32"]
    assumed += ["billed"] if price and not price.billed else []
    return Place(
        id=name,
        name=row.name or card.name,
        kind=card.kind,
        usable_bytes=int((usable or (memory or 0) * USABLE_SHARE) * GIB),
        tflops_16=card.tflops_16 * cores,
        tflops_32=(card.tflops_32 or card.tflops_16 * SHARE_32) * cores,
        bandwidth_gb_s=card.bandwidth_gb_s,
        watts=card.watts,
        bf16=card.bf16,
        price_per_hour=price.per_hour if price else None,
        currency=price.currency if price else "USD",
        billed=(price.billed or "hour") if price else None,
        start_minutes=row.start_minutes,
        spec_source=card.source,
        price_source=price.source if price else None,
        note=row.note,
        assumed=tuple(assumed),
    )


def _rows() -> Rows:
    shipped, own = presets.FOLDER / "machines.yaml", home() / "machines.yaml"
    return _merged(shipped, shipped.stat().st_mtime_ns, own, own.stat().st_mtime_ns if own.exists() else None)


@lru_cache(maxsize=4)
def _merged(shipped: Path, _: int, own: Path, changed: int | None) -> Rows:
    base, over = _read(shipped), _read(own, changed) if changed is not None else Rows()
    rows = Rows(cards=base.cards | over.cards, machines=base.machines | over.machines, hosted=base.hosted | over.hosted)
    problems = [
        f"{own if name in over.machines else shipped}: machines.{name}.{said}"
        for name, row in rows.machines.items()
        if (said := _unresolved(name, row, rows.cards))
    ]
    if problems:
        raise BadPlan(problems)
    return rows


def _unresolved(name: str, row: Machine, cards: Mapping[str, Card]) -> str:
    """What keeps a row from naming a whole machine, starting with its key; empty when nothing does."""
    if name == HERE and not row.card:
        return ""
    if row.card not in cards:
        return f"card: expected one of {', '.join(cards)}, but got {row.card!r}"
    card = cards[row.card]
    if card.memory_gb is None and row.host is None and name != HERE:
        return f"host: is missing; {card.name} has the memory of the machine, so name it, such as {{memory_gb: 64, cores: 8}}"
    return "host.cores: is missing" if card.kind == "processor" and row.host and not row.host.cores else ""


def _read(path: Path, changed: int | None = None) -> Rows:
    """The rows of one file; with its time of change (ns) it is a person's own and stands as the source of what names none."""
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadPlan([f"{path}: cannot be read: {error}"]) from None
    except yaml.YAMLError as error:
        raise BadPlan([f"{path}: is not valid YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(raw, dict):
        raise BadPlan([f"{path}: expected keys and values such as `machines:`, but got {type(raw).__name__}"])
    if isinstance(offers := raw.get("hosted"), dict):
        raw["hosted"] = {name: {**row, "id": name} if isinstance(row, dict) else row for name, row in offers.items()}
    if changed is not None:
        priced = {name: row.get("price") for name, row in _mappings(raw.get("machines")).items()}
        for part in (raw.get("cards"), raw.get("hosted"), priced):
            for row in _mappings(part).values():
                row.setdefault("source", {"said": str(path), "date": date.fromtimestamp(changed / 1e9), "quality": "cited"})
    try:
        return Rows.model_validate(raw)
    except ValidationError as error:
        told = {".".join(str(step) for step in item["loc"]): item["msg"].removeprefix("Value error, ") for item in error.errors()}
        raise BadPlan([f"{path}: {place}: {said}" for place, said in told.items()]) from None


def _mappings(part: object) -> dict[str, dict[str, Any]]:
    return {name: row for name, row in part.items() if isinstance(row, dict)} if isinstance(part, dict) else {}
