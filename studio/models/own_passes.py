"""Whether the passes of the studio come to what a model makes of each text alone, tried on a thin copy."""

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import torch

from studio.data import collate, packed_texts
from studio.data.examples import IGNORE_INDEX
from studio.data.vocabulary_loss import VocabularyLoss

# To how many tokens windows and the like are set; lengths of texts of which some exceed it, and none does.
LONGEST_VIEW = 6
TEXT_LENGTHS = ((12, 3, 9), (5, 3, 6))
N_WORDS = 300
# Share of a position's scores by which two ways to compute them may differ: rounding makes less.
MOST_DIFFERENCE = 1e-3


class OwnPasses:
    """A model's own scores of a few texts, each read alone, to hold those of the studio's passes against.

    Args:
        model: A causal model of studio.models.thin_copy.
    """

    def __init__(self, model: Any) -> None:
        self._model = model
        generator = torch.Generator().manual_seed(0)
        n_words = min(N_WORDS, int(model.get_output_embeddings().weight.shape[0]))
        self._batches = [
            [torch.randint(2, n_words, (length,), generator=generator) for length in lengths]
            for lengths in TEXT_LENGTHS
        ]
        with torch.no_grad():
            self._alone = [torch.cat([self._read(text) for text in texts]) for texts in self._batches]

    def _read(self, text: torch.Tensor) -> torch.Tensor:
        return torch.as_tensor(self._model(input_ids=text[None], use_cache=False).logits[0, :-1].float())

    def are_those_of_padded_rows(self) -> bool:
        """Whether the studio's loss is of the same scores, with texts in padded rows."""
        return all(self._is_close(index) for index in range(len(TEXT_LENGTHS)))

    def are_those_of_packed_texts(self) -> bool:
        """Whether it is with texts behind one another in a row, on a CPU and on a GPU."""
        indices = range(len(TEXT_LENGTHS))
        return all(self._is_close(index, True, in_one) for index in indices for in_one in (False, True))

    def _is_close(self, index: int, packs_texts: bool = False, in_one_kernel: bool = False) -> bool:
        expected = self._alone[index]
        scores = self._score_together(self._batches[index], packs_texts, in_one_kernel)
        if scores.shape != expected.shape:
            return False
        differences = (scores - expected).norm(dim=-1) / expected.norm(dim=-1)
        return bool((differences < MOST_DIFFERENCE).all())

    def _score_together(
        self, texts: Sequence[torch.Tensor], packs_texts: bool, in_one_kernel: bool
    ) -> torch.Tensor:
        """The scores at positions that predict a token, as training computes them: positions x vocabulary."""
        model, ids = self._model, [text.tolist() for text in texts]
        rows = [{"input_ids": text, "labels": [IGNORE_INDEX, *text[1:]]} for text in ids]
        build_batch = collate.build_collator("chat", SimpleNamespace(pad_token_id=0), packs_texts=packs_texts)
        batch = build_batch(rows)
        is_learned = batch.pop("labels")[:, 1:].flatten() != IGNORE_INDEX
        within_texts = packed_texts.attending_within_texts(model, in_one_kernel)
        without_mask, loss = collate.without_padding_mask(model, "chat"), VocabularyLoss(model)
        with torch.no_grad(), within_texts, without_mask, loss:
            model(**batch, use_cache=False)
            return loss.scores()[is_learned].float()
