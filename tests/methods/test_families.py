"""Every family of base models is counted to the last parameter, estimated, and trained by the methods."""

import copy

import pytest
import torch
from method_helpers import count
from model_families import (
    DECODERS,
    FAMILIES,
    MIXTURES,
    config_of,
    plan_family,
    save_family,
    train_and_reopen,
)
from sampling import sample
from transformers import AutoConfig

from studio import methods
from studio.estimate.tracing.meta_step import MetaStep, ModelSpec, PassSpec
from studio.methods import METHODS, compatibility, folder_check, peft_form
from studio.models import load, shape

N_LABELS = 6
# GPT-2's matrices are of a kind (Conv1D) that these of PEFT's methods refuse, with a sentence of their own.
REFUSE_GPT2 = ("miss", "loha", "lokr", "oft")
# What the settings of a method ask for, where a family lacks it.
LACKING = {**dict.fromkeys(MIXTURES, ("lora_mlp",)), "gpt2": REFUSE_GPT2}
NOT_IN_CI = (pytest.mark.thorough, pytest.mark.exhaustive)
# Those whose parts have names or sizes of their own.
ODD_FAMILIES = ("electra", "mpnet", "qwen2_moe")
TRACED_IN_CI = ("olmoe", "gpt_oss", "gpt2", "gemma2", "phi3", "distilbert", "mpnet")
by_family = pytest.mark.parametrize("family", FAMILIES)


def settings_of(method):
    if method.name != "peft":
        return [{}]
    return [{"type": name} for name in peft_form.load_cards().types]


def build_on_meta(family, task):
    arguments = {**FAMILIES[family], **({"num_labels": N_LABELS} if task == "classify" else {})}
    with torch.device("meta"):
        model_class = load.model_class(task, config_of(family))
        return model_class.from_config(AutoConfig.for_model(family, **arguments))


def tasks_of(family):
    if family in shape.WITHOUT_CLASSIFIER:
        return ("chat",)
    return ("chat", "classify") if family in DECODERS else ("classify",)


@by_family
def test_a_family_is_counted_and_its_matrices_are_named_as_in_the_model(family):
    model_shape = shape.from_config(config_of(family))
    for task in tasks_of(family):
        model = build_on_meta(family, task)
        assert model_shape.total(N_LABELS if task == "classify" else 0) == count(model)[1]
    modules = dict(model.named_modules())
    for linear in model_shape.linears:
        module = next(module for name, module in modules.items() if name.endswith(f".1.{linear.name}"))
        assert sorted(module.weight.shape) == sorted((linear.n_in, linear.n_out))
        assert (module.bias is not None) == linear.bias


@pytest.mark.parametrize(
    "family",
    [pytest.param(name, marks=() if name in ODD_FAMILIES else NOT_IN_CI) for name in FAMILIES],
)
def test_every_method_trains_the_parameters_it_counts(family):
    model_shape, differences = shape.from_config(config_of(family)), {}
    for task in tasks_of(family):
        model = build_on_meta(family, task)
        for method in METHODS:
            if compatibility.find_incompatibility(method.name, task, model_shape):
                continue
            for chosen in settings_of(method):
                if chosen.get("type") in LACKING.get(family, ()):
                    continue
                settings = method.resolve_settings(chosen)
                attached = method.attach(copy.deepcopy(model), settings, task)
                counted = method.count_parameters(
                    model_shape, settings, N_LABELS if task == "classify" else 0
                )
                if count(attached) != (counted.trainable, counted.total):
                    differences[task, method.name, str(chosen)] = (count(attached), counted)
    assert differences == {}


@pytest.mark.parametrize("family", sample(FAMILIES, TRACED_IN_CI))
def test_a_step_of_a_family_is_traced(family):
    task = tasks_of(family)[0]
    method = methods.get("lora")
    spec = ModelSpec(
        config=config_of(family),
        method_name="lora",
        settings=method.resolve_settings({}),
        task=task,
        num_labels=N_LABELS if task == "classify" else 0,
        device="cpu",
    )
    trace = MetaStep(spec).run(PassSpec(rows=2, tokens=16, scored=8, padded=True))
    model_shape = shape.from_config(config_of(family))
    experts = model_shape.experts
    matrix_numbers = model_shape.layers * (
        sum(linear.n_in * linear.n_out for linear in model_shape.linears)
        + experts.active * experts.size
        + experts.shared_size
    )
    counted = trace.phases["forward"].flop_32
    # Besides the matrices there are attention, the LoRA and a head.
    assert 2 * 2 * 16 * matrix_numbers < counted < 2 * 2 * 16 * matrix_numbers * 3


# ---- Training: some pairs in CI, all others on demand


IN_CI = {
    *(("gpt2", "chat", "lora"), ("qwen3_moe", "chat", "full"), ("mpnet", "classify", "frozen")),
}


def list_training_cases():
    cases = []
    for family in FAMILIES:
        for task in tasks_of(family):
            for method in METHODS:
                model_shape = shape.from_config(config_of(family))
                if not compatibility.find_incompatibility(method.name, task, model_shape):
                    case = (family, task, method.name)
                    marks = () if case in IN_CI else NOT_IN_CI
                    cases.append(pytest.param(*case, marks=marks, id="-".join(case)))
    return cases


@pytest.mark.parametrize(("family", "task", "method"), list_training_cases())
def test_a_family_is_trained(family, task, method, make_plan, build_once):
    folder = build_once(f"family-{family}", lambda folder: save_family(family, folder))
    assert [finding for finding in folder_check.examine(folder, task) if finding.is_fatal] == []
    plan = plan_family(make_plan, folder, method, task)
    report, checksum = train_and_reopen(plan)
    if method != "upft":  # of a random model the openings it learns are noise
        assert report["after"]["loss"] < report["before"]["loss"]
    assert checksum == report["tuned"]["checksum"]
