"""The encoder that reads what texts mean, in a child process."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from studio.data.examples import Encoded
from studio.methods.training import linear_head
from studio.models import device, load, shape
from studio.storage import ProgressCallback
from studio.training.cpu_threads import ThreadTuner, benchmark_matmul

# As many tokens were read of each text when the encoder was trained (all-MiniLM-L6-v2, its model card).
MAX_TOKENS = 128


class Encoder:
    """An encoder on this machine.

    Args:
        folder: Its folder.
    """

    def __init__(self, folder: Path) -> None:
        # What a head would read of a text is its embedding; the head itself is not used.
        self._model = load.base_model(folder, "classify", ("", "-"))
        self._tokenizer = load.tokenizer(folder)
        self._max_tokens = min(MAX_TOKENS, shape.from_folder(folder).context)
        if device.uses_cpu():  # others may take a core
            ThreadTuner(torch.get_num_threads(), torch.set_num_threads, benchmark_matmul).choose()

    def encode(self, texts: Sequence[str], on_progress: ProgressCallback) -> NDArray[Any]:
        """The embeddings of texts, each of unit length; longer texts are cut.

        Args:
            texts: At least one text.
            on_progress: Called with the texts done and all of them.
        """
        token_ids = self._tokenizer(list(texts), truncation=True, max_length=self._max_tokens)["input_ids"]
        rows = [Encoded(ids, [0]) for ids in token_ids]
        features = linear_head.compute_features(self._model, rows, self._tokenizer, on_progress)
        lengths = np.linalg.norm(features, axis=1, keepdims=True)
        return np.asarray(features / np.maximum(lengths, 1e-9))
