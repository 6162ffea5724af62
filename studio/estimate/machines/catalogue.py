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
from studio.estimate.machines import hardware
from studio.i18n import Message
from studio.presets import CardModel
from studio.storage import home

MachineKind: TypeAlias = Literal["card", "processor"]
BillingUnit: TypeAlias = Literal["second", "minute", "hour", "free"]
PositiveFigure: TypeAlias = Annotated[float, Field(gt=0, le=1e6)]
Money: TypeAlias = Annotated[float, Field(ge=0, le=1e6)]

LOCAL_ID = "here"
STALE_DAYS = 180
GIB = 2**30
# What a process gets of the memory on the label where nobody has measured it: the share of a T4 with ECC, 14,912 of 16,384 MiB.
USABLE_SHARE = 0.91
# The 32-bit rate of a card where no source gives one. A T4 reached 4.1 TFLOP/s, against half of its 65 in 16 bit: an eighth.
FP32_SHARE = 1 / 8
# These stand in for a card or a processor that the list does not know.
FALLBACK_GPU, FALLBACK_CPU = "t4", "zen3-core"
RATE_FIELDS = ("tflops_16", "tflops_32", "bandwidth_gb_s")
UNIT_MINUTES: dict[BillingUnit, float] = {"second": 1 / 60, "minute": 1, "hour": 60}


class Source(CardModel):
    """Where a figure is from, when it was read, and whether it was read at all."""

    said: str
    date: date
    quality: Literal["cited", "recalled"]


class HardwareSpec(CardModel):
    """What one kind of hardware can do; the rates of a processor are per core, its bandwidth is the whole machine's."""

    name: str
    kind: MachineKind
    memory_gb: PositiveFigure | None = None
    usable_gb: PositiveFigure | None = None
    bf16: bool
    tflops_16: PositiveFigure
    tflops_32: PositiveFigure | None = None
    bandwidth_gb_s: PositiveFigure
    watts: PositiveFigure | None = None
    seen_as: tuple[str, ...] = ()
    source: Source


class Host(CardModel):
    """The machine around the hardware: for a processor, and for a card that shares the machine's memory."""

    memory_gb: PositiveFigure
    usable_gb: PositiveFigure | None = None
    cores: PositiveFigure | None = None


class Price(CardModel):
    """What an hour costs; a billing unit nobody named counts as the hour."""

    per_hour: Money
    currency: Annotated[str, Field(pattern="^[A-Z]{3}$")] = "USD"
    billed: BillingUnit | None = None
    source: Source

    @model_validator(mode="after")
    def _check_free_price(self) -> "Price":
        if self.billed == "free" and self.per_hour:
            raise ValueError(f"what is free costs 0 per hour, but got {self.per_hour:g}")
        return self


class MachineEntry(CardModel):
    """An offer: hardware by its id under `cards`, and a price where there is one. The studio trains on one card."""

    name: str = ""
    card: str = ""
    cards: Literal[1] = 1
    host: Host | None = None
    price: Price | None = None
    start_minutes: Money | None = None
    note: Message | None = None


class HostedOffer(CardModel):
    """A service that trains for you, in dollars per million training tokens (tokens of the examples times epochs)."""

    id: str
    name: str
    low: Money
    high: Money
    source: Source
    note: Message | None = None


class MachineCatalogue(CardModel):
    """A file of machines."""

    cards: dict[str, HardwareSpec] = Field(default_factory=dict)
    machines: dict[str, MachineEntry] = Field(default_factory=dict)
    hosted: dict[str, HostedOffer] = Field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Machine:
    """One machine with every figure the estimator computes with; `assumed` names the fields that stand on a rule and not on a source.

    The rates are what the specification promises, in TFLOP/s and GB/s; what a run reaches of them is the estimator's business.
    `price_per_hour` is in `currency`, None where no price is known; `billed` is None with it.
    """

    id: str
    name: str
    kind: MachineKind
    usable_bytes: int
    tflops_16: float
    tflops_32: float
    bandwidth_gb_s: float
    watts: float | None
    bf16: bool
    price_per_hour: float | None
    currency: str
    billed: BillingUnit | None
    start_minutes: float | None
    spec_source: Source
    price_source: Source | None
    note: Message | None = None
    assumed: tuple[str, ...] = ()


