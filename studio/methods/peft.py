"""PEFT: any of the library's methods from one form, each attached, counted, trained and saved in one way."""

from pathlib import Path
from typing import Any

from studio.errors import NotPossible, Problem
from studio.i18n import Message
from studio.methods import lora, peft_form
from studio.methods.cost_profile import CostProfile, low_rank
from studio.methods.spec import Method, ParameterCount, Settings, TrainingContext
from studio.methods.training import peft_adapter, peft_counts
from studio.models.shape import ModelShape
from studio.plan import Task

PEFT_REFUSED = Message("PEFT refuses these settings: {reason}")
TARGET_RANK_TOO_LARGE = Message("expected less than adalora_init_r ({first}), but got {got}")
NOTHING_TO_CHANGE = Message("{got} changes {needed}, and this base model has none; choose another method")
IA3_NEEDS = Message("keys, values and what goes out of the feed-forward part")
LN_TUNING_NEEDS = Message("the numbers of norms")
CHANGE_NAMED_SETTING = Message("Change the setting it names, and start again.")
# Methods that put virtual tokens before the text, and change no matrix.
VIRTUAL_TOKEN_TYPES = ("prompt_tuning", "p_tuning")
# How many times LoRA's learning rate (1e-3 for small models) a method takes. Measured as validation loss,
# same seed, linear decay:
# - MiniLM on ticket-triage, 80 steps of 8, from 1.80: DoRA 1e-3 1.38; AdaLoRA 3e-3 1.75, 1e-2 1.08; IA3 1e-2
#   1.34, 3e-2 0.93; LoHa 3e-3 1.48; LoKr 3e-3 1.65, 1e-2 1.00; OFT 1e-3 1.31, 3e-3 1.03; VeRA 1e-2 1.47, 3e-2
#   0.91; LN tuning 3e-3 1.58, 1e-2 1.09; prompt tuning 1e-2 1.71, 1e-1 1.52; P-tuning 1e-3 1.78, 5e-3 1.76.
# - SmolLM2 135M on support-tone, 15 steps of 4, from 4.86: DoRA 1e-3 2.64; IA3 3e-2 2.63; LoKr 1e-2 2.60; LN
#   tuning 1e-2 2.67; VeRA 3e-2 3.13; from 4.72 prompt tuning 1e-1 2.90; from 4.91 P-tuning 5e-3 3.57.
#   AdaLoRA, LoHa and OFT were measured on MiniLM alone.
LEARNING_RATE_FACTORS = {
    "dora": 1.0,
    "lora_mlp": 1.0,
    "miss": 0.3,
    "adalora": 10.0,
    "ia3": 30.0,
    "loha": 3.0,
    "lokr": 10.0,
    "oft": 3.0,
    "vera": 20.0,  # between the two measured: 3e-2 is best for MiniLM and the weakest of these for SmolLM2
    "prompt_tuning": 100.0,
    "p_tuning": 5.0,
    "ln_tuning": 10.0,
}


def select_type_settings(settings: Settings) -> dict[str, Any]:
    """The settings of the chosen method, under the names that PEFT gives them."""
    key_prefix = f"{settings['type']}_"
    return {
        name.removeprefix(key_prefix): value
        for name, value in settings.items()
        if name.startswith(key_prefix)
    }


def learning_rate(shape: ModelShape, settings: Settings, task: Task) -> float:
    """LoRA's, times the factor of the chosen method."""
    return peft_adapter.learning_rate(shape, settings, task) * LEARNING_RATE_FACTORS[str(settings["type"])]


def count_parameters(shape: ModelShape, settings: Settings, num_labels: int) -> ParameterCount:
    """What the chosen method adds (formulas and papers: training/peft_counts.py), and a new head with labels.

    PEFT also trains a copy of a norm and keeps the untrained one next to it, as it does with a head.
    """
    peft_type = str(settings["type"])
    count_added = peft_counts.PARAMETER_COUNTERS[peft_type]
    return peft_adapter.count_with_head(
        shape,
        num_labels,
        added=count_added(shape, select_type_settings(settings)),
        frozen=peft_counts.count_frozen(peft_type, shape),
    )


def result_bytes(shape: ModelShape, settings: Settings, num_labels: int, bytes_per_parameter: int) -> float:
    """What PEFT saves of the chosen method, and a new head with labels, in 32 bits."""
    n_saved = peft_counts.count_saved(str(settings["type"]), shape, select_type_settings(settings))
    head_parameters = shape.head(num_labels) if num_labels else 0
    return 4.0 * (n_saved + head_parameters)


