"""What the chooser's tests share: all sets of answers, machines, and estimates that are not computed."""

import csv
import itertools
from functools import lru_cache

from studio import chooser, methods, presets
from studio.estimate import all_methods, dataset_lengths
from studio.estimate.machines import catalogue
from studio.estimate.types import Estimate, range_around
from studio.methods import compatibility

METHOD_NAMES = list(presets.methods())
CHOICES = {question.id: [name for name, _ in question.choices] for question in chooser.QUESTIONS}
GRID = [dict(zip(CHOICES, choices, strict=True)) for choices in itertools.product(*CHOICES.values())]
GRID_SAMPLE = GRID[::31]
TONE = {
    "change": "tone",
    "have": "answers",
    "many": "some",
    "where": "server",
    "budget": "small",
    "apart": "middle",
}
MACHINES = catalogue.load_machines()
CPU, T4 = MACHINES["hf-cpu-basic"], MACHINES["hf-t4-small"]


def fixed_estimates(minutes=10.0, too_large=(), too_slow=()):
    """An estimator by decree: 4 of 16 GB; `too_large` methods lack 3.1 GB, `too_slow` ones take ten days."""
    available_gb = 16.0

    def estimate(plan):
        estimates = {}
        for index, name in enumerate(presets.methods()):
            if compatibility.find_incompatibility(name, plan.task):
                continue
            memory_gb = available_gb + 3.1 if name in too_large else 4.0
            method_minutes = 10 * 24 * 60.0 if name in too_slow else minutes * (1 + index / 10)
            estimates[name] = Estimate(
                name,
                10**6,
                10**8,
                range_around(memory_gb, 1.1),
                {"model": memory_gb},
                range_around(method_minutes, 2),
                fits="no" if name in too_large else "yes",
                room_gb=available_gb,
            )
        return estimates

    return estimate


def closed_form_estimates(machine):
    """The estimator's closed form; each plan is priced once."""
    cache = {}

    def estimate(plan):
        key = plan.model_dump_json()
        if key not in cache:
            base_model = all_methods.find_base_model(plan.model)
            method = methods.get(plan.method.name)
            settings = {method.name: method.resolve_settings(plan.method.settings)}
            lengths = dataset_lengths.measure_lengths(plan, base_model.folder)
            context = all_methods.EstimateContext(plan, machine, base_model, lengths, settings)
            cache[key] = all_methods.estimate_all_methods(context, use_traces=False)
        return cache[key]

    return estimate


@lru_cache
def choose_grid():
    """Every set of answers with its choice, on data of 140 questions with answers."""
    return [
        (answers, chooser.choose(answers, "sample:support-tone", CPU, fixed_estimates())) for answers in GRID
    ]


def choose_methods():
    """The part of the grid in which a method is chosen."""
    return [(answers, choice) for answers, choice in choose_grid() if choice.method]


def sentences(choice):
    """Everything a choice says, but its prompt."""
    return [*choice.reasons, *choice.rejections.values(), *filter(None, (choice.advice, choice.note))]


def write_csv(path, *rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)
