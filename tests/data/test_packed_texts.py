"""Texts behind one another in one row are learned as padded rows are, and nothing is computed for padding."""

from functools import partial
from types import SimpleNamespace

import pytest
import torch
from model_families import DECODERS, GROUPED
from sampling import sample
from transformers import AutoConfig, AutoModelForCausalLM

from studio import methods, runs
from studio.data import collate, packed_texts
from studio.data.vocabulary_loss import VocabularyLoss
from studio.models.shape import EAGER_FAMILIES
from studio.training import worker

X = -100
# Texts of 12, 5, 1 and 9 tokens; mistral and gemma look back 4.
LENGTHS, N_UNLEARNED = (12, 5, 1, 9), (4, 1, 0, 3)
FAMILIES = {
    **{family: config for family, config in DECODERS.items() if family not in EAGER_FAMILIES},
    "llama": GROUPED,
    "mistral": {**GROUPED, "sliding_window": 4},
    "qwen2": GROUPED,
    "qwen3": {**GROUPED, "head_dim": 16},
    "smollm3": GROUPED,
    "gemma3_text": {**DECODERS["gemma3_text"], "sliding_window": 4},
}


def encoded_rows():
    generator = torch.Generator().manual_seed(1)
    rows = []
    for length, n_unlearned in zip(LENGTHS, N_UNLEARNED, strict=True):
        ids = torch.randint(2, 300, (length,), generator=generator).tolist()
        rows.append({"input_ids": ids, "labels": [X] * n_unlearned + ids[n_unlearned:]})
    return rows


def learn(model, packs_texts, in_one_kernel=False):
    """The loss of the rows, the gradients, and how many positions the model was given."""
    model.zero_grad()
    batch = collate.build_collator("chat", SimpleNamespace(pad_token_id=0), packs_texts=packs_texts)(
        encoded_rows()
    )
    labels, n_positions = batch.pop("labels"), batch["input_ids"].numel()
    context = packed_texts.attending_within_texts(model, in_one_kernel)
    with context, collate.without_padding_mask(model, "chat"), VocabularyLoss(model) as loss:
        value = loss(model(**batch, use_cache=False), labels)
        value.backward()
    return value.detach(), [parameter.grad for parameter in model.parameters()], n_positions


@pytest.mark.parametrize("in_one_kernel", [False, True], ids=["as a processor", "as a GPU"])
@pytest.mark.parametrize("family", FAMILIES)
def test_loss_and_gradients_are_those_of_padded_rows(family, in_one_kernel):
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model(family, **FAMILIES[family]))
    assert packed_texts.can_pack(model, "chat")
    loss, gradients, n_positions = learn(model, True, in_one_kernel)
    expected_loss, expected_gradients, n_padded_positions = learn(model, packs_texts=False)
    assert (n_positions, n_padded_positions) == (sum(LENGTHS), max(LENGTHS) * len(LENGTHS))
    torch.testing.assert_close(loss, expected_loss, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradients, expected_gradients, rtol=1e-4, atol=1e-6)


def test_gradients_are_the_same_where_blocks_are_computed_twice():
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **GROUPED)).train()
    _, gradients, _ = learn(model, True, in_one_kernel=True)
    model.gradient_checkpointing_enable()
    _, recomputed_gradients, _ = learn(model, True, in_one_kernel=True)
    torch.testing.assert_close(recomputed_gradients, gradients, rtol=1e-4, atol=1e-6)


def test_no_mask_keeps_the_texts_of_a_row_apart(monkeypatch):
    """It would have an entry for each pair of tokens, and somebody would have to wait for the GPU."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(AutoConfig.for_model("llama", **GROUPED))
    monkeypatch.setattr("transformers.masking_utils.find_packed_sequence_indices", None)
    assert learn(model, True, in_one_kernel=True)[0].isfinite()


def test_texts_are_packed_where_nothing_stands_before_a_row_and_none_is_pooled(tiny_chat):
    model = AutoModelForCausalLM.from_pretrained(tiny_chat)
    assert not packed_texts.can_pack(model, "classify")
    eager = AutoModelForCausalLM.from_config(AutoConfig.for_model("gemma2", **DECODERS["gemma2"]))
    assert not packed_texts.can_pack(eager, "chat")
    lora, prefix = methods.get("lora"), methods.get("prefix")
    assert packed_texts.can_pack(lora.attach(model, lora.resolve_settings({}), "chat"), "chat")
    model = AutoModelForCausalLM.from_pretrained(tiny_chat)
    assert not packed_texts.can_pack(prefix.attach(model, prefix.resolve_settings({}), "chat"), "chat")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("method_name", "in_one_kernel"),
    sample(
        [(name, in_one_kernel) for name in ("lora", "full", "frozen") for in_one_kernel in (False, True)],
        [("lora", True)],
    ),
)
def test_a_run_learns_the_same_packed_and_padded(method_name, in_one_kernel, make_plan, monkeypatch):
    within_texts = partial(packed_texts.attending_within_texts, in_one_kernel=in_one_kernel)
    monkeypatch.setattr(packed_texts, "attending_within_texts", within_texts)
    curves = []
    for padding_free in (True, False):
        run = runs.create(make_plan(method_name, "chat", precision="float32", padding_free=padding_free))
        worker.run(run.id)
        curves.append([point["loss"] for point in runs.read_points(run) if "loss" in point])
    assert curves[0] == pytest.approx(curves[1], rel=1e-3)
