"""The machines a run could use: what each can do, what it costs, and the source of both."""

import dataclasses
import math
import re
from collections.abc import Mapping
from datetime import date, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import psutil
import yaml
from pydantic import Field, ValidationError, model_validator

from studio import cgroups, presets
from studio.errors import BadPlan
from studio.estimate.machines import hardware
from studio.i18n import Message, parse_yaml
from studio.models import cpu_precision, device
from studio.models.cpu_precision import Precision
from studio.presets import CardModel
from studio.storage import home

MachineKind: TypeAlias = Literal["card", "processor"]
BillingUnit: TypeAlias = Literal["second", "minute", "hour", "free"]
PositiveFigure: TypeAlias = Annotated[float, Field(gt=0, le=1e6)]
Money: TypeAlias = Annotated[float, Field(ge=0, le=1e6)]

LOCAL_ID = "here"
# What a person adds on the page (studio/estimate/machines/own.py), in the form of machines.yaml.
ADDED_FILE = "machines-added.yaml"
# The most GPUs that one offer may have.
MAX_CARDS = 64
# What a GPU sends to others where nothing is known of its link: PCIe 3.0, 16 lanes (GB/s).
PCIE_GB_S = 16.0
# A price that was read longer ago is marked as stale.
STALE_DAYS = 180
GIB = 2**30
# The share of the memory on the label that a run gets where nobody has measured it: nearly all of a GPU's,
# but where error correction takes its bits from the same chips (docs/estimator.md#usable_shares).
USABLE_SHARES = {"card": 0.99, "processor": 0.91}
INLINE_ECC_USABLE_SHARE = 0.935
# The 32-bit rate of a GPU as a share of its 16-bit rate where no source gives it. A T4 reached
# 4.1 TFLOP/s, against half of its 65 in 16 bits: an eighth (docs/estimator.md#fp32_share).
FP32_SHARE = 1 / 8
# These stand in for a GPU or a CPU that the list does not know: of a generation, by its compute capability,
# the slowest GPU of the list.
FALLBACK_GPUS = {
    (12, 0): "rtx-pro-6000-half",
    (9, 0): "h100-pcie",
    (8, 9): "l4",
    (8, 0): "a10",
    (0, 0): "t4",
}
FALLBACK_CPU = "zen3-core"
FALLBACK_APPLE = "m1"
RATE_FIELDS = ("tflops_16", "tflops_32", "bandwidth_gb_s")
UNIT_MINUTES: dict[BillingUnit, float] = {"second": 1 / 60, "minute": 1, "hour": 60}


class Source(CardModel):
    """Where a figure is from, when it was read, and whether it was read at all."""

    said: str
    date: date
    quality: Literal["cited", "recalled"]


class HardwareSpec(CardModel):
    """What one kind of hardware can do.

    The rates and the watts of a CPU are per core, its bandwidth is that of the whole machine. `link_gb_s` is
    what a GPU sends to the others of its machine.
    """

    name: str
    kind: MachineKind
    memory_gb: PositiveFigure | None = None
    usable_gb: PositiveFigure | None = None
    inline_ecc: bool = False
    bf16: bool
    fp16: bool = False
    tflops_16: PositiveFigure
    tflops_32: PositiveFigure | None = None
    bandwidth_gb_s: PositiveFigure
    watts: PositiveFigure | None = None
    link_gb_s: PositiveFigure | None = None
    seen_as: tuple[str, ...] = ()
    source: Source


class Host(CardModel):
    """The machine around the hardware: for a CPU, and for a GPU that shares the machine's memory."""

    memory_gb: PositiveFigure
    usable_gb: PositiveFigure | None = None
    cores: PositiveFigure | None = None


