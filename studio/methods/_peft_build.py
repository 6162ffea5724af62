"""PEFT's classes at work in a worker: a config becomes an attached model, AdaLoRA gives out its ranks, P-tuning leaves its network."""

import json
import re
import warnings
from pathlib import Path
from typing import Any

import peft
import torch
from safetensors.torch import load_file, save_file
from transformers import TrainerCallback

from studio.data import batch
from studio.methods import _adapter, _peft_count, lora
from studio.methods.base import Job
from studio.models import shape as shapes
from studio.models.shape import ModelShape
from studio.plan import Task

# The shares of the steps after which AdaLoRA begins to cut, and before whose end it has cut (Zhang et al. 2023: 9 to 15 %, 44 to 59 %).
BEGIN, END = 0.1, 0.4
ALLOCATOR = "allocator.safetensors"
PATTERN = "allocator.json"


def config(kind: str, given: dict[str, Any], model: Any, task: Task) -> Any:
    """PEFT's config for a model; what PEFT says against it is raised as it comes."""
    from studio.methods.peft_form import words  # noqa: PLC0415 - not needed to go on with a run

    about, shape = words().types[kind], shapes.of(model.config.to_dict())
    fixed = {**about.fixed, "task_type": _adapter.kind(task), "modules_to_save": heads(kind, shape, task)}
    return getattr(peft, about.config)(**{**given, **fixed, **_places(kind, given, model, shape)})


def heads(kind: str, shape: ModelShape, task: Task) -> list[str] | None:
    """Parts of a new head that PEFT does not know to train, by the end of their path: P-tuning's own network ends in "head" too."""
    found = _adapter.heads(shape, task)
    return [f"base_model.{name}" for name in found] if found and kind == "p_tuning" else found


def _places(kind: str, given: dict[str, Any], model: Any, shape: ModelShape) -> dict[str, Any]:
    """Where in the model a method works, and what else PEFT wants to be told."""
    if kind == "ln_tuning":
        return norms(model)
    if kind == "ia3":
        ahead = _exactly(_peft_count.feed_forward(shape).name)
        those = [_exactly(linear.name) for linear in _peft_count.keys_values(shape)]
        return {"target_modules": "|".join([*those, ahead]), "feedforward_modules": ahead}
    if kind == "prompt_tuning":
        begun = given["prompt_tuning_init"] == "TEXT"
        text = given["prompt_tuning_init_text"] or None
        return {"prompt_tuning_init_text": text, "tokenizer_name_or_path": (model.name_or_path or "?") if begun else None}
    if kind == "p_tuning":  # PEFT breaks where an MLP is told a number of layers other than its own
        return {"encoder_num_layers": 2} if given["encoder_reparameterization_type"] == "MLP" else {}
    # The number of steps is not known yet; `Ranks` says it before the first.
    return {"target_modules": lora.targets(shape, "all")} | ({"total_step": 1} if kind == "adalora" else {})


def _exactly(name: str) -> str:
    return rf".*\.\d+\.{re.escape(name)}"


def norms(model: Any) -> dict[str, Any]:
    """The regular expression of a model's norms, and the names of those without numbers (ModernBERT's first).

    A head is left out: it is new and trained whole anyway.
    """
    found = set()
    for name, module in model.named_modules():
        if type(module).__name__.endswith("Norm") and not name.startswith("head."):
            found.add(re.sub(r"\\\.\d+\\\.", r"\\.\\d+\\.", re.escape(name)))
    target = "|".join(sorted(found))
    empty = [name for name, module in model.named_modules() if re.fullmatch(target, name) and not list(module.parameters())]
    return {"target_modules": target, "exclude_modules": empty or None}


