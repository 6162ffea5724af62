"""The loss in chunks is the loss: the same numbers and gradients, whatever stands behind the head."""

import copy

import pytest
import torch
from model_families import MIXTURES
from peft import LoraConfig, get_peft_model
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GraniteConfig,
    HyperCLOVAXConfig,
    InklingTextConfig,
    MiniCPM3Config,
    Qwen3Config,
    RecurrentGemmaConfig,
)

from studio.data import collate, loss_chunks
from studio.data.vocabulary_loss import VocabularyLoss

X = -100
SIZES = {
    "vocab_size": 40,
    "hidden_size": 16,
    "intermediate_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 1,
    "head_dim": 8,
    "pad_token_id": 0,
}
FAMILIES = {
    "plain": Qwen3Config(**SIZES),
    "tied": Qwen3Config(**SIZES, tie_word_embeddings=True),
    "scaled": CohereConfig(**SIZES, logit_scale=0.25),
    "divided": GraniteConfig(**SIZES, logits_scaling=4.0),
    "multiplied": HyperCLOVAXConfig(**SIZES, logits_scaling=4.0),
    "divided before the head": MiniCPM3Config(**{**SIZES, "num_key_value_heads": 2}, dim_model_base=4),
    "bounded": Gemma2Config(**SIZES, final_logit_softcapping=2.0),
    "bounded by another name": RecurrentGemmaConfig(
        **{**SIZES, "num_hidden_layers": 3}, lru_width=16, logits_soft_cap=0.01
    ),
    "cut": InklingTextConfig(**SIZES, unpadded_vocab_size=30),
}
BATCH = {"input_ids": torch.tensor([[5, 6, 7, 8, 9, 3], [4, 3, 9, 11, 12, 2]])}
LABELS = torch.tensor([[X, X, 7, 8, 9, X], [X, X, X, 11, 12, 2]])


@pytest.fixture(params=FAMILIES)
def causal_model(request):
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(FAMILIES[request.param])


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    """Three positions at once, so that ten make several chunks, the last one not full."""
    monkeypatch.setattr(loss_chunks, "positions_at_once", lambda *_: 3)


def step(model, loss):
    """The loss of a batch, and the gradients of all trained parameters by their names."""
    batch = {**BATCH, **collate.select_labelled_positions(LABELS)}
    labels = batch.pop("labels")
    value = loss(model(**batch), labels, torch.tensor(9))
    value.backward()
    trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
    return value.detach(), [parameter.grad for parameter in trained]


def test_the_loss_and_every_gradient_are_those_of_all_logits_at_once(causal_model):
    expected = step(copy.deepcopy(causal_model), collate.token_loss)
    with VocabularyLoss(causal_model) as loss:
        torch.testing.assert_close(step(causal_model, loss), expected, rtol=1e-5, atol=1e-7)


def test_an_adapter_on_the_head_learns_the_same(causal_model):
    config = LoraConfig(target_modules=["q_proj", "lm_head"], r=2, init_lora_weights=False)
    model = get_peft_model(causal_model, config)
    expected = step(copy.deepcopy(model), collate.token_loss)
    with VocabularyLoss(model) as loss:
        torch.testing.assert_close(step(model, loss), expected, rtol=1e-5, atol=1e-7)


def test_without_gradients_the_loss_of_each_token_is_told(causal_model):
    batch = {**BATCH, **collate.select_labelled_positions(LABELS)}
    labels = batch.pop("labels")
    with torch.no_grad():
        logits = causal_model(**batch).logits.transpose(1, 2)
        expected = torch.nn.functional.cross_entropy(logits, labels[:, 1:], ignore_index=X, reduction="none")
        with VocabularyLoss(causal_model) as loss:
            causal_model(**batch)
            torch.testing.assert_close(loss.token_losses(labels), expected)
            outputs = causal_model(**batch)
            torch.testing.assert_close(loss(outputs, labels), expected.sum() / 6)


def test_behind_it_the_model_returns_logits_again(causal_model):
    before = causal_model(**BATCH).logits
    with VocabularyLoss(causal_model):
        assert causal_model(**BATCH).logits.shape[-1] == 1
    torch.testing.assert_close(causal_model(**BATCH).logits, before)


def test_a_chunk_takes_128_megabytes_and_256_on_a_gpu_or_for_a_trained_head(monkeypatch):
    monkeypatch.undo()
    assert loss_chunks.positions_at_once(100_000, on_gpu=False, head_is_trained=False) == 320
    assert loss_chunks.positions_at_once(100_000, on_gpu=True, head_is_trained=False) == 640
    assert loss_chunks.positions_at_once(100_000, on_gpu=False, head_is_trained=True) == 640


def test_experts_are_kept_in_balance_where_the_config_asks_for_it():
    config = AutoConfig.for_model("qwen3_moe", **MIXTURES["qwen3_moe"], router_aux_loss_coef=0.5)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    ids = torch.randint(2, 300, (2, 9))
    gradients = {}
    for is_balanced in (False, True):
        model.zero_grad()
        with VocabularyLoss(model) as loss:
            outputs = model(input_ids=ids[:, :-1], output_router_logits=is_balanced)
            value = loss(outputs, ids)
        value.backward()
        gradients[is_balanced] = value.item(), model.model.layers[0].mlp.gate.weight.grad.clone()
    model.zero_grad()
    model(input_ids=ids[:, :-1], output_router_logits=True).aux_loss.mul(0.5).backward()
    balancing = model.model.layers[0].mlp.gate.weight.grad
    assert gradients[True][0] == gradients[False][0], "the value is that of the tokens alone"
    torch.testing.assert_close(gradients[True][1], gradients[False][1] + balancing)
