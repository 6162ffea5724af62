"""Machines, models, workloads and plans that the tests of the estimator share."""

import dataclasses

from studio import methods, presets
from studio.estimate import all_methods, estimate_one
from studio.estimate.all_methods import EstimateContext
from studio.estimate.dataset_lengths import DatasetLengths
from studio.estimate.machines import catalogue
from studio.estimate.method_run import MethodRun
from studio.methods.workload import RowTokens, Workload
from studio.models import shape as model_shapes
from studio.plan import Data, MethodChoice, Plan, Training

MACHINES = catalogue.load_machines()
T4, H200, CPU = MACHINES["hf-t4-small"], MACHINES["hf-h200"], MACHINES["hf-cpu-basic"]
METHOD_NAMES = [method.name for method in methods.METHODS]
ROWS = tuple(RowTokens(40 + 3 * index, 60 + 5 * index, 50) for index in range(40))
LENGTHS = DatasetLengths(ROWS, 400, 0, 0, is_exact=True)
# Tasks of the methods that do not train on conversations.
TASKS = {"rlhf": "prefer", "upft": "prompts"}


def shape_of(model):
    return model_shapes.from_config(presets.models()[model].config)


def make_workload(name, model="smollm2-135m", rows=ROWS, count=400, **training):
    training = {"epochs": 2.0, "batch_size": 8, "learning_rate": 1e-3, "max_length": 256, **training}
    return Workload(
        TASKS.get(name, "chat"), rows, count, 0.1, Training(**training), shape_of(model), num_labels=0
    )


def make_run(name, model="smollm2-135m", settings=None, **workload_options):
    method = methods.get(name)
    workload = make_workload(name, model, **workload_options)
    return MethodRun(method, method.resolve_settings(settings or {}), workload)


def estimate(name, machine=CPU, model="smollm2-135m", settings=None, **workload_options):
    """The closed form's estimate of a method on examples of 100 to 412 tokens."""
    run = make_run(name, model, settings, **workload_options)
    return estimate_one.estimate_method(dataclasses.replace(run, cards=machine.cards), machine)


def make_plan_for(model="smollm2-135m", task="chat", name="lora", **training):
    return Plan(
        task=task,
        model=model,
        data=Data(source="-"),
        method=MethodChoice(name=name),
        training=Training(**training),
    )


def make_context(plan, machine, lengths=LENGTHS):
    base_model = all_methods.find_base_model(plan.model)
    return EstimateContext(plan, machine, base_model, lengths, settings={})
