"""The loss of a causal model over its vocabulary, in chunks: all logits never exist at once."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch.nn import functional

from studio.data import collate, loss_chunks
from studio.data.examples import IGNORE_INDEX
from studio.plan import Task

# No model is narrower, and no LoRA is so wide.
MIN_HEAD_WIDTH = 512
# Models divide their logits by a config's `logits_scaling`, but HyperCLOVA X multiplies them, and MiniCPM3
# divides what goes into the head: the power to which it is taken behind the head, elsewhere -1.
LOGITS_SCALING_POWERS = {"hyperclovax": 1, "minicpm3": 0}
Score = Callable[[torch.Tensor], torch.Tensor]


class VocabularyLoss:
    """The mean cross-entropy over the learned tokens of a causal model.

    Within it as a context, the model computes no logits: what would go into its head is kept, and the head
    is run here, on a chunk of positions at a time. The gradient of a chunk is computed together with its
    loss, so that nothing is kept and nothing computed twice (Liger Kernel, Hsu et al. 2024, does the same).

    Args:
        model: A causal model, with or without PEFT's adapter.
        autocast: Makes the context in which the head computes.
        device: The kind of device that is meant, "cpu" or "cuda"; empty for the one that the model is on.
    """

    def __init__(
        self,
        model: Any,
        autocast: Callable[[], AbstractContextManager[Any]] = nullcontext,
        device: str = "",
    ) -> None:
        self._head = model.get_output_embeddings()
        self._autocast = autocast
        config = model.config.get_text_config()
        self._scale, self._softcap = _logit_scale(config), _logit_bound(config)
        self._n_words = getattr(config, "unpadded_vocab_size", None)
        self._head_forward: Score = self._head.forward
        self._balance = float(getattr(config, "router_aux_loss_coef", 0.0))
        self._vocabulary, self._on_gpu = int(config.vocab_size), (device or model.device.type) != "cpu"
        self._hidden: Any = None

    def __enter__(self) -> "VocabularyLoss":
        self._instance_forward = vars(self._head).get("forward")
        self._head.forward = self._keep_hidden_states
        return self

    def __exit__(self, *_: object) -> None:
        if self._instance_forward is None:
            del self._head.forward
        else:
            self._head.forward = self._instance_forward

    def __call__(
        self, outputs: Any, labels: torch.Tensor, num_items_in_batch: torch.Tensor | int | None = None
    ) -> torch.Tensor:
        """Mean cross-entropy over the learned tokens.

        Args:
            outputs: The outputs of the model's last pass, of which only the loss of a router is read.
            labels: rows x 1 + positions, IGNORE_INDEX where nothing is learned.
            num_items_in_batch: The learned tokens to divide by; None for those of `labels`.

        Returns:
            The loss (nats), a scalar.
        """
        targets = labels[:, 1:].flatten()
        n_items = num_items_in_batch
        if n_items is None:
            n_items = (targets != IGNORE_INDEX).sum()
        if torch.is_grad_enabled():
            hidden, parameters = self._take_hidden_states(), self._trained_parameters()
            loss = _ChunkedLoss.apply(self._score, self._chunk_size(), targets, hidden, *parameters) / n_items
            return loss + self._balance_experts(outputs, targets) / n_items
        return self.token_losses(labels).sum() / n_items

    def _balance_experts(self, outputs: Any, targets: torch.Tensor) -> torch.Tensor | float:
        """A sum whose gradient spreads tokens over experts, and whose value is 0: it is no loss of tokens.

        A model computes the loss of its router where its config asks for it (output_router_logits).
        """
        router_loss = getattr(outputs, "aux_loss", None)
        if router_loss is None:
            return 0.0
        return self._balance * (targets != IGNORE_INDEX).sum() * (router_loss - router_loss.detach())

    def token_losses(self, labels: torch.Tensor) -> torch.Tensor:
        """The loss of each token (nats), without gradients: rows x positions, 0 where nothing is learned.

        Args:
            labels: rows x 1 + positions of the model's last pass.
        """
        hidden, targets = self._take_hidden_states(), labels[:, 1:].flatten()
        with torch.no_grad():
            losses = [
                functional.cross_entropy(
                    self._score(states).float(), chunk_targets, ignore_index=IGNORE_INDEX, reduction="none"
                )
                for states, chunk_targets in _chunks(hidden, targets, self._chunk_size())
            ]
        return torch.cat(losses).view_as(labels[:, 1:])

    def scores(self) -> torch.Tensor:
        """The scores at all positions of the model's last pass, without gradients: positions x vocabulary."""
        with torch.no_grad():
            return self._score(self._take_hidden_states())

    def log_probs(self, targets: torch.Tensor) -> torch.Tensor:
        """The log probability of each token (nats): rows x positions, 0 where IGNORE_INDEX stands.

        They have gradients, so that a loss of any kind may be made of them.

        Args:
            targets: The token that each position of the model's last pass is to predict: rows x positions.

        Raises:
            ValueError: The head learns.
        """
        if self._trained_parameters():
            raise ValueError("Losses made of log probabilities are for a head that does not learn.")
        is_learned, hidden = targets != IGNORE_INDEX, self._take_hidden_states()
        learned_states = hidden[is_learned.flatten()]
        losses = _TokenLosses.apply(self._score, self._chunk_size(), targets[is_learned], learned_states)
        log_probs = losses.new_zeros(targets.shape)
        log_probs[is_learned] = -losses
        return log_probs

    def _trained_parameters(self) -> list[torch.Tensor]:
        return [parameter for parameter in self._head.parameters() if parameter.requires_grad]

    def _chunk_size(self) -> int:
        # A matrix beside the head, as LoRA has it, is small.
        sizes = [parameter.numel() for parameter in self._trained_parameters()]
        head_is_trained = max(sizes, default=0) >= self._vocabulary * MIN_HEAD_WIDTH
        return loss_chunks.positions_at_once(self._vocabulary, self._on_gpu, head_is_trained)

    def _keep_hidden_states(self, hidden: torch.Tensor) -> torch.Tensor:
        """Stand for the head, and return something like logits for the code that comes behind it."""
        self._hidden = hidden
        return hidden[..., :1].detach()

    def _take_hidden_states(self) -> torch.Tensor:
        """The hidden states of the last pass, positions x width, which nothing else keeps alive."""
        hidden, self._hidden = self._hidden, None
        return hidden.flatten(0, 1)

    def _score(self, hidden: torch.Tensor) -> torch.Tensor:
        """The logits at positions, scaled and bounded as the model does it behind its head."""
        with self._autocast():
            logits = self._head_forward(hidden)
        if self._scale != 1.0:
            logits = logits * self._scale
        if self._softcap:
            logits = torch.tanh(logits / self._softcap) * self._softcap
        return logits[..., : self._n_words]


