"""Attaching, training and loading PEFT's methods, with what AdaLoRA and P-tuning need besides."""

import json
import re
import warnings
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from studio.data import collate
from studio.methods import lora
from studio.methods.spec import TrainingContext
from studio.methods.training import peft_adapter, peft_counts
from studio.models import layers
from studio.models import shape as shapes
from studio.models.shape import ModelShape
from studio.plan import Task

# AdaLoRA starts to prune after the first share of the steps, and has pruned before the last share of them
# (Zhang et al. 2023: 9 to 15 %, 44 to 59 %).
PRUNING_START_SHARE, PRUNING_END_SHARE = 0.1, 0.4
ALLOCATOR_FILE = "allocator.safetensors"
RANK_PATTERN_FILE = "allocator.json"
# What AdaLoRA's rank allocator keeps of each parameter: its importance, and running means of that and of its
# spread.
ALLOCATOR_STATES = ("ipt", "exp_avg_ipt", "exp_avg_unc")


def build_config(kind: str, settings: dict[str, Any], model: Any, task: Task) -> Any:
    """PEFT's config of one of its methods for a model; raises what PEFT raises.

    Args:
        kind: the method, a key of presets/peft_words.yaml.
        settings: its settings under PEFT's names.
        model: the base model.
        task: the task.
    """
    from studio.methods.peft_form import load_cards  # noqa: PLC0415 - not needed to go on with a run

    type_card, shape = load_cards().types[kind], shapes.from_config(model.config.to_dict())
    arguments = {
        **settings,
        **type_card.fixed,
        "task_type": peft_adapter.peft_task_type(task),
        "modules_to_save": modules_to_save(kind, shape, task),
        **_target_settings(kind, settings, model, shape),
    }
    return getattr(peft, type_card.config)(**arguments)


def modules_to_save(kind: str, shape: ModelShape, task: Task) -> list[str] | None:
    """Parts of a new head that PEFT does not know to train, by the end of their path.

    P-tuning's own network ends in "head" too, so there the path is longer.
    """
    module_names = peft_adapter.head_modules(shape, task)
    if module_names and kind == "p_tuning":
        return [f"base_model.{name}" for name in module_names]
    return module_names


def _target_settings(kind: str, settings: dict[str, Any], model: Any, shape: ModelShape) -> dict[str, Any]:
    """Where in the model a method works, and what else PEFT must be given."""
    if kind == "ln_tuning":
        return norm_targets(model)
    if kind == "ia3":
        key_values, outputs = peft_counts.key_value_linears(shape), peft_counts.feed_forward_outputs(shape)
        patterns = [_block_module_pattern(linear.name) for linear in (*key_values, *outputs)]
        return {
            "target_modules": "|".join(patterns),
            "feedforward_modules": patterns[-1] if outputs else [],
        }
    if kind == "prompt_tuning":
        starts_from_text = settings["prompt_tuning_init"] == "TEXT"
        init_text = settings["prompt_tuning_init_text"] or None
        return {
            **_virtual_token_sizes(shape),
            "prompt_tuning_init_text": init_text,
            "tokenizer_name_or_path": (model.name_or_path or "?") if starts_from_text else None,
        }
    if kind == "p_tuning":
        # PEFT breaks where an MLP is given a number of layers other than its own.
        is_mlp = settings["encoder_reparameterization_type"] == "MLP"
        return _virtual_token_sizes(shape) | ({"encoder_num_layers": 2} if is_mlp else {})
    target_modules = lora.target_pattern(shape, "feed_forward" if kind == "lora_mlp" else "all")
    if kind == "adalora":
        # The number of steps is not known yet; AdaLoraCallback sets it before the first.
        return {"target_modules": target_modules, "total_step": 1}
    return {"target_modules": target_modules}


def _virtual_token_sizes(shape: ModelShape) -> dict[str, int]:
    """Sizes that PEFT reads from most configs, and not from DistilBERT's or ELECTRA's."""
    return {
        "token_dim": shape.embedding_width or shape.hidden,
        "num_layers": shape.layers,
        "num_attention_heads": shape.heads,
    }


def _block_module_pattern(name: str) -> str:
    return rf".*\.\d+\.{re.escape(name)}"


def norm_targets(model: Any) -> dict[str, Any]:
    """The regular expression of a model's norms, and those without parameters (ModernBERT's first).

    A head is left out: it is new and all of it is trained anyway.
    """
    patterns = set()
    for name, module in model.named_modules():
        if layers.is_norm(module) and not name.startswith("head."):
            patterns.add(re.sub(r"\\\.\d+\\\.", r"\\.\\d+\\.", re.escape(name)))
    target_pattern = "|".join(sorted(patterns))
    without_parameters = [
        name
        for name, module in model.named_modules()
        if re.fullmatch(target_pattern, name) and not list(module.parameters())
    ]
    return {"target_modules": target_pattern, "exclude_modules": without_parameters or None}


def attach(kind: str, settings: dict[str, Any], model: Any, task: Task) -> Any:
    """The model with an untrained method on it; raises what PEFT raises."""
    config = build_config(kind, settings, model, task)
    with warnings.catch_warnings():
        # PEFT warns that a block size was adjusted or a layer count does not apply, which the form says.
        warnings.simplefilter("ignore")
        peft_model = peft.get_peft_model(model, config)
    for name, parameter in peft_model.named_parameters():
        # The rank AdaLoRA started with, which on the meta device PEFT forgets to freeze.
        if ".ranknum." in name:
            parameter.requires_grad = False
    return prepare_virtual_tokens(peft_model)