class Price(CardModel):
    """What an hour costs; where no billing unit is named, it counts as the hour."""

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
    """An offer: hardware by its id under `cards`, how many of it, and the price of all of it if known.

    `more` lists how many of it can be had for as many times the price: each is an offer of its own.

    `ssh` is a box's address as ssh takes it, `python` the program that starts Python there; `job` is what
    Hugging Face Jobs call the hardware; `ray` is the address of a Ray cluster's dashboard, `storage` a folder
    that all its nodes share. The studio can train on a machine with one of them, at a Ray cluster on several
    GPUs.
    """

    name: str = ""
    ssh: Annotated[str, Field(pattern=r"^(\w[\w.@:%\[\]-]*)?$")] = ""
    python: Annotated[str, Field(pattern=r"^([\w./~][\w./~-]*)?$")] = ""
    job: Annotated[str, Field(pattern=r"^([\w][\w.-]*)?$")] = ""
    ray: Annotated[str, Field(pattern=r"^(https?://[\w.:\[\]-]+(/[\w./-]*)?)?$")] = ""
    storage: Annotated[str, Field(pattern=r"^([\w./~][\w./~ -]*)?$")] = ""
    card: str = ""
    cards: int = Field(1, ge=1, le=MAX_CARDS)
    more: tuple[Annotated[int, Field(ge=2, le=MAX_CARDS)], ...] = ()
    host: Host | None = None
    price: Price | None = None
    start_minutes: Money | None = None
    note: Message | None = None


class HostedOffer(CardModel):
    """A service that trains for you, in dollars per million training tokens.

    Training tokens are the tokens of the examples times the epochs.
    """

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
    """One machine with every figure that the estimator computes with.

    Attributes:
        id: Its key in `machines.yaml`; LOCAL_ID for this machine.
        name: Its name for people.
        kind: "card" for a GPU, "processor" for a CPU, as `machines.yaml` has it; code asks `is_gpu`.
        usable_bytes: Memory that a run can have; of several GPUs that of each.
        total_bytes: All memory of this machine's GPU, free or not; 0 where there is none, and elsewhere.
        tflops_16: What the specification promises for 16-bit numbers (TFLOP/s). How much of it a run
            achieves is for the estimator's rates to say.
        tflops_32: The same for 32-bit numbers.
        bandwidth_gb_s: Memory bandwidth by specification (GB/s).
        watts: Power of the GPU's board, or of the CPU's cores; None where it is not known.
        bf16: Whether it computes in bfloat16.
        fp16: Whether it multiplies float16 matrices in tensor cores, for a GPU without bfloat16.
        price_per_hour: In `currency`; None where no price is known.
        currency: Code of the currency, such as USD.
        billed: The unit of billing; None where no price is known.
        start_minutes: Minutes that are charged before a run starts; None where nobody names them.
        spec_source: Where the figures are from.
        price_source: Where the price is from; None where no price is known.
        note: What else a person should know.
        assumed: Names of the fields that rest on a rule and not on a source.
        ssh: The address by which ssh reaches it; empty where it is no box of one's own.
        python: The program that starts Python there.
        job: What Hugging Face Jobs call it; empty where they do not have it.
        ray: The address of its Ray dashboard; empty where it is no Ray cluster.
        storage: A folder that all nodes of the Ray cluster share; empty for one in the head's home.
        card: Id of its hardware in `machines.yaml`.
        cards: How many of its GPUs train one run together; rates are those of one.
        link_gb_s: What a GPU sends to the others (GB/s).
        has_unified_memory: Whether its GPU shares the memory of the processor, as Apple's do.
        precision: What it is asked to compute in.
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
    fp16: bool
    price_per_hour: float | None
    currency: str
    billed: BillingUnit | None
    start_minutes: float | None
    spec_source: Source
    price_source: Source | None
    note: Message | None = None
    assumed: tuple[str, ...] = ()
    total_bytes: int = 0
    ssh: str = ""
    python: str = "python3"
    job: str = ""
    ray: str = ""
    storage: str = ""
    card: str = ""
    cards: int = 1
    link_gb_s: float = PCIE_GB_S
    has_unified_memory: bool = False
    precision: Precision = "auto"

    @property
    def can_train(self) -> bool:
        """Whether the studio can train there, by a launcher."""
        return bool(self.ssh or self.job or self.ray)

    @property
    def is_rented(self) -> bool:
        """Whether it is someone else's, who charges for it: nothing is there before it starts."""
        return self.price_per_hour is not None and self.id != LOCAL_ID and not (self.ssh or self.ray)

    @property
    def is_gpu(self) -> bool:
        """Whether it computes on a GPU; else on a CPU."""
        return self.kind == "card"

    @property
    def device_type(self) -> device.DeviceType:
        """The kind of device that models are put on there."""
        if not self.is_gpu:
            return "cpu"
        return "mps" if self.has_unified_memory else "cuda"

    @property
    def torch_device(self) -> Literal["cuda", "cpu"]:
        """The type of device whose kernels a trace takes: no trace knows those of Apple's GPUs."""
        return "cuda" if self.device_type == "cuda" else "cpu"

    @property
    def autocast_dtype(self) -> device.AutocastName:
        """The 16-bit format in which passes compute there, empty where they compute in 32 bits."""
        return device.choose_autocast(self.precision, self.device_type, self.bf16, self.fp16)

    @property
    def weights_dtype(self) -> device.AutocastName:
        """The 16-bit format in which frozen weights are held there, empty for 32 bits.

        This is what studio.models.device.weights_dtype chooses.
        """
        return self.autocast_dtype if self.is_gpu else ""

    def with_precision(self, precision: Precision) -> "Machine":
        """Return the machine as it computes a plan.

        Args:
            precision: `training.precision` of the plan.
        """
        return self if precision == "auto" else dataclasses.replace(self, precision=precision)

    @property
    def lacks_bf16(self) -> bool:
        """Whether it is a GPU that is asked for bfloat16 and does not compute in it: nothing trains there."""
        return self.is_gpu and self.precision == "bfloat16" and not self.bf16