def build_loss(
    task: Task, model: Any, autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
) -> tuple[collate.Loss, AbstractContextManager[Any]]:
    """The loss of a task for a model, and the context in which the passes that it is of are computed."""
    if task == "classify":
        return collate.classification_loss, nullcontext()
    loss = VocabularyLoss(model, autocast)
    return loss, loss


def measure_tokens(
    model: Any, batch: collate.Batch, autocast: Callable[[], AbstractContextManager[Any]]
) -> tuple[torch.Tensor, torch.Tensor]:
    """What a causal model makes of each token of a batch, without gradients.

    Args:
        model: The model, in the mode in which it is to be measured.
        batch: A batch of `collate.build_collator`.
        autocast: Makes the context in which the model computes.

    Returns:
        The losses (nats), 0 where nothing is learned, and the labels, both rows x positions.
    """
    tensors = collate.to_device(batch, model.device)
    labels = tensors.pop("labels")
    vocabulary_loss = VocabularyLoss(model, autocast)
    with torch.no_grad(), vocabulary_loss:
        with autocast(), collate.without_padding_mask(model, "chat"):
            # Keys and values are cached for writing text, and nothing is written here.
            model(**tensors, use_cache=False)
        return vocabulary_loss.token_losses(labels), labels[:, 1:]


def _chunks(
    hidden: torch.Tensor, targets: torch.Tensor, size: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Hidden states and the tokens to be predicted from them, a chunk of positions after the other."""
    return zip(hidden.split(size), targets.split(size), strict=True)


def _logit_scale(config: Any) -> float:
    """What a model multiplies its head's logits by (the names of transformers' configs)."""
    for name in ("logit_scale", "output_multiplier", "lm_head_multiplier"):
        if getattr(config, name, None) is not None:
            return float(getattr(config, name))
    scaling = float(getattr(config, "logits_scaling", None) or 1.0)
    return float(scaling ** LOGITS_SCALING_POWERS.get(config.model_type, -1))


def _logit_bound(config: Any) -> float:
    """What bounds the size of a model's logits; 0 for nothing."""
    names = ("final_logit_softcapping", "logits_soft_cap")
    return float(next((bound for name in names if (bound := getattr(config, name, None))), 0.0))


