"""The estimates of all methods for one plan on one machine: what the page's table, the command line and a run's record show."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from studio import methods, presets
from studio.errors import StudioError
from studio.estimate import desk, load, quote, rates, record
from studio.estimate.figures import Estimate
from studio.estimate.load import Lengths
from studio.estimate.machines import Place
from studio.estimate.traced import Traced
from studio.methods import fits, work
from studio.methods.base import Method, Settings
from studio.models import fetch, shape
from studio.models.shape import ModelShape
from studio.plan import Plan
from studio.words import Words

NO_SHAPE = Words("the model's shape, which is known once it is here", "模型的结构（下载后才知道）")
NO_ROWS = Words("examples: without them nobody knows how long it takes", "样本：没有样本就无法估算时间")
TOO_LONG = Words(
    "examples short enough: every question alone fills the longest example ({length} tokens, max length)",
    "足够短的样本：每个问题本身就占满了长度上限（{length} 个 token，max length）",
)
UNTRACED = Words("a traced step, so the formula stands: {why}", "逐步推演的结果，因此以公式为准：{why}")
# Of a config.json what says how a model is built, and not how its weights happen to be stored.
STORED = ("quantization_config", "dtype", "torch_dtype", "architectures", "transformers_version", "_name_or_path")


@dataclass(frozen=True)
class Base:
    """A base model as far as it is known: its config and shape, and the folder where it lies."""

    config: dict[str, Any]
    shape: ModelShape | None
    folder: Path | None


def base(model: str) -> Base:
    """What is known of a model without fetching it; an unreadable config counts as unknown."""
    card, folder = presets.models().get(model), None
    try:
        here = fetch.cached(model)
        folder = here.folder if here else None
        if card:
            return Base(dict(card.config), shape.of(card.config), folder)
        if folder:
            found = shape.read(folder)
            raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
            return Base({name: value for name, value in raw.items() if name not in STORED}, found, folder)
    except (StudioError, OSError, ValueError):  # what is wrong with it is said beside its field
        return Base({}, None, folder)
    return Base({}, None, None)


def estimates(
    plan: Plan,
    place: Place,
    settings: Mapping[str, Settings],
    found: Base,
    lengths: Lengths | None,
    only: str = "",
    refined: bool = True,
) -> dict[str, Estimate]:
    """One estimate for each method that goes with the task and the model, or `only` one; takes what was traced before, and milliseconds.

    `settings` are each method's; one that is not named takes its defaults. Without `refined` the closed form alone has its say.
    """
    own = rates.of(place)
    traced = Traced(found.config, place) if found.config and refined else None
    return {
        method.name: _one(plan, method, settings.get(method.name, method.settle({})), place, found, lengths, own, traced)
        for method in methods.METHODS
        if (not only or method.name == only) and not fits.refusal(method.name, plan.task, found.shape)
    }


def _one(
    plan: Plan,
    method: Method,
    settings: Settings,
    place: Place,
    found: Base,
    lengths: Lengths | None,
    own: rates.Rates,
    traced: Traced | None,
) -> Estimate:
    if not found.shape:
        return Estimate(method.name, missing=(NO_SHAPE,))
    if not lengths:
        return quote.without_rows(method, settings, found.shape, place, plan.task, NO_ROWS)
    given = load.of(plan, method, settings, found.shape, lengths)
    if not work.texts(given):
        short = TOO_LONG.filled(length=given.training.max_length)
        return quote.without_rows(method, settings, found.shape, place, plan.task, short)
    made = quote.quote(method, settings, given, place, own, traced, record.learned(place.id, method.name, own.when))
    why = traced.stuck(method, settings, given) if traced and made.level == "formula" else None
    made = replace(made, missing=(*made.missing, UNTRACED.filled(why=why))) if why else made
    return made if lengths.counted else quote.widened(made, lengths.why)


def lacks(plan: Plan, method: Method, settings: Settings, place: Place, found: Base, lengths: Lengths) -> bool:
    """Whether tracing would refine an estimate of this method."""
    if not found.shape or not found.config:
        return False
    return bool(Traced(found.config, place).open(method, settings, load.of(plan, method, settings, found.shape, lengths)))


def sharpen(plan: Plan, method: Method, settings: Settings, place: Place, found: Base, lengths: Lengths) -> bool:
    """Trace what an estimate of this method still lacks; takes seconds. Returns whether everything is known now."""
    if not found.shape:
        return False
    given = load.of(plan, method, settings, found.shape, lengths)
    answers = [desk.ask(asked) for asked in Traced(found.config, place).open(method, settings, given)]
    return all("problem" not in answer for answer in answers)


def chosen(plan: Plan, place: Place, wait: bool = False) -> Estimate:
    """The estimate of a plan's own method and settings; with `wait` as exact as can be had in seconds.

    Raises what is wrong with the data.
    """
    found, method = base(plan.model), methods.get(plan.method.name)
    settings = method.settle(plan.method.settings)
    lengths = load.lengths(plan, found.folder, wait)
    if wait:
        sharpen(plan, method, settings, place, found, lengths)
    return _one(plan, method, settings, place, found, lengths, rates.of(place), Traced(found.config, place) if found.config else None)