def with_cards(machine: Machine, cards: int) -> Machine:
    """Return a machine as if it had so many of its GPUs, without a price."""
    watts = machine.watts / machine.cards * cards if machine.watts else None
    return dataclasses.replace(machine, cards=cards, watts=watts, price_per_hour=None, billed=None)


def with_own_cards(machine: Machine, cards: int) -> Machine:
    """Return a machine that uses so many of the GPUs it has: its price stays the same."""
    several = with_cards(machine, max(machine.cards, cards))
    return dataclasses.replace(several, price_per_hour=machine.price_per_hour, billed=machine.billed)


def load_machines() -> dict[str, Machine]:
    """Return every machine of the list by its id.

    A row of the person's own `machines.yaml` replaces a shipped row of the same id. This machine is not
    among them: see `local_machine`.

    Raises:
        BadPlan: If a file is wrong; names every problem with its file and key.
    """
    catalogue = _load_catalogue()
    return {
        machine_id: _build_machine(machine_id, entry, catalogue.cards[entry.card])
        for machine_id, entry in _expand_offers(catalogue.machines).items()
        if machine_id != LOCAL_ID
    }


def _expand_offers(entries: Mapping[str, MachineEntry]) -> dict[str, MachineEntry]:
    """Return every offer, and after it those of more GPUs, each under its id with how many there are."""
    expanded = {}
    for machine_id, entry in entries.items():
        expanded[machine_id] = entry
        for cards in entry.more:
            price = entry.price
            if price:
                price = price.model_copy(update={"per_hour": price.per_hour * cards / entry.cards})
            # Neither a box nor a job of one GPU has more of them.
            changes = {"cards": cards, "more": (), "price": price, "note": None, "ssh": "", "job": ""}
            if entry.name:
                changes["name"] = f"{cards} × {entry.name}"
            expanded[f"{machine_id}-x{cards}"] = entry.model_copy(update=changes)
    return expanded