class _ChunkedLoss(torch.autograd.Function):  # type: ignore[misc] # torch's types are not followed
    """The summed cross-entropy of positions, whose gradients are computed on the way forward."""

    @staticmethod
    def forward(
        ctx: Any,
        score: Score,
        chunk_size: int,
        targets: torch.Tensor,
        hidden: torch.Tensor,
        *parameters: torch.Tensor,
    ) -> torch.Tensor:
        ctx.total = torch.zeros((), device=hidden.device)
        ctx.hidden_gradients = []
        ctx.parameter_gradients = None
        for states, chunk_targets in _chunks(hidden, targets, chunk_size):
            _add_chunk(ctx, score, states, chunk_targets, parameters)
        return ctx.total

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        gradients = [torch.cat(ctx.hidden_gradients), *ctx.parameter_gradients]
        del ctx.hidden_gradients, ctx.parameter_gradients
        return (None, None, None, *(gradient.mul_(grad) for gradient in gradients))


class _TokenLosses(torch.autograd.Function):  # type: ignore[misc] # torch's types are not followed
    """The cross-entropy of each position, whose gradients are computed on the way forward."""

    @staticmethod
    def forward(
        ctx: Any, score: Score, chunk_size: int, targets: torch.Tensor, hidden: torch.Tensor
    ) -> torch.Tensor:
        losses, hidden_gradients = [], []
        for states, chunk_targets in _chunks(hidden, targets, chunk_size):
            chunk_losses, (hidden_gradient,) = _score_chunk(score, states, chunk_targets)
            losses.append(chunk_losses)
            hidden_gradients.append(hidden_gradient)
        ctx.save_for_backward(torch.cat(hidden_gradients))
        return torch.cat(losses)

    @staticmethod
    def backward(ctx: Any, grad: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        (hidden_gradients,) = ctx.saved_tensors
        return None, None, None, hidden_gradients * grad.unsqueeze(1).to(hidden_gradients.dtype)


def _add_chunk(
    ctx: Any,
    score: Score,
    states: torch.Tensor,
    targets: torch.Tensor,
    parameters: tuple[torch.Tensor, ...],
) -> None:
    """Add the loss of a chunk and its gradients to those before; nothing else of it is kept."""
    losses, (hidden_gradient, *gradients) = _score_chunk(score, states, targets, parameters)
    ctx.total += losses.sum()
    ctx.hidden_gradients.append(hidden_gradient)
    if ctx.parameter_gradients is None:
        ctx.parameter_gradients = gradients
        return
    for summed, gradient in zip(ctx.parameter_gradients, gradients, strict=True):
        summed += gradient


def _score_chunk(
    score: Score, states: torch.Tensor, targets: torch.Tensor, parameters: tuple[torch.Tensor, ...] = ()
) -> tuple[torch.Tensor, tuple[torch.Tensor, ...]]:
    """The loss of each position of a chunk, and its gradients in the hidden states and the parameters."""
    states = states.detach().requires_grad_()
    with torch.enable_grad():
        logits = score(states)
    losses, logit_gradients = _cross_entropy_with_gradients(logits.detach(), targets)
    return losses, torch.autograd.grad(logits, (states, *parameters), logit_gradients)


def _cross_entropy_with_gradients(
    logits: torch.Tensor, targets: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The loss of each position in 32 bits, 0 where nothing is learned, and its gradient in the logits."""
    is_ignored = targets == IGNORE_INDEX
    columns = targets.masked_fill(is_ignored, 0).unsqueeze(1)
    log_probabilities = functional.log_softmax(logits, -1, dtype=torch.float32)
    losses = -log_probabilities.gather(1, columns).squeeze(1).masked_fill(is_ignored, 0.0)
    gradients = log_probabilities.exp_()
    gradients.scatter_add_(1, columns, torch.full_like(columns, -1, dtype=torch.float32))
    gradients.masked_fill_(is_ignored.unsqueeze(1), 0.0)
    return losses, gradients.to(logits.dtype)
