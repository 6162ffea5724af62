"""A classifier on the mean of the tokens, as sentence-transformers reads a text with a BERT.

It imports torch and transformers only: exports copy this file beside what needs it.
"""

from typing import Any

import torch
from transformers import BertModel, BertPreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class PooledClassifier(BertPreTrainedModel):  # type: ignore[misc] # transformers ships no types
    """A BERT without pooler, the mean of its outputs for the tokens of a text, and a linear head.

    `from_pretrained` takes the folder, or the name on the hub, of a BERT (the head is then new) or of a saved
    classifier. The mean is normalised (a LayerNorm without parameters): sentence-transformers gives every
    embedding the same length. Virtual tokens before a text are attended to, and are no tokens of it: they are
    left out of the mean, and the text keeps its positions.

    Args:
        config: BERT's config with `num_labels`; with `virtual_tokens`, so many come first in `inputs_embeds`.
    """

    _keys_to_ignore_on_load_unexpected = (r"(^|\.)pooler\.",)

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        config.pooling = "mean"
        self.num_labels = config.num_labels
        self.loss_type = "ForSequenceClassification"
        self.bert = BertModel(config, add_pooling_layer=False)
        has_own_dropout = config.classifier_dropout is not None
        self.dropout = torch.nn.Dropout(
            config.classifier_dropout if has_own_dropout else config.hidden_dropout_prob
        )
        self.classifier = torch.nn.Linear(config.hidden_size, config.num_labels)
        self.post_init()

    @classmethod
    def from_config(cls, config: Any, **kwargs: Any) -> Any:
        """A classifier with random parameters, as the Auto classes make one."""
        return cls._from_config(config, **kwargs)

    def pool(self, hidden: torch.Tensor, attention_mask: torch.Tensor | None = None) -> torch.Tensor:
        """The normalised mean over the tokens that are not padding.

        Args:
            hidden: Rows x tokens x width.
            attention_mask: Rows x at least as many tokens, 0 for padding. Virtual tokens and a prefix of keys
                and values come before the text, and are no part of `hidden`.

        Returns:
            Rows x width.
        """
        if attention_mask is None:
            attention_mask = hidden.new_ones(hidden.shape[:2])
        mask = attention_mask[:, -hidden.shape[1] :, None].to(hidden.dtype)
        mean = (hidden * mask).sum(dim=1) / mask.sum(dim=1)
        return torch.nn.functional.layer_norm(mean, mean.shape[-1:], eps=self.config.layer_norm_eps)

    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        past_key_values: Any = None,
        inputs_embeds: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        **kwargs: Any,
    ) -> SequenceClassifierOutput:
        """Scores of texts (`logits`, rows x classes), and their `loss` where there are labels.

        Further arguments are BertModel's.
        """
        n_virtual_tokens = 0
        if inputs_embeds is not None:
            n_virtual_tokens = getattr(self.config, "virtual_tokens", 0)
            positions = torch.arange(inputs_embeds.shape[1], device=inputs_embeds.device)
            kwargs["position_ids"] = (positions - n_virtual_tokens).clamp(min=0)[None]
        hidden = self.bert(
            input_ids=input_ids,
            attention_mask=attention_mask,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            **kwargs,
        ).last_hidden_state
        logits = self.classifier(self.dropout(self.pool(hidden[:, n_virtual_tokens:], attention_mask)))
        loss = None
        if labels is not None:
            loss = self.loss_function(labels=labels, pooled_logits=logits, config=self.config)
        return SequenceClassifierOutput(loss=loss, logits=logits)