def local_machine(cgroup: Path = cgroups.CGROUP) -> Machine:
    """Return this machine as the next run will find it: with its GPU where nvidia-smi names one.

    Its memory is what is free now plus what the active runs will release. Its price comes from the row
    `here` of the person's own file.

    Args:
        cgroup: Where the limits of a container are read.

    Raises:
        BadPlan: If the person's own file is wrong.
    """
    catalogue = _load_catalogue()
    # How many of its GPUs train together is each plan's to say (training.num_gpus).
    entry = catalogue.machines.get(LOCAL_ID, MachineEntry()).model_copy(update={"cards": 1})
    gpu = hardware.query_gpu()
    if gpu:
        free_bytes = gpu.free_bytes
        machine = _build_local_gpu(gpu, entry, catalogue.cards)
    elif apple_chip := hardware.apple_chip():
        free_bytes = hardware.free_memory(cgroup) - hardware.RESERVED_BYTES
        machine = _build_apple_gpu(apple_chip, entry, catalogue.cards)
    else:
        free_bytes = hardware.free_memory(cgroup) - hardware.RESERVED_BYTES
        machine = _build_local_cpu(cgroups.available_cores(cgroup), entry, catalogue.cards)
    # What is free was measured, so the memory rests on no rule.
    assumed = tuple(dict.fromkeys(field for field in machine.assumed if field != "usable_bytes"))
    usable_bytes = max(free_bytes + hardware.reclaimable_bytes(on_gpu=bool(gpu)), 0)
    total_bytes = gpu.total_bytes if gpu else 0
    if gpu:
        # What is free may have been asked before an active run took its part.
        usable_bytes = min(usable_bytes, total_bytes)
    machine = machine.with_precision(cpu_precision.requested_precision())
    return dataclasses.replace(machine, usable_bytes=usable_bytes, total_bytes=total_bytes, assumed=assumed)


def local_card_id() -> str:
    """Return the id of this machine's hardware in the list; empty for a GPU that it does not know."""
    catalogue = _load_catalogue()
    entry, gpu = catalogue.machines.get(LOCAL_ID, MachineEntry()), hardware.query_gpu()
    if entry.card or not gpu:
        return entry.card or FALLBACK_CPU
    return _find_spec(gpu.name, catalogue.cards)


def _build_local_gpu(gpu: hardware.Gpu, entry: MachineEntry, specs: Mapping[str, HardwareSpec]) -> Machine:
    """Return this machine with its GPU; where the list does not know the GPU, one of FALLBACK_GPUS stands in.

    What it computes in follows from its compute capability even then.
    """
    spec_id = entry.card or _find_spec(gpu.name, specs)
    stand_in_id = next(FALLBACK_GPUS[least] for least in FALLBACK_GPUS if gpu.compute_capability >= least)
    spec = specs[spec_id or stand_in_id]
    machine = _build_machine(
        LOCAL_ID, entry.model_copy(update={"name": entry.name or gpu.name, "host": None}), spec
    )
    if spec_id:
        return machine
    stand_in = Source(
        said=f"nothing is known of {gpu.name}: {spec.name} stands in",
        date=spec.source.date,
        quality="recalled",
    )
    return dataclasses.replace(
        machine,
        spec_source=stand_in,
        watts=None,
        bf16=gpu.compute_capability >= device.MIN_CAPABILITY["bfloat16"],
        fp16=gpu.compute_capability >= device.MIN_CAPABILITY["float16"],
        assumed=(*machine.assumed, *RATE_FIELDS),
    )


def _build_apple_gpu(chip: str, entry: MachineEntry, specs: Mapping[str, HardwareSpec]) -> Machine:
    """Return this Mac with its GPU, which shares the processor's memory; M1 stands in for an unknown chip."""
    spec_id = entry.card or _find_spec(chip, specs)
    host = Host(memory_gb=psutil.virtual_memory().total / GIB)
    named_entry = entry.model_copy(update={"name": entry.name or chip, "host": host})
    machine = _build_machine(LOCAL_ID, named_entry, specs[spec_id or FALLBACK_APPLE])
    if spec_id:
        return machine
    spec = specs[FALLBACK_APPLE]
    said = f"nothing is known of {chip}: {spec.name} stands in"
    stand_in = Source(said=said, date=spec.source.date, quality="recalled")
    return dataclasses.replace(
        machine, spec_source=stand_in, watts=None, assumed=(*machine.assumed, *RATE_FIELDS)
    )


