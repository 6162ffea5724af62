"""The formulas of PEFT's parameter counts: by hand on a tiny model, and PEFT's own rules for widths."""

import pytest
from peft_cases import METHOD, TINY_CONFIG, TYPES

from studio.methods.training import peft_counts
from studio.models import shape

# query 8->8, key and value 8->4, output 8->8, gate and up 8->16, down 16->8
BY_HAND = [
    ("dora", {"r": 2}, 2 * (2 * (16 + 12 + 12 + 16 + 24 + 24 + 24) + (8 + 4 + 4 + 8 + 16 + 16 + 8))),
    ("lora_mlp", {"r": 2}, 2 * 2 * (24 + 24 + 24)),
    ("miss", {"r": 2}, 2 * 2 * 64),
    ("adalora", {"init_r": 3}, 2 * 3 * (16 + 12 + 12 + 16 + 24 + 24 + 24 + 7)),
    ("ia3", {}, 2 * (4 + 4 + 16)),
    ("loha", {"r": 2}, 2 * 4 * 128),
    # 8 = 2·4, 4 = 2·2, 16 = 4·4; rank 1 is below half of the larger side: the larger factor is thin
    ("lokr", {"r": 1}, 2 * ((4 + 8) + 2 * (4 + 6) + (4 + 8) + 2 * (8 + 8) + (8 + 8))),
    # blocks of 4: 6 parameters each, two for a width of 8, four for 16
    ("oft", {"oft_block_size": 4}, 2 * (6 * 2 * 6 + 4 * 6)),
    ("oft", {"oft_block_size": 4, "block_share": True}, 2 * 7 * 6),
    # 5 does not divide 8 nor 16: PEFT takes 4
    ("oft", {"oft_block_size": 5}, 2 * (6 * 2 * 6 + 4 * 6)),
    ("vera", {"r": 3}, 2 * (64 + 7 * 3)),
    ("prompt_tuning", {"num_virtual_tokens": 5}, 40),
    ("p_tuning", {"num_virtual_tokens": 5, "encoder_hidden_size": 3}, 40 + (24 + 3) + (9 + 3) + (24 + 8)),
    ("ln_tuning", {}, 2 * 16 + 8),
]


def count(peft_type, fields=None, n_labels=0):
    chosen = {f"{peft_type}_{name}": value for name, value in (fields or {}).items()}
    settings = METHOD.resolve_settings({"type": peft_type, **chosen})
    return METHOD.count_parameters(shape.from_config(TINY_CONFIG), settings, n_labels)


@pytest.mark.parametrize(
    ("peft_type", "fields", "expected"),
    BY_HAND,
    ids=[f"{peft_type}-{index}" for index, (peft_type, _, _) in enumerate(BY_HAND)],
)
def test_what_is_trained_counted_by_hand(peft_type, fields, expected):
    counted = count(peft_type, fields)
    assert counted.trainable == expected
    # AdaLoRA stores for each of 7 matrices in 2 layers the rank it started with.
    n_frozen = 14 if peft_type == "adalora" else 0
    assert counted.total == shape.from_config(TINY_CONFIG).total() + expected + n_frozen


def test_a_classifier_s_new_head_is_counted_with_every_method():
    heads = {
        peft_type: count(peft_type, n_labels=3).trainable - count(peft_type).trainable for peft_type in TYPES
    }
    assert heads == dict.fromkeys(TYPES, 3 * 8)


def test_widths_are_split_as_peft_splits_them():
    from peft.tuners.lokr.layer import factorization

    differences = {}
    for size in (1, 7, 48, 127, 128, 576, 1536, 3072):
        for factor in (-1, 1, 4, 8, 100):
            factors, expected = peft_counts.kronecker_factors(size, factor), factorization(size, factor)
            if factors != expected:
                differences[size, factor] = (factors, expected)
    assert differences == {}


def test_block_sizes_are_adjusted_as_peft_adjusts_them():
    from peft.tuners.oft.layer import OFTLayer

    differences = {}
    for size in (32, 64, 384, 576, 960, 1536):
        for target in (1, 7, 32, 48, 100, 576, 2000):
            expected = min(target, size)
            if size % expected:
                expected = OFTLayer.adjust_oft_parameters(None, size, target)
            divisor = peft_counts.nearest_divisor(size, target)
            if divisor != expected:
                differences[size, target] = (divisor, expected)
    assert differences == {}
