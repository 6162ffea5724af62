"""What the studio's passes come to is held against a model's own scores, on a copy that runs at any size."""

import pytest
import torch
from model_families import config_of

from studio.data import vocabulary_loss
from studio.errors import ModelUnavailable
from studio.models import counted_shape, thin_copy
from studio.models.own_passes import LONGEST_VIEW, OwnPasses

# Falcon of 180 billion parameters, four blocks of it.
LARGE_FALCON = {
    **{"model_type": "falcon", "hidden_size": 14848, "num_hidden_layers": 4, "num_attention_heads": 232},
    **{"num_kv_heads": 8, "vocab_size": 65024, "new_decoder_architecture": True},
}


@pytest.mark.parametrize("family", ["falcon-alibi", "deepseek_v32"])
def test_texts_stay_in_rows_of_their_own_where_a_mask_is_more_than_a_window(family):
    packs = {name: counted_shape.count(config_of(name), name).packs for name in (family, "falcon")}
    assert packs == {family: False, "falcon": True}


@pytest.mark.parametrize(
    ("family", "forgotten", "instead"),
    [
        ("hyperclovax", "LOGITS_SCALING_POWERS", {}),
        ("minicpm3", "LOGITS_SCALING_POWERS", {}),
        ("recurrent_gemma", "_logit_bound", lambda config: 0.0),
        ("granite", "_logit_scale", lambda config: 1.0),
    ],
)
def test_a_family_whose_scores_the_loss_does_not_know_is_refused(family, forgotten, instead, monkeypatch):
    assert counted_shape.count(config_of(family), family).is_counted
    monkeypatch.setattr(vocabulary_loss, forgotten, instead)
    with pytest.raises(ModelUnavailable, match="learn something else than what it writes by"):
        counted_shape.count(config_of(family), family)


def test_a_model_that_cannot_be_run_is_refused():
    config = {**config_of("deepseek_v3"), "num_experts_per_tok": None}
    with pytest.raises(ModelUnavailable, match=r"small copy of it .*cannot be run in transformers: .*topk"):
        counted_shape.count(config, "it")


def test_a_large_model_is_tried_in_little_memory_and_keeps_its_sizes():
    model = thin_copy.build(LARGE_FALCON, LONGEST_VIEW)
    parameters = list(model.parameters())
    assert sum(parameter.numel() for parameter in parameters) > 10e9
    assert sum(parameter.untyped_storage().nbytes() for parameter in parameters) < 50e6
    own_passes = OwnPasses(model)
    assert own_passes.are_those_of_padded_rows()
    assert own_passes.are_those_of_packed_texts()


def test_windows_that_no_text_exceeds_stay_as_they_are():
    config = {**config_of("olmo3"), "sliding_window": 64}
    windows = [
        thin_copy.build({**config, "max_position_embeddings": context}, 6).config.sliding_window
        for context in (64, 512)
    ]
    assert windows == [64, 6]


def test_a_trial_leaves_the_order_of_random_numbers_alone():
    torch.manual_seed(1)
    state = torch.get_rng_state()
    counted_shape.count(config_of("falcon"), "it")
    assert torch.equal(torch.get_rng_state(), state)
