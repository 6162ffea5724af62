"""How many positions are scored over the vocabulary at once, which bounds the memory of the loss."""

# Bytes of the logits of a chunk in 32 bits. A GPU needs larger products to be busy, and the gradient of a
# trained head is added up chunk by chunk, which costs less for few (docs/methods.md#loss-in-chunks).
CHUNK_BYTES, LARGE_CHUNK_BYTES = 128_000_000, 256_000_000


def positions_at_once(vocabulary: int, on_gpu: bool, head_is_trained: bool) -> int:
    """The positions whose logits are computed at once.

    Args:
        vocabulary: Tokens of the vocabulary.
        on_gpu: Whether a GPU computes them.
        head_is_trained: Whether the head's matrix gets gradients.
    """
    chunk_bytes = LARGE_CHUNK_BYTES if on_gpu or head_is_trained else CHUNK_BYTES
    return max(1, chunk_bytes // (4 * vocabulary))