def load_machines() -> dict[str, Machine]:
    """Every machine of the list by id, the rows of the person's own `machines.yaml` over the shipped ones; this machine is `here()`.

    Raises BadPlan with everything wrong in a file, each problem under its file and key.
    """
    catalogue = _load_catalogue()
    return {
        machine_id: _build_machine(machine_id, entry, catalogue.cards[entry.card])
        for machine_id, entry in catalogue.machines.items()
        if machine_id != LOCAL_ID
    }


def local_machine(cgroup: Path = hardware.CGROUP) -> Machine:
    """This machine as the next run will find it: with what is free and what going runs give back; its card where nvidia-smi names one.

    `cgroup` is where the limits of a container are read. The price comes from the row `here` of the person's own file.
    Raises BadPlan where that file is wrong.
    """
    catalogue = _load_catalogue()
    entry = catalogue.machines.get(LOCAL_ID, MachineEntry())
    gpu = hardware.query_gpu()
    if gpu:
        name, free_bytes = gpu
        card_id = entry.card or next(
            (
                card
                for card, spec in catalogue.cards.items()
                if name.casefold() in map(str.casefold, spec.seen_as)
            ),
            "",
        )
        card = catalogue.cards[card_id or FALLBACK_GPU]
        machine = _build_machine(
            LOCAL_ID, entry.model_copy(update={"name": entry.name or name, "host": None}), card
        )
        if not card_id:
            stand_in = Source(
                said=f"nothing is known of {name}: {card.name} stands in",
                date=card.source.date,
                quality="recalled",
            )
            machine = dataclasses.replace(
                machine, spec_source=stand_in, watts=None, assumed=(*machine.assumed, *RATE_FIELDS, "bf16")
            )
    else:
        free_bytes, cores = (
            hardware.free_memory(cgroup) - hardware.RESERVED_BYTES,
            hardware.available_cores(cgroup),
        )
        host = Host(memory_gb=psutil.virtual_memory().total / GIB, cores=cores)
        named_entry = entry.model_copy(update={"name": entry.name or f"CPU × {cores:g}", "host": host})
        machine = _build_machine(LOCAL_ID, named_entry, catalogue.cards[entry.card or FALLBACK_CPU])
    assumed = tuple(dict.fromkeys(field for field in machine.assumed if field != "usable_bytes"))
    return dataclasses.replace(
        machine,
        usable_bytes=max(free_bytes + hardware.reclaimable_bytes(on_gpu=bool(gpu)), 0),
        assumed=assumed,
    )


def is_stale(source: Source | None, today: date) -> bool:
    """Whether a figure was read more than STALE_DAYS days before `today`; nothing is never stale."""
    return source is not None and today - source.date > timedelta(days=STALE_DAYS)


def billed_hours(billed: BillingUnit | None, minutes: float) -> float:
    """The hours that are charged for `minutes` of running (with its start-up), rounded up to the unit of billing."""
    unit = UNIT_MINUTES.get(billed) if billed else None
    if unit is None:
        return minutes / 60
    return math.ceil(round(minutes / unit, 6)) * unit / 60  # 61/60 minutes are 61 seconds, not a hair more


def cost_of_minutes(machine: Machine, minutes: float) -> float | None:
    """What `minutes` of running cost in the place's own currency; None where no price is known."""
    return (
        None
        if machine.price_per_hour is None
        else billed_hours(machine.billed, minutes) * machine.price_per_hour
    )


def dollars_of_minutes(machine: Machine, minutes: float) -> float | None:
    """What `minutes` of running cost in dollars; None where no price is known or it is in another currency (see `cost`)."""
    return cost_of_minutes(machine, minutes) if machine.currency == "USD" else None


def hosted_offers() -> list[HostedOffer]:
    """The services that train for you, in the order of the file. Raises BadPlan as `places` does."""
    return list(_load_catalogue().hosted.values())


def hosted_dollar_range(offer: HostedOffer, tokens: float) -> tuple[float, float]:
    """The least and the most a service takes for `tokens` training tokens (tokens of the examples times epochs), in dollars."""
    return offer.low * tokens / 1e6, offer.high * tokens / 1e6