def _find_spec(gpu_name: str, specs: Mapping[str, HardwareSpec]) -> str:
    """Return the id of the hardware that nvidia-smi calls by this name; empty where there is none."""
    for spec_id, spec in specs.items():
        if gpu_name.casefold() in map(str.casefold, spec.seen_as):
            return spec_id
    return ""


def _build_local_cpu(cores: float, entry: MachineEntry, specs: Mapping[str, HardwareSpec]) -> Machine:
    host = Host(memory_gb=psutil.virtual_memory().total / GIB, cores=cores)
    named_entry = entry.model_copy(update={"name": entry.name or f"CPU × {cores:g}", "host": host})
    machine = _build_machine(LOCAL_ID, named_entry, specs[entry.card or FALLBACK_CPU])
    speedup = cpu_precision.bf16_speedup()
    return dataclasses.replace(
        machine, bf16=cpu_precision.is_bf16_faster(), tflops_16=machine.tflops_32 * speedup
    )


def is_stale(source: Source | None, today: date) -> bool:
    """Return whether a figure was read more than STALE_DAYS days before `today`; no source is never stale."""
    return source is not None and today - source.date > timedelta(days=STALE_DAYS)


def billed_hours(billed: BillingUnit | None, minutes: float) -> float:
    """Return the hours that are charged for `minutes` of running, rounded up to the unit of billing.

    Args:
        billed: The unit of billing; nothing is rounded where it is "free" or None.
        minutes: The whole time that the machine runs, its start-up included.
    """
    unit = UNIT_MINUTES.get(billed) if billed else None
    if unit is None:
        return minutes / 60
    # Rounded first, since 61 / 60 minutes over 1 / 60 is a hair more than the 61 seconds they are.
    n_units = math.ceil(round(minutes / unit, 6))
    return n_units * unit / 60


def cost_of_minutes(machine: Machine, minutes: float) -> float | None:
    """Return what `minutes` of running cost in the machine's own currency; None where no price is known."""
    if machine.price_per_hour is None:
        return None
    return billed_hours(machine.billed, minutes) * machine.price_per_hour


def dollars_of_minutes(machine: Machine, minutes: float) -> float | None:
    """Return what `minutes` of running cost in dollars; None where the price is not known in dollars."""
    return cost_of_minutes(machine, minutes) if machine.currency == "USD" else None


def hosted_offers() -> list[HostedOffer]:
    """Return the services that train for you, in the order of the file.

    Raises:
        BadPlan: As `load_machines` does.
    """
    return list(_load_catalogue().hosted.values())


def hosted_dollar_range(offer: HostedOffer, tokens: float) -> tuple[float, float]:
    """Return the least and the most dollars that a service charges for so many training tokens.

    Args:
        offer: The service.
        tokens: Tokens of the examples times the epochs.
    """
    return offer.low * tokens / 1e6, offer.high * tokens / 1e6


def _build_machine(machine_id: str, entry: MachineEntry, spec: HardwareSpec) -> Machine:
    host, price = entry.host, entry.price
    is_cpu = spec.kind == "processor"
    memory_gb = spec.memory_gb
    if memory_gb is None:
        memory_gb = host.memory_gb if host else 0
    usable_gb = (host.usable_gb if host else None) or spec.usable_gb
    usable_share = INLINE_ECC_USABLE_SHARE if spec.inline_ecc else USABLE_SHARES[spec.kind]
    cores = host.cores if is_cpu and host and host.cores else 1
    return Machine(
        id=machine_id,
        name=_name_offer(entry, spec),
        kind=spec.kind,
        usable_bytes=int((usable_gb or memory_gb * usable_share) * GIB),
        tflops_16=spec.tflops_16 * cores,
        tflops_32=(spec.tflops_32 or spec.tflops_16 * FP32_SHARE) * cores,
        bandwidth_gb_s=spec.bandwidth_gb_s,
        watts=spec.watts * cores * entry.cards if spec.watts else None,
        bf16=spec.bf16,
        fp16=spec.fp16,
        price_per_hour=price.per_hour if price else None,
        currency=price.currency if price else "USD",
        billed=(price.billed or "hour") if price else None,
        start_minutes=entry.start_minutes,
        spec_source=spec.source,
        price_source=price.source if price else None,
        note=entry.note,
        assumed=_find_assumed_fields(entry, spec),
        ssh=entry.ssh,
        python=entry.python or "python3",
        job=entry.job,
        ray=entry.ray,
        storage=entry.storage,
        card=entry.card,
        cards=entry.cards,
        link_gb_s=spec.link_gb_s or PCIE_GB_S,
        has_unified_memory=spec.kind == "card" and spec.memory_gb is None,
    )


