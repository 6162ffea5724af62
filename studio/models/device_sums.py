"""A sum that tells tensors apart by every bit of theirs, computed where the tensor lies."""

import torch

# So much of a tensor is mixed at a time: what is made for it takes four times as much.
PIECE_BYTES = 1 << 24
WORD_BYTES = 8
# An odd number that spreads the places of words over all bits, and the shift and the factors of MurmurHash3's
# 64-bit finalizer; as signed numbers.
PLACE_FACTOR = 0x9E3779B97F4A7C15 - (1 << 64)
SHIFT = 33
FACTORS = (0xFF51AFD7ED558CCD - (1 << 64), 0xC4CEB9FE1A85EC53 - (1 << 64))


def mixed_sum(tensor: torch.Tensor) -> torch.Tensor:
    """A number of 64 bits for the bytes of a tensor, the same on every device.

    Each word of eight bytes is mixed with its place, so that words in another order count as others, and all
    are added. It finds what has changed by itself; who sets out to can make two tensors with the same sum.
    """
    data = tensor.detach().reshape(-1).view(torch.uint8)
    total = torch.zeros((), dtype=torch.int64, device=tensor.device)
    for start in range(0, len(data), PIECE_BYTES):
        piece = data[start : start + PIECE_BYTES]
        words = torch.zeros(-(-len(piece) // WORD_BYTES), dtype=torch.int64, device=tensor.device)
        words.view(torch.uint8)[: len(piece)] = piece
        first_place = start // WORD_BYTES
        places = torch.arange(first_place, first_place + len(words), device=tensor.device)
        words.bitwise_xor_(places.mul_(PLACE_FACTOR))
        for factor in FACTORS:
            words.bitwise_xor_(words >> SHIFT).mul_(factor)
        total += words.bitwise_xor_(words >> SHIFT).sum()
    return total
