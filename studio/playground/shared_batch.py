"""Base and LoRA answer in one batch, so that each matrix of the base is read once for both."""

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from peft import PeftModel
from transformers import TextStreamer

from studio.evaluate import answers
from studio.models.decoding import RowHooks, decode

# PEFT's name for a row without an adapter.
NO_ADAPTER = "__base__"
OnText = Callable[[str], None]
OnEnd = Callable[[int], None]


class RowStreamer(TextStreamer):  # type: ignore[misc] # transformers ships no types
    """Passes on each piece of a row's text, and at its end how many tokens it has.

    Args:
        tokenizer: Decodes the tokens.
        on_text: Called with each piece.
        on_end: Called with the number of tokens.
    """

    def __init__(self, tokenizer: Any, on_text: OnText, on_end: OnEnd) -> None:
        super().__init__(tokenizer, skip_special_tokens=True)
        self.on_text, self.on_end = on_text, on_end
        self.n_tokens = 0

    def put(self, value: torch.Tensor) -> None:
        """Take the next token."""
        self.n_tokens += 1
        super().put(value)

    def on_finalized_text(self, text: str, stream_end: bool = False) -> None:
        """Pass on a piece that no later token changes."""
        if text:
            self.on_text(text)
        if stream_end:
            self.on_end(self.n_tokens)


def is_possible(base: Any, tuned: Any) -> bool:
    """Whether both models hold the same weights, and PEFT can leave the adapter out for some rows of a batch.

    That is a plain LoRA: DoRA scales the base's own matrices, and other adapters know no mixed batches.
    """
    if not isinstance(tuned, PeftModel) or tuned.peft_type != "LORA":
        return False
    config = tuned.active_peft_config
    if config.use_dora or config.target_parameters or config.alora_invocation_tokens:
        return False
    shared = {id(parameter) for parameter in base.parameters()}
    return all(id(parameter) in shared or "lora_" in name for name, parameter in tuned.named_parameters())


def generate(
    tuned: Any,
    tokenizer: Any,
    prompts: Sequence[list[int]],
    streamers: Sequence[RowStreamer],
    stop: threading.Event,
    generate_kwargs: Mapping[str, Any],
) -> None:
    """Continue a prompt for the base and one for the tuned model, streaming both.

    Args:
        tuned: The tuned model, of which `is_possible` holds.
        tokenizer: Its tokenizer.
        prompts: The token ids that the base and the tuned model continue.
        streamers: Of the base and of the tuned model.
        stop: Ends both answers where they are.
        generate_kwargs: Further arguments of transformers' `generate`.
    """
    adapter_names = (NO_ADAPTER, tuned.active_adapter)

    def forward(rows: Sequence[int], **inputs: Any) -> Any:
        return tuned(**inputs, adapter_names=[adapter_names[row] for row in rows], return_dict=True)

    def should_stop(input_ids: torch.Tensor, scores: Any, **_: Any) -> torch.Tensor:
        return torch.full((len(input_ids),), stop.is_set(), device=input_ids.device)

    input_ids, attention_mask = answers.pad_left(prompts, tokenizer.pad_token_id, tuned.device)
    with torch.no_grad():
        tuned.get_base_model().generate(
            input_ids=input_ids,
            attention_mask=attention_mask,
            pad_token_id=tokenizer.pad_token_id,
            eos_token_id=sorted(answers.stop_token_ids(tuned, tokenizer)),
            stopping_criteria=[should_stop],
            custom_generate=decode,
            row_hooks=RowHooks(forward, streamers),
            **generate_kwargs,
        )