def cost_profile(shape: ModelShape, settings: Settings) -> CostProfile:
    """A pass with the chosen method.

    Those that change every matrix are close to a LoRA, and are traced for the exact figures.
    """
    peft_type, type_settings = str(settings["type"]), select_type_settings(settings)
    if peft_type in VIRTUAL_TOKEN_TYPES:
        return CostProfile(virtual_tokens=int(type_settings["num_virtual_tokens"]))
    if peft_type == "ln_tuning":
        return CostProfile(saved_activations=2.0 * shape.hidden)
    if peft_type == "ia3":
        key_value_width = sum(linear.n_out for linear in peft_counts.key_value_linears(shape))
        width = key_value_width + sum(linear.n_in for linear in peft_counts.feed_forward_outputs(shape))
        return CostProfile(
            saved_activations=1.0 * width,
            memory_traffic=4.0 * width,
            memory_traffic_backward=8.0 * width,
            operations=6.0,
            operations_backward=10.0,
        )
    if peft_type == "miss":
        return _miss_profile(shape, type_settings)
    part = "feed_forward" if peft_type == "lora_mlp" else "all"
    return low_rank(
        lora.target_linears(shape, part),
        rank=int(type_settings.get("r") or type_settings.get("init_r") or 8),
        dropout=float(type_settings.get("lora_dropout") or 0) > 0,
        with_magnitudes=peft_type == "dora",
    )


def _miss_profile(shape: ModelShape, type_settings: Settings) -> CostProfile:
    """Beside each matrix the sums over its input's blocks go through one small matrix and are added."""
    rank = int(type_settings["r"])
    inputs, outputs = (
        shape.per_block(lambda linear: linear.n_in),
        shape.per_block(lambda linear: linear.n_out),
    )
    n_linears = shape.per_block(lambda linear: 1)
    dropped_inputs = inputs if type_settings["miss_dropout"] else 0
    return CostProfile(
        adapter_params=rank * outputs,
        saved_activations=rank * n_linears + 0.9 * dropped_inputs,
        memory_traffic=inputs + 5.0 * outputs + 9.0 * dropped_inputs,
        memory_traffic_backward=3.0 * inputs + 2.0 * outputs + 2.9 * dropped_inputs,
        operations=4.0 * n_linears,
        operations_backward=5.0 * n_linears,
        random_numbers=float(dropped_inputs),
    )


def check(settings: Settings, shape: ModelShape | None, task: Task) -> list[Problem]:
    """Settings that do not go together; what PEFT itself refuses is left to PEFT."""
    peft_type, type_settings = str(settings["type"]), select_type_settings(settings)
    if peft_type == "adalora" and type_settings["target_r"] >= type_settings["init_r"]:
        message = TARGET_RANK_TOO_LARGE.format(first=type_settings["init_r"], got=type_settings["target_r"])
        return [Problem("adalora_target_r", message)]
    if peft_type in VIRTUAL_TOKEN_TYPES and shape:
        n_tokens = int(type_settings["num_virtual_tokens"])
        return peft_adapter.check_virtual_tokens(f"{peft_type}_num_virtual_tokens", n_tokens, shape)
    if peft_type == "lora_mlp" and shape and not lora.target_linears(shape, "feed_forward"):
        return [Problem("type", lora.NO_MATRICES.format(got=peft_type))]
    needed = {"ia3": IA3_NEEDS, "ln_tuning": LN_TUNING_NEEDS}.get(peft_type)
    if shape and needed and not peft_counts.PARAMETER_COUNTERS[peft_type](shape, type_settings):
        return [Problem("type", NOTHING_TO_CHANGE.format(got=peft_type, needed=needed))]
    return []


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The model with the chosen method on it.

    Raises:
        NotPossible: with PEFT's own reason, where PEFT refuses the settings.
    """
    from studio.methods.training import peft_build  # noqa: PLC0415 - loads torch

    try:
        return peft_build.attach(str(settings["type"]), select_type_settings(settings), model, task)
    except (ValueError, TypeError, AssertionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NotPossible(PEFT_REFUSED, CHANGE_NAMED_SETTING, reason=reason) from error


def train(context: TrainingContext) -> Any:
    """Supervised training of what was attached."""
    from studio.methods.training import peft_build  # noqa: PLC0415 - loads torch

    return peft_build.train(context, str(context.settings["type"]))


def finish(model: Any) -> Any:
    """The model with the virtual tokens as they were last, without the network that made them."""
    from studio.methods.training import peft_build  # noqa: PLC0415 - loads torch

    return peft_build.flatten_prompt_encoder(model)


def save(model: Any, folder: Path, hub: str) -> None:
    """Write the adapter, without any path of this machine."""
    config = model.peft_config["default"]
    if getattr(config, "tokenizer_name_or_path", None):
        config.tokenizer_name_or_path = hub
    peft_adapter.save(model, folder, hub)


def load(base: Any, folder: Path) -> Any:
    """The result in a folder on a base model, whose modules it takes over."""
    from studio.methods.training import peft_build  # noqa: PLC0415 - loads torch

    return peft_build.load(base, folder)


def can_merge(settings: Settings) -> bool:
    """Virtual tokens are no change of a matrix; everything else is."""
    return settings["type"] not in VIRTUAL_TOKEN_TYPES


METHOD = Method(
    name="peft",
    tasks=("chat", "complete", "classify"),
    settings=peft_form.build_settings(),
    exports=("adapter", "merged"),
    weights="frozen",
    learning_rate=learning_rate,
    count_parameters=count_parameters,
    cost_profile=cost_profile,
    result_bytes=result_bytes,
    attach=attach,
    train=train,
    save=save,
    load=load,
    merge=peft_adapter.merge,
    check=check,
    finish=finish,
    can_merge=can_merge,
    needs_settings_check=True,
)