def _name_offer(entry: MachineEntry, spec: HardwareSpec) -> str:
    """Return an offer's name, else that of its hardware: “2 × NVIDIA H100 SXM”."""
    name = spec.name if entry.cards == 1 else f"{entry.cards} × {spec.name}"
    return entry.name or name


def _find_assumed_fields(entry: MachineEntry, spec: HardwareSpec) -> tuple[str, ...]:
    """Return the names of a machine's fields that rest on a rule and not on a source."""
    assumed: list[str] = []
    if not spec.usable_gb and not (entry.host and entry.host.usable_gb):
        assumed.append("usable_bytes")
    if spec.kind == "processor":
        assumed.extend(RATE_FIELDS)
    elif not spec.tflops_32:
        assumed.append("tflops_32")
    if entry.price and not entry.price.billed:
        assumed.append("billed")
    return tuple(assumed)


def hardware_names() -> dict[str, str]:
    """Return the name of every kind of hardware of the list, by its id."""
    return {spec_id: spec.name for spec_id, spec in _load_catalogue().cards.items()}


def has_own_memory(spec_id: str) -> bool:
    """Return whether hardware of this id has memory of its own: else it is that of the machine around it."""
    spec = _load_catalogue().cards.get(spec_id)
    return spec is not None and spec.memory_gb is not None


def find_hardware(gpu_name: str) -> str:
    """Return the id of the hardware that nvidia-smi calls by this name; empty where the list lacks it."""
    return _find_spec(gpu_name, _load_catalogue().cards)


def find_hardware_of_kind(kind: str) -> str:
    """Return the id of the only hardware whose name has this word, such as H100; empty where several have."""
    word = re.compile(rf"\b{re.escape(kind)}\b", re.IGNORECASE)
    matches = [
        spec_id
        for spec_id, spec in _load_catalogue().cards.items()
        if any(word.search(name) for name in (spec.name, *spec.seen_as))
    ]
    return matches[0] if len(matches) == 1 else ""


def build_own_machine(machine_id: str, entry: MachineEntry) -> Machine | None:
    """Return the machine that an entry stands for; None where its hardware is not known or lacks a host."""
    cards = _load_catalogue().cards
    is_known = not _find_entry_problem(machine_id, entry, cards)
    return _build_machine(machine_id, entry, cards[entry.card]) if is_known else None


def read_added() -> dict[str, MachineEntry]:
    """Return the machines that were added on the page, by id.

    Raises:
        BadPlan: Somebody has changed their file, and it is wrong.
    """
    path = home() / ADDED_FILE
    return dict(_read_catalogue(path, path.stat().st_mtime_ns).machines) if path.exists() else {}


def _load_catalogue() -> MachineCatalogue:
    own_files = [path for path in (home() / ADDED_FILE, home() / "machines.yaml") if path.exists()]
    files = (presets.FOLDER / "machines.yaml", *own_files)
    return _merge_catalogues(*((path, path.stat().st_mtime_ns) for path in files))