def _build_machine(machine_id: str, entry: MachineEntry, spec: HardwareSpec) -> Machine:
    host, price, is_processor = entry.host, entry.price, spec.kind == "processor"
    memory_gb = (host.memory_gb if host else None) if spec.memory_gb is None else spec.memory_gb
    usable_gb = (host.usable_gb if host else None) or spec.usable_gb
    cores = host.cores if is_processor and host and host.cores else 1
    assumed = [] if usable_gb else ["usable_bytes"]
    assumed += RATE_FIELDS if is_processor else [] if spec.tflops_32 else ["tflops_32"]
    assumed += ["billed"] if price and not price.billed else []
    return Machine(
        id=machine_id,
        name=entry.name or spec.name,
        kind=spec.kind,
        usable_bytes=int((usable_gb or (memory_gb or 0) * USABLE_SHARE) * GIB),
        tflops_16=spec.tflops_16 * cores,
        tflops_32=(spec.tflops_32 or spec.tflops_16 * FP32_SHARE) * cores,
        bandwidth_gb_s=spec.bandwidth_gb_s,
        watts=spec.watts,
        bf16=spec.bf16,
        price_per_hour=price.per_hour if price else None,
        currency=price.currency if price else "USD",
        billed=(price.billed or "hour") if price else None,
        start_minutes=entry.start_minutes,
        spec_source=spec.source,
        price_source=price.source if price else None,
        note=entry.note,
        assumed=tuple(assumed),
    )


def _load_catalogue() -> MachineCatalogue:
    shipped, custom = presets.FOLDER / "machines.yaml", home() / "machines.yaml"
    return _merge_catalogues(
        shipped, shipped.stat().st_mtime_ns, custom, custom.stat().st_mtime_ns if custom.exists() else None
    )


@lru_cache(maxsize=4)
def _merge_catalogues(shipped: Path, _: int, custom: Path, modified_ns: int | None) -> MachineCatalogue:
    defaults, overrides = (
        _read_catalogue(shipped),
        _read_catalogue(custom, modified_ns) if modified_ns is not None else MachineCatalogue(),
    )
    catalogue = MachineCatalogue(
        cards=defaults.cards | overrides.cards,
        machines=defaults.machines | overrides.machines,
        hosted=defaults.hosted | overrides.hosted,
    )
    problems = [
        f"{custom if machine_id in overrides.machines else shipped}: machines.{machine_id}.{problem}"
        for machine_id, entry in catalogue.machines.items()
        if (problem := _entry_problem(machine_id, entry, catalogue.cards))
    ]
    if problems:
        raise BadPlan(problems)
    return catalogue


def _entry_problem(machine_id: str, entry: MachineEntry, specs: Mapping[str, HardwareSpec]) -> str:
    """What keeps a row from naming a whole machine, starting with its key; empty when nothing does."""
    if machine_id == LOCAL_ID and not entry.card:
        return ""
    if entry.card not in specs:
        return f"card: expected one of {', '.join(specs)}, but got {entry.card!r}"
    spec = specs[entry.card]
    if spec.memory_gb is None and entry.host is None and machine_id != LOCAL_ID:
        return f"host: is missing; {spec.name} has the memory of the machine, so name it, such as {{memory_gb: 64, cores: 8}}"
    return (
        "host.cores: is missing" if spec.kind == "processor" and entry.host and not entry.host.cores else ""
    )


def _read_catalogue(path: Path, modified_ns: int | None = None) -> MachineCatalogue:
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
        raw["hosted"] = {
            name: {**entry, "id": name} if isinstance(entry, dict) else entry
            for name, entry in offers.items()
        }
    if modified_ns is not None:
        prices = {name: entry.get("price") for name, entry in _dict_values(raw.get("machines")).items()}
        for section in (raw.get("cards"), raw.get("hosted"), prices):
            for entry in _dict_values(section).values():
                entry.setdefault(
                    "source",
                    {"said": str(path), "date": date.fromtimestamp(modified_ns / 1e9), "quality": "cited"},
                )
    try:
        return MachineCatalogue.model_validate(raw)
    except ValidationError as error:
        messages = {
            ".".join(str(step) for step in item["loc"]): item["msg"].removeprefix("Value error, ")
            for item in error.errors()
        }
        raise BadPlan([f"{path}: {key_path}: {message}" for key_path, message in messages.items()]) from None


def _dict_values(section: object) -> dict[str, dict[str, Any]]:
    return (
        {name: entry for name, entry in section.items() if isinstance(entry, dict)}
        if isinstance(section, dict)
        else {}
    )
