"""A family without formulas is counted on its model, exactly, and trained or refused in a sentence."""

import copy
from types import SimpleNamespace

import pytest
import torch
from method_helpers import count
from model_families import COUNTED, config_of, plan_family, save_family, train_and_reopen
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

from studio import methods
from studio.data import collate, packed_texts
from studio.data.vocabulary_loss import VocabularyLoss
from studio.errors import NotPossible
from studio.methods import METHODS, compatibility, folder_check, peft_form
from studio.models import shape

N_LABELS = 6
IGNORED = -100
NOT_IN_CI = (pytest.mark.thorough, pytest.mark.exhaustive)
# One of each kind: parallel attention, latent attention, experts, experts in some blocks, a state.
IN_CI = ("deepseek_v3", "qwen3_next", "mamba")
GENERIC_METHODS = ("full", "frozen", "lora", "peft")
TRAINED_IN_CI = {
    *(("deepseek_v3", "full"), ("qwen3_next", "frozen"), ("mamba", "lora")),
}
by_family = pytest.mark.parametrize(
    "family", [pytest.param(name, marks=() if name in IN_CI else NOT_IN_CI) for name in COUNTED]
)


def build(family, device="meta", task="chat"):
    model_class = AutoModelForCausalLM if task == "chat" else AutoModelForSequenceClassification
    config = AutoConfig.for_model(**config_of(family), **({"num_labels": N_LABELS} if task != "chat" else {}))
    with torch.device(device):
        return model_class.from_config(config)


def list_settings(method):
    return [{"type": name} for name in peft_form.load_cards().types] if method.name == "peft" else [{}]


@by_family
def test_a_family_is_counted_to_the_last_parameter_with_every_method(family):
    model_shape, differences = shape.from_config(config_of(family)), {}
    assert model_shape.is_counted
    for task in ("chat", "classify") if model_shape.has_classifier else ("chat",):
        model, n_labels = build(family, task=task), N_LABELS if task == "classify" else 0
        assert model_shape.total(n_labels) == count(model)[1]
        for method in METHODS:
            if compatibility.find_incompatibility(method.name, task, model_shape):
                continue
            for chosen in list_settings(method):
                settings = method.resolve_settings(chosen)
                if method.check(settings, model_shape, task):
                    continue
                try:
                    attached = method.attach(copy.deepcopy(model), settings, task)
                except NotPossible:  # as studio.methods.settings_check says before a run
                    assert method.needs_settings_check
                    continue
                counted = method.count_parameters(model_shape, settings, n_labels)
                if count(attached) != (counted.trainable, counted.total):
                    differences[task, method.name, str(chosen)] = (count(attached), counted)
    assert differences == {}


def learn(model, packs_texts):
    """The loss of four texts as the studio computes it, and the gradients."""
    generator = torch.Generator().manual_seed(1)
    rows = []
    for length in (12, 5, 3, 9):
        ids = torch.randint(2, 300, (length,), generator=generator).tolist()
        rows.append({"input_ids": ids, "labels": [IGNORED, *ids[1:]]})
    model.zero_grad()
    build_batch = collate.build_collator("chat", SimpleNamespace(pad_token_id=0), packs_texts=packs_texts)
    batch = build_batch(rows)
    labels = batch.pop("labels")
    within_texts = packed_texts.attending_within_texts(model)
    with within_texts, collate.without_padding_mask(model, "chat"), VocabularyLoss(model) as loss:
        value = loss(model(**batch, use_cache=False), labels)
    value.backward()
    return value.detach(), [parameter.grad for parameter in model.parameters()]


def own_loss(model):
    """The same by the model's own scores, a text at a time."""
    generator = torch.Generator().manual_seed(1)
    total = 0.0
    for length in (12, 5, 3, 9):
        ids = torch.randint(2, 300, (length,), generator=generator)
        logits = model(input_ids=ids[None], use_cache=False).logits[0, :-1]
        total += torch.nn.functional.cross_entropy(logits.float(), ids[1:], reduction="sum")
    return total.detach() / (11 + 4 + 2 + 8)


@by_family
def test_the_loss_is_that_of_the_model_padded_and_packed(family):
    torch.manual_seed(0)
    model = build(family, device="cpu").eval()
    padded, gradients = learn(model, packs_texts=False)
    torch.testing.assert_close(padded, own_loss(model), rtol=1e-4, atol=1e-5)
    if not shape.from_config(config_of(family)).packs:
        return
    assert packed_texts.can_pack(model, "chat")
    packed, packed_gradients = learn(model, packs_texts=True)
    torch.testing.assert_close(packed, padded, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(packed_gradients, gradients, rtol=1e-3, atol=1e-5)


def list_training_cases():
    cases = []
    for family in COUNTED:
        for method in METHODS:
            marks = () if (family, method.name) in TRAINED_IN_CI else NOT_IN_CI
            cases.append(pytest.param(family, method.name, marks=marks, id=f"{family}-{method.name}"))
    return cases


@pytest.mark.parametrize(("family", "method"), list_training_cases())
def test_a_counted_family_is_trained_or_refused_before(family, method, make_plan, build_once):
    folder = build_once(f"family-{family}", lambda folder: save_family(family, folder))
    plan = plan_family(make_plan, folder, method, "chat")
    problems = methods.find_plan_problems(plan.model_dump())
    model_shape = shape.from_folder(folder)
    refused = compatibility.find_incompatibility(method, "chat", model_shape)
    assert bool(problems) == bool(refused)
    if refused:
        assert method not in GENERIC_METHODS
        return
    assert [finding for finding in folder_check.examine(folder, "chat") if finding.is_fatal] == []
    report, checksum = train_and_reopen(plan)
    if method != "upft":  # of a random model the openings it learns are noise
        assert report["after"]["loss"] < report["before"]["loss"]
    assert checksum == report["tuned"]["checksum"]