@lru_cache(maxsize=4)
def _merge_catalogues(*files: tuple[Path, int]) -> MachineCatalogue:
    """Return these files as one, of which a later one replaces rows of an earlier one.

    Args:
        files: Each file with the time of its change (ns), so that a changed one is read again; the first is
            the one that is shipped.
    """
    (shipped, _), *own_files = files
    catalogue = _read_catalogue(shipped)
    origins: dict[str, Path] = {}
    for path, modified_ns in own_files:
        overrides = _read_catalogue(path, modified_ns)
        origins |= dict.fromkeys(overrides.machines, path)
        catalogue = MachineCatalogue(
            cards=catalogue.cards | overrides.cards,
            machines=catalogue.machines | overrides.machines,
            hosted=catalogue.hosted | overrides.hosted,
        )
    problems = []
    for machine_id, entry in catalogue.machines.items():
        problem = _find_entry_problem(machine_id, entry, catalogue.cards)
        if problem:
            problems.append(f"{origins.get(machine_id, shipped)}: machines.{machine_id}.{problem}")
    if problems:
        raise BadPlan(problems)
    return catalogue


def _find_entry_problem(machine_id: str, entry: MachineEntry, specs: Mapping[str, HardwareSpec]) -> str:
    """Return why a row does not make a machine, starting with the key at fault; empty when it does."""
    if machine_id == LOCAL_ID and not entry.card:
        return ""
    if entry.card not in specs:
        return f"card: expected one of {', '.join(specs)}, but got {entry.card!r}"
    spec = specs[entry.card]
    if spec.memory_gb is None and entry.host is None and machine_id != LOCAL_ID:
        return (
            f"host: is missing; {spec.name} has the memory of the machine, so name it,"
            " such as {memory_gb: 64, cores: 8}"
        )
    if spec.kind == "processor" and entry.host and not entry.host.cores:
        return "host.cores: is missing"
    return ""


def _read_catalogue(path: Path, modified_ns: int | None = None) -> MachineCatalogue:
    """Return the rows of one file.

    Args:
        path: The file.
        modified_ns: When the file was changed (ns), for a person's own file, which is then the source of
            the rows that name none; None for the shipped file.

    Raises:
        BadPlan: If the file cannot be read; names every problem with its key.
    """
    raw = _read_yaml(path)
    if isinstance(offers := raw.get("hosted"), dict):
        raw["hosted"] = {
            name: {**entry, "id": name} if isinstance(entry, dict) else entry
            for name, entry in offers.items()
        }
    if modified_ns is not None:
        _add_missing_sources(raw, path, modified_ns)
    try:
        return MachineCatalogue.model_validate(raw)
    except ValidationError as error:
        messages = {
            ".".join(str(step) for step in problem["loc"]): problem["msg"].removeprefix("Value error, ")
            for problem in error.errors()
        }
        raise BadPlan([f"{path}: {key_path}: {message}" for key_path, message in messages.items()]) from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        raw = parse_yaml(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError) as error:
        raise BadPlan([f"{path}: cannot be read: {error}"]) from None
    except yaml.YAMLError as error:
        raise BadPlan([f"{path}: is not valid YAML: {' '.join(str(error).split())}"]) from None
    if not isinstance(raw, dict):
        raise BadPlan([f"{path}: expected keys and values such as `machines:`, but got {type(raw).__name__}"])
    return raw


def _add_missing_sources(raw: dict[str, Any], path: Path, modified_ns: int) -> None:
    """Make a person's own file, with the date of its last change, the source of what names none."""
    source = {"said": str(path), "date": date.fromtimestamp(modified_ns / 1e9), "quality": "cited"}
    prices = {name: entry.get("price") for name, entry in _read_rows(raw.get("machines")).items()}
    for section in (raw.get("cards"), raw.get("hosted"), prices):
        for entry in _read_rows(section).values():
            entry.setdefault("source", dict(source))


def _read_rows(section: object) -> dict[str, dict[str, Any]]:
    """Return the entries of a section that are mappings; none where the section is not one itself."""
    if not isinstance(section, dict):
        return {}
    return {name: entry for name, entry in section.items() if isinstance(entry, dict)}
