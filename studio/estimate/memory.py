"""The most memory a run holds at once, part by part, from what each of its phases keeps."""

from collections.abc import Iterable

from studio.estimate.machines import Place
from studio.estimate.rates import Rates
from studio.estimate.tally import Tally
from studio.methods.base import Footprint, Method, Settings
from studio.methods.work import EIGHT_BIT_FROM, Load, Phase, recomputed

# What comes and goes takes more room than its bytes, since blocks of all sizes leave gaps. On a processor glibc keeps what was freed: of
# transients 0.43 more (fitted on the runs of tests/bench/estimator.md). On a card, of everything (public rows: 1.04 to 1.10, eager more).
SLACK = {"processor": 0.43, "card": 0.07}
TRANSIENT = ("activations", "scores", "passing", "written")
# NF4: half a byte a number, a scale of one byte for each 64, and 4 bytes for each 256 scales (Dettmers et al. 2023, double quantisation).
NF4_BYTES = 0.5 + 1 / 64 + 4 / (64 * 256)
# What a run holds on a processor beside its libraries and its model: the tokenizer, the examples, the buffers of the arithmetic library
# (fitted with SLACK; a tiny model's run holds 0.1 GB over its libraries).
BESIDE = {"processor": 0.11e9, "card": 0.0}
# AdamW's two averages in 32 bits (bytes a trained number).
STATE = 8.0


def item(place: Place) -> int:
    """Bytes of a number of a base as it is held: 2 on a card that computes in bfloat16, else 4 (studio.models.load.dtype)."""
    return 2 if place.kind == "card" and place.bf16 else 4


def recomputes(method: Method, load: Load, place: Place) -> bool:
    """Whether activations are computed again on the way back instead of kept (studio.methods._supervised)."""
    return method.recomputes and recomputed(load.training.recompute, place.kind == "card", load.shape.total(load.labels))


def held(method: Method, load: Load, footprint: Footprint, place: Place) -> dict[str, float]:
    """Bytes that lie there all the time: the model with what was attached, and the optimiser's averages."""
    size, trained = item(place), footprint.trainable
    model = 4.0 * trained + (4.0 if method.weights == "trained" else size) * (footprint.total - trained)
    if method.weights == "nf4":
        small = load.shape.layers * sum(linear.n_in * linear.n_out for linear in load.shape.linears)
        model -= (size - NF4_BYTES) * small
    return {"model": model, "optimiser": 0.0 if paged(method, trained, place) else STATE * trained}


def paged(method: Method, trained: int, place: Place) -> bool:
    """Whether the optimiser's averages are 8-bit pages, which lie in the machine's own memory (studio.methods._supervised)."""
    return place.kind == "card" and (trained >= EIGHT_BIT_FROM or method.weights == "nf4")


def peak(
    method: Method, load: Load, footprint: Footprint, phases: Iterable[tuple[Phase, Tally]], place: Place, rates: Rates
) -> tuple[dict[str, float], float]:
    """The parts (bytes) of the moment with the most memory, over all phases of a run; and how many of them the allocator gives back when short."""
    lasting = held(method, load, footprint, place)
    best: dict[str, float] = {}
    spare = 0.0
    for phase, tally in phases:
        parts = {
            "runtime": rates.runtime + BESIDE[place.kind],
            "model": lasting["model"],
            **{name: tally.parts.get(name, 0.0) for name in (*TRANSIENT, "gradients")},
        }
        parts["beside"] = phase.held * item(place) * load.shape.total()
        if phase.learn:
            parts["optimiser"] = lasting["optimiser"]
        parts["written"] += item(place) * load.shape.hidden * phase.stored
        moving = sum(parts[name] for name in TRANSIENT) if place.kind == "processor" else sum(parts.values()) - parts["runtime"]
        parts["slack"] = tally.parts.get("slack", SLACK[place.kind] * moving)
        if sum(parts.values()) > sum(best.values()):
            best, spare = parts, tally.spare
    return {name: size for name, size in best.items() if size > 0}, spare


def disk(method: Method, settings: Settings, load: Load, footprint: Footprint, place: Place) -> float:
    """Bytes of the result on disk: what was trained, in 32 bits, where it is kept apart; else the whole model as it is held."""
    if method.disk:
        return method.disk(load.shape, settings, load.labels, item(place))
    if "adapter" in method.exports:
        return 4.0 * footprint.trainable
    return float(item(place) * load.shape.total(load.labels))
