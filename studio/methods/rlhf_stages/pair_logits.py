"""SimPO and ORPO without the logits of all positions at once: mixed into TRL's trainers of pairs."""

from typing import Any

import torch

from studio.data import collate
from studio.data.examples import IGNORE_INDEX
from studio.data.vocabulary_loss import VocabularyLoss
from studio.models import device

# What TRL would log of all logits, which nobody computes.
NO_LOGITS = torch.tensor([torch.nan])


class ChunkedPairs:
    """Comes before TRL's CPOTrainer or ORPOTrainer, and computes what they do in chunks of the vocabulary.

    Attributes:
        imitates_whole_texts: Whether a loss on the better texts, question included, is added (ORPO).
    """

    imitates_whole_texts = False
    # Of the trainer's class.
    accelerator: Any
    processing_class: Any
    aux_loss_enabled: bool
    concatenated_inputs: Any

    def concatenated_forward(self, model: Any, batch: dict[str, Any]) -> tuple[Any, ...]:
        """The mean log probability of a token of the better and of the worse answers, and the loss on texts.

        Args:
            model: The policy.
            batch: What TRL's collator makes of pairs.

        Returns:
            What TRL's method of this name returns, with no logits.
        """
        inputs = self.concatenated_inputs(
            batch, padding_value=self.processing_class.pad_token_id, device=self.accelerator.device
        )
        n_pairs = len(batch["chosen_labels"])
        input_ids, mask = inputs["concatenated_input_ids"], inputs["concatenated_attention_mask"]
        answer_labels = inputs["concatenated_labels"]
        text_labels = input_ids.masked_fill(mask == 0, IGNORE_INDEX)
        labels = answer_labels.clone()
        if self.imitates_whole_texts:
            labels[:n_pairs] = text_labels[:n_pairs]
        options = {"output_router_logits": True} if self.aux_loss_enabled else {}
        vocabulary_loss = VocabularyLoss(self.accelerator.unwrap_model(model), device.autocast)
        # Padding comes behind each text.
        with vocabulary_loss, collate.without_padding_mask(model, "prefer"):
            outputs = model(input_ids, use_cache=False, **options)
            log_probs = vocabulary_loss.log_probs(_shift(labels))
        is_answer = _shift(answer_labels) != IGNORE_INDEX
        answer_means = (log_probs * is_answer).sum(-1) / is_answer.sum(-1)
        text_loss = torch.zeros((), device=input_ids.device)
        if self.imitates_whole_texts:
            n_tokens = (_shift(text_labels[:n_pairs]) != IGNORE_INDEX).sum()
            text_loss = -log_probs[:n_pairs].sum() / n_tokens
        results = (answer_means[:n_pairs], answer_means[n_pairs:], NO_LOGITS, NO_LOGITS, text_loss)
        return (*results, outputs.aux_loss) if self.aux_loss_enabled else results


class ChunkedTexts(ChunkedPairs):
    """Likewise with the loss on the better texts."""

    imitates_whole_texts = True


def _shift(labels: torch.Tensor) -> torch.Tensor:
    """The token to be predicted at each position, IGNORE_INDEX behind the last."""
    return torch.nn.functional.pad(labels[:, 1:], (0, 1), value=IGNORE_INDEX)