def prepare_virtual_tokens(model: Any) -> Any:
    """A model whose virtual tokens work for classes too, however it sums a text up.

    A classifier on the mean of the tokens is told how many of them are virtual. On a decoder a row's last
    token is read: transformers cannot tell padding from text where it is given embeddings, so each row is
    moved to the right, at its own positions.
    """
    n_virtual_tokens = collate.count_virtual_tokens(model)
    is_classification = model.peft_config["default"].task_type == "SEQ_CLS"
    if not (is_classification and n_virtual_tokens):
        return model
    model.config.virtual_tokens = n_virtual_tokens
    if not shapes.from_config(model.config.to_dict()).encoder:
        model.base_model.register_forward_pre_hook(_right_align, with_kwargs=True)
    return model


def _right_align(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    mask, embeddings = kwargs.get("attention_mask"), kwargs.get("inputs_embeds")
    if mask is None or embeddings is None:
        return args, kwargs
    order = mask.argsort(dim=1, stable=True)
    aligned_mask = mask.gather(1, order)
    position_ids = (aligned_mask.cumsum(1) - 1).clamp(min=0).long()
    embeddings = embeddings.gather(1, order.unsqueeze(-1).expand_as(embeddings))
    return args, {
        **kwargs,
        "inputs_embeds": embeddings,
        "attention_mask": aligned_mask,
        "position_ids": position_ids,
    }


def train(context: TrainingContext, kind: str) -> Any:
    """Supervised training of what was attached."""
    from studio.methods.training import supervised  # noqa: PLC0415 - Trainer is not needed to load a result

    if kind != "adalora":
        supervised.fit(context)
        return flatten_prompt_encoder(context.model)
    adalora = AdaLoraCallback(context.model)
    supervised.fit(context, callbacks=[adalora], penalty=adalora.orthogonality_penalty)
    return adalora.prune()


def flatten_prompt_encoder(model: Any) -> Any:
    """After P-tuning the virtual tokens without the network that made them: what PEFT saves."""
    peft_config = model.peft_config["default"]
    if peft_config.peft_type != "P_TUNING":
        return model
    model.prompt_encoder["default"].eval()  # the vectors are made without dropout
    vectors = model.get_prompt_embedding_to_save("default")
    peft_config.inference_mode = True
    encoder = peft.PromptEncoder(peft_config)
    with torch.no_grad():
        encoder.embedding.weight.copy_(vectors)
    encoder.forward = encoder.embedding.forward
    model.prompt_encoder["default"] = encoder.to(model.device)
    return model


class AdaLoraCallback(TrainerCallback):  # type: ignore[misc] # transformers ships no types
    """Calls AdaLoRA's rank allocator after each step: it weighs the parts of the change and zeroes the least.

    PEFT leaves the calling to whoever trains, and keeps the allocator's state in memory; here it is saved
    with a checkpoint too.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.tuner, self.config = model, model.base_model, model.peft_config["default"]

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Spread the pruning over the steps, and go on where a stopped training was."""
        steps = max(
            int(state.max_steps), 2
        )  # after a single step nothing has been weighed that could be pruned
        self.config.total_step = steps
        self.config.tinit = int(PRUNING_START_SHARE * steps)
        self.config.tfinal = int(PRUNING_END_SHARE * steps)
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.global_step and (folder / RANK_PATTERN_FILE).is_file():
            self._restore(folder)

    def _restore(self, folder: Path) -> None:
        """Read the allocator's state from a checkpoint."""
        self.config.rank_pattern = json.loads((folder / RANK_PATTERN_FILE).read_text(encoding="utf-8"))
        states: dict[str, dict[str, Any]] = {name: {} for name in ALLOCATOR_STATES}
        for key, value in load_file(folder / ALLOCATOR_FILE).items():
            name, _, parameter_name = key.partition("|")
            states[name][parameter_name] = value.to(self.model.device)
        for name, values in states.items():
            setattr(self.tuner.rankallocator, name, values)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Weigh and prune between the step and the clearing of its gradients."""
        self.tuner.update_and_allocate(state.global_step + 1)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Save the allocator's state with the checkpoint."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        tensors = {}
        for name in ALLOCATOR_STATES:
            for parameter_name, value in getattr(self.tuner.rankallocator, name).items():
                tensors[f"{name}|{parameter_name}"] = value.contiguous()
        save_file(tensors, folder / ALLOCATOR_FILE)
        (folder / RANK_PATTERN_FILE).write_text(json.dumps(self.config.rank_pattern), encoding="utf-8")

    def orthogonality_penalty(self) -> torch.Tensor:
        """How far the directions are from orthogonal (Zhang et al. 2023, eq. 4), as in PEFT's own loss."""
        penalties = []
        for name, parameter in self.model.named_parameters():
            if "lora_A." in name:
                gram = parameter @ parameter.T
            elif "lora_B." in name:
                gram = parameter.T @ parameter
            else:
                continue
            identity = torch.eye(len(gram), device=parameter.device, dtype=parameter.dtype)
            penalties.append(torch.linalg.matrix_norm(gram - identity))
        return self.config.orth_reg_weight * torch.stack(penalties).mean()

    def prune(self) -> Any:
        """The model without the parts that were zeroed, with the remaining ranks: what PEFT saves."""
        rank_pattern = {
            name.removeprefix("base_model.model."): (parameter != 0).view(-1).tolist()
            for name, parameter in self.model.named_parameters()
            if "lora_E." in name
        }
        with torch.no_grad():
            self.tuner.resize_modules_by_rank_pattern(rank_pattern, "default")
        self.config.rank_pattern = rank_pattern
        return self.model.to(self.model.device)


def load(base: Any, folder: Path) -> Any:
    """The result in a folder on a base model, whose modules it takes over."""
    return prepare_virtual_tokens(peft_adapter.load(base, folder))
