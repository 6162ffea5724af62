"""The sum of a tensor's bytes: every bit and every place counts, on either device alike."""

import pytest
import torch

from studio.models import device_sums


def sum_of(tensor):
    return int(device_sums.mixed_sum(tensor))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.uint8])
def test_every_changed_number_changes_the_sum(dtype):
    tensor = torch.arange(37).to(dtype)
    sums = {sum_of(tensor)}
    for place in range(len(tensor)):
        changed = tensor.clone()
        changed.view(torch.uint8)[place * tensor.element_size()] ^= 1
        sums.add(sum_of(changed))
    assert len(sums) == 1 + len(tensor)


def test_the_order_of_the_words_counts(monkeypatch):
    words = torch.arange(64, dtype=torch.int64)
    swapped = words.clone()
    swapped[[3, 40]] = words[[40, 3]]
    assert sum_of(words) != sum_of(swapped)
    monkeypatch.setattr(device_sums, "PIECE_BYTES", 8 * 32)  # so that they lie in two pieces
    assert sum_of(words) != sum_of(swapped)


def test_pieces_and_strides_make_no_difference(monkeypatch):
    tensor = torch.randn(33, 7, generator=torch.Generator().manual_seed(0))
    whole = sum_of(tensor)
    assert sum_of(torch.cat([tensor, tensor])[33:]) == whole
    assert sum_of(tensor.t().contiguous().t()) == whole
    monkeypatch.setattr(device_sums, "PIECE_BYTES", 64)
    assert sum_of(tensor) == whole


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_a_gpu_and_the_processor_come_to_the_same_sum():
    tensor = torch.randn(1001, generator=torch.Generator().manual_seed(0))
    assert sum_of(tensor.cuda()) == sum_of(tensor)