def attach(kind: str, given: dict[str, Any], model: Any, task: Task) -> Any:
    """The model with an untrained method on it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a block size was adjusted, a layer count does not apply: said in the form
        found = peft.get_peft_model(model, config(kind, given, model, task))
    for name, value in found.named_parameters():
        if ".ranknum." in name:  # AdaLoRA's note of the rank it began with; on the meta device PEFT forgets that it is none to train
            value.requires_grad = False
    return settled(found)


def settled(model: Any) -> Any:
    """A model whose virtual words also work for classes on a decoder, which takes its verdict from the last place of a row.

    Transformers cannot tell padding from words where it is given embeddings, so each row is moved to the right, at its own positions.
    """
    classes = model.peft_config["default"].task_type == "SEQ_CLS"
    if batch.shift(model) and classes and not shapes.of(model.config.to_dict()).encoder:
        model.base_model.register_forward_pre_hook(_to_the_right, with_kwargs=True)
    return model


def _to_the_right(module: Any, args: Any, found: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    mask, inputs = found.get("attention_mask"), found.get("inputs_embeds")
    if mask is None or inputs is None:
        return args, found
    order = mask.argsort(dim=1, stable=True)
    moved = mask.gather(1, order)
    places = (moved.cumsum(1) - 1).clamp(min=0).long()
    inputs = inputs.gather(1, order.unsqueeze(-1).expand_as(inputs))
    return args, {**found, "inputs_embeds": inputs, "attention_mask": moved, "position_ids": places}


def train(job: Job, kind: str) -> Any:
    """Supervised training of what was attached."""
    from studio.methods import _supervised  # noqa: PLC0415 - Trainer is not needed to load a result

    if kind != "adalora":
        _supervised.fit(job)
        return flat(job.model)
    ranks = Ranks(job.model)
    _supervised.fit(job, callbacks=[ranks], penalty=ranks.overlap)
    return ranks.cut()


def flat(model: Any) -> Any:
    """After P-tuning the virtual words as they were written last, without the network that wrote them: what PEFT saves."""
    found = model.peft_config["default"]
    if found.peft_type != "P_TUNING":
        return model
    model.prompt_encoder["default"].eval()  # without dropout
    written = model.get_prompt_embedding_to_save("default")
    found.inference_mode = True
    kept = peft.PromptEncoder(found)
    with torch.no_grad():
        kept.embedding.weight.copy_(written)
    kept.forward = kept.embedding.forward
    model.prompt_encoder["default"] = kept.to(model.device)
    return model


class Ranks(TrainerCallback):  # type: ignore[misc] # transformers ships no types
    """AdaLoRA beside its training: after each step PEFT weighs which parts of the change matter and silences the others.

    PEFT leaves the calling to whoever trains, and keeps what it weighs in memory; here it goes into the checkpoint too.
    """

    def __init__(self, model: Any) -> None:
        self.model, self.tuner, self.config = model, model.base_model, model.peft_config["default"]

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Spread the cutting over the steps there are, and go on where a stopped training was."""
        steps = max(int(state.max_steps), 2)  # after a single step nothing has been weighed that could be cut
        self.config.total_step, self.config.tinit, self.config.tfinal = steps, int(BEGIN * steps), int(END * steps)
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        if state.global_step and (folder / PATTERN).is_file():
            saved, device = load_file(folder / ALLOCATOR), self.model.device
            self.config.rank_pattern = json.loads((folder / PATTERN).read_text(encoding="utf-8"))
            for name in ("ipt", "exp_avg_ipt", "exp_avg_unc"):
                kept = {key.partition("|")[2]: value.to(device) for key, value in saved.items() if key.startswith(f"{name}|")}
                setattr(self.tuner.rankallocator, name, kept)

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Weigh and silence, between the step and the clearing of its gradients."""
        self.tuner.update_and_allocate(state.global_step + 1)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Keep what was weighed beside the checkpoint."""
        folder, allocator = Path(args.output_dir) / f"checkpoint-{state.global_step}", self.tuner.rankallocator
        weighed = {
            f"{name}|{key}": value.contiguous()
            for name in ("ipt", "exp_avg_ipt", "exp_avg_unc")
            for key, value in getattr(allocator, name).items()
        }
        save_file(weighed, folder / ALLOCATOR)
        (folder / PATTERN).write_text(json.dumps(self.config.rank_pattern), encoding="utf-8")

    def overlap(self) -> torch.Tensor:
        """How far the directions are from being independent (Zhang et al. 2023, eq. 4), as PEFT adds it to a loss of its own."""
        found = []
        for name, value in self.model.named_parameters():
            if "lora_A." in name or "lora_B." in name:
                square = value @ value.T if "lora_A." in name else value.T @ value
                found.append(torch.linalg.matrix_norm(square - torch.eye(len(square), device=value.device, dtype=value.dtype)))
        return self.config.orth_reg_weight * torch.stack(found).mean()

    def cut(self) -> Any:
        """The model without the parts that were silenced, with the ranks that are left: what PEFT saves."""
        pattern = {
            name.removeprefix("base_model.model."): (value != 0).view(-1).tolist()
            for name, value in self.model.named_parameters()
            if "lora_E." in name
        }
        with torch.no_grad():
            self.tuner.resize_modules_by_rank_pattern(pattern, "default")
        self.config.rank_pattern = pattern
        return self.model.to(self.model.device)


def load(base: Any, folder: Path) -> Any:
    """The result of a folder on a base model, whose modules it takes over."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*rank_pattern keys")  # PEFT takes AdaLoRA's own table for LoRA's
        return settled(_adapter.load(base, folder))
