"""The plan that the page's fields describe: what it would do, and what is wrong with it, under the fields' own names."""

from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any

from studio import methods, plan, presets
from studio.data import intake, prepare, split
from studio.data.prepare import Example
from studio.data.split import Parts
from studio.errors import BadPlan, explain
from studio.estimate.table import Base
from studio.methods import defaults
from studio.plan import Plan, Task, Value
from studio.tabs import estimates, forms, remember, visitor
from studio.tabs import method as at
from studio.words import Words

SUMMARY = Words(
    "{method} on {model}: {train} examples, each seen {epochs:g}×, {batch} at a time: {steps} steps. {check} more are kept aside to check on (validation).",
    "用 {method} 训练 {model}：{train} 个样本，{epochs:g} 轮，每步 {batch} 个，共 {steps} 步；另留 {check} 个作验证集。",
)
# From so many examples on it takes seconds to find those that are alike, in which the page would stand still.
MANY = 5000
JUDGED = Words(" {test} more are kept for the final test.", "另有 {test} 个留作最终测试（测试集）。")


def assemble(source: str, task: Task, columns: str, model: str, chosen: str, name: str, **values: Value) -> Plan:
    """The plan that the page's fields describe; raises BadPlan with everything that is wrong with it."""
    model = str(model or "")
    visitor.check_model(model)
    method = methods.get(chosen)
    training = {field: value for field, value in values.items() if field in plan.Training.model_fields}
    training |= {field: values.get(field) or None for field in estimates.BY_ITSELF}  # type: ignore[misc]
    raw = {
        "name": name.strip()[:120] or f"{presets.methods()[chosen].name.en} · {model.split('/')[-1]}",
        "task": task,
        "model": model,
        "data": {
            "source": source,
            "columns": forms.unpack(columns),
            "validation_share": values["validation_share"],
            "test_share": values.get("test_share"),
            "test": str(values.get("test") or ""),
        },
        "method": {"name": chosen, "settings": forms.settings(method, values)},
        "training": training,
    }
    return plan.parse(raw, "the page", (methods.problems,))


def describe(made: Plan, lang: str) -> str:
    """What a plan would do, counted on its real data."""
    parts = parted(made)
    card, method = presets.models().get(made.model), methods.get(made.method.name)
    train = len(parts.train)
    size = made.training.batch_size or defaults.batch_size(train)
    rounds = made.training.epochs or defaults.epochs(train, made.task, size, method.patience)
    said = SUMMARY.say(
        lang,
        method=presets.methods()[made.method.name].name,
        model=card.name if card else made.model,
        train=train,
        check=len(parts.validation),
        epochs=rounds,
        batch=size,
        steps=defaults.steps(train, size, rounds),
    )
    return said + (JUDGED.say(lang, test=len(parts.test)) if parts.test else "")


def parted(made: Plan) -> Parts:
    """The three parts of a plan's data, as its run will have them."""
    kept = visitor.dataset(made.data.source)
    data = (made.data.source, kept.stamp, made.task, tuple(sorted(made.data.columns.items())))
    found, together = _together(*data)
    parts = split.split(found, made.data, made.training.seed, together)
    if made.data.test:
        tested, _ = prepare.examples(visitor.dataset(made.data.test).table(), made.task, made.data.columns)
        parts = replace(parts, test=tested)
    return parts


@lru_cache(maxsize=8)
def _together(source: str, stamp: int, task: Task, columns: tuple[tuple[str, str], ...]) -> tuple[list[Example], list[int]]:
    """The examples of a data set and what of them belongs together; remembered while its rows stay the same."""
    found, _ = prepare.examples(visitor.dataset(source).table(), task, dict(columns))
    return found, split.alike(found) if len(found) < MANY else intake.alike(source, task, dict(columns))


def later(made: Plan, lang: str) -> str:
    """What is trained beside the steps that were counted, where a method trains in several stages."""
    method = methods.get(made.method.name)
    said = method.follows(method.settle(made.method.settings), made.task)
    return said.say(lang) if said else ""


def room(base: Base | None, chosen: str, asked: float, values: Mapping[str, Value]) -> int:
    """How many tokens of a text are read of `asked` with the chosen method; `values` are the fields of all methods' settings, if at hand."""
    shape, method = base.shape if base else None, next((one for one in methods.METHODS if one.name == chosen), None)
    if not shape or not method:
        return int(asked or 0)
    return method.room(shape, estimates.settled(method, forms.settings(method, remember.entered(values))), int(asked or 0))


def problem(error: Exception, chosen: str, lang: str) -> dict[str, Any]:
    """What is wrong; of a plan, under the labels of the page's fields."""
    known = {method.name for method in methods.METHODS}
    if isinstance(error, BadPlan) and chosen in known:
        return forms.settings_problem(error.found, at.field_labels(chosen), lang)
    return forms.problem(explain(error), lang)
