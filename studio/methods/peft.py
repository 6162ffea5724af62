"""PEFT: any of the library's methods from one form, each attached, counted, trained and kept in one way."""

from pathlib import Path
from typing import Any

from studio.errors import NotPossible, Problem
from studio.methods import _adapter, _peft_count, peft_form
from studio.methods.base import Footprint, Job, Method, Settings
from studio.methods.touch import Touch, low_rank
from studio.models.shape import ModelShape
from studio.plan import Task
from studio.words import Words

REFUSED = Words("PEFT refuses these settings: {reason}", "PEFT 拒绝了这些设置：{reason}")
NOT_LESS = Words("expected less than adalora_init_r ({first}), but got {got}", "应小于 adalora_init_r（{first}），实际是 {got}")
CHANGE = Words("Change the setting it names, and start again.", "请修改其中提到的设置后重新开始。")
# Methods that put virtual words before the text, and change no matrix.
PROMPTS = ("prompt_tuning", "p_tuning")
# How many times LoRA's rate (1e-3 for small models) a method takes. Measured as validation loss, same seed, linear decay:
# - MiniLM on ticket-triage, 80 steps of 8, from 1.80: DoRA 1e-3 1.38; AdaLoRA 3e-3 1.75, 1e-2 1.08; IA3 1e-2 1.34, 3e-2 0.93; LoHa 3e-3
#   1.48; LoKr 3e-3 1.65, 1e-2 1.00; OFT 1e-3 1.31, 3e-3 1.03; VeRA 1e-2 1.47, 3e-2 0.91; LN tuning 3e-3 1.58, 1e-2 1.09; prompt tuning
#   1e-2 1.71, 1e-1 1.52; P-tuning 1e-3 1.78, 5e-3 1.76.
# - SmolLM2 135M on support-tone, 15 steps of 4, from 4.86: DoRA 1e-3 2.64; IA3 3e-2 2.63; LoKr 1e-2 2.60; LN tuning 1e-2 2.67; VeRA 3e-2
#   3.13; from 4.72 prompt tuning 1e-1 2.90; from 4.91 P-tuning 5e-3 3.57. AdaLoRA, LoHa and OFT were measured on MiniLM alone.
RATES = {
    "dora": 1.0,
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


def own(settings: Settings) -> dict[str, Any]:
    """The settings of the chosen method, under the names that PEFT gives them."""
    start = f"{settings['type']}_"
    return {name.removeprefix(start): value for name, value in settings.items() if name.startswith(start)}


def learning_rate(shape: ModelShape, settings: Settings, task: Task) -> float:
    """As for LoRA, times what a method needs more."""
    return _adapter.learning_rate(shape, settings, task) * RATES[str(settings["type"])]


def footprint(shape: ModelShape, settings: Settings, labels: int) -> Footprint:
    """What the chosen method adds (its formula and paper: _peft_count.py), and a new head where there are `labels`."""
    kind = str(settings["type"])
    added, head = _peft_count.ADDED[kind](shape, own(settings)), shape.head(labels) if labels else 0
    # PEFT trains a copy of the head, and of a norm, and keeps the untrained one beside it.
    return Footprint(added + head, shape.total(labels) + added + head + _peft_count.frozen(kind, shape))


def disk(shape: ModelShape, settings: Settings, labels: int, item: int) -> float:
    """What was trained, in 32 bits; of virtual words only the words."""
    head = shape.head(labels) if labels else 0
    if str(settings["type"]) in PROMPTS:
        return 4.0 * (int(own(settings)["num_virtual_tokens"]) * shape.hidden + head)
    return 4.0 * footprint(shape, settings, labels).trainable


def touch(shape: ModelShape, settings: Settings) -> Touch:
    """How a pass goes with the chosen method; those that change every matrix are close to a LoRA, and are traced for the exact figures."""
    kind, mine = str(settings["type"]), own(settings)
    if kind in PROMPTS:
        return Touch(virtual=int(mine["num_virtual_tokens"]))
    if kind == "ln_tuning":
        return Touch(kept=2.0 * shape.hidden)
    if kind == "ia3":
        width = sum(linear.n_out for linear in _peft_count.keys_values(shape)) + _peft_count.feed_forward(shape).n_in
        return Touch(kept=1.0 * width, moved=4.0 * width, moved_back=8.0 * width, operations=6.0, operations_back=10.0)
    rank = int(mine.get("r") or mine.get("init_r") or 8)
    return low_rank(shape.linears, rank, float(mine.get("lora_dropout") or 0) > 0, lengths=kind == "dora")


def check(settings: Settings, shape: ModelShape | None, task: Task) -> list[Problem]:
    """What does not go together; everything that PEFT itself would say is left to PEFT."""
    kind, mine, found = str(settings["type"]), own(settings), []
    if kind == "adalora" and mine["target_r"] >= mine["init_r"]:
        found.append(Problem("adalora_target_r", NOT_LESS.filled(first=mine["init_r"], got=mine["target_r"])))
    if kind in PROMPTS and shape:
        found += _adapter.crowded(f"{kind}_num_virtual_tokens", int(mine["num_virtual_tokens"]), shape)
    return found


def attach(model: Any, settings: Settings, task: Task) -> Any:
    """The model with the chosen method on it; raises NotPossible with PEFT's own reason where PEFT refuses the settings."""
    from studio.methods import _peft_build  # noqa: PLC0415 - loads torch

    try:
        return _peft_build.attach(str(settings["type"]), own(settings), model, task)
    except (ValueError, TypeError, AssertionError) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise NotPossible(REFUSED, CHANGE, reason=reason) from error


def train(job: Job) -> Any:
    """Supervised training of what was attached."""
    from studio.methods import _peft_build  # noqa: PLC0415 - loads torch

    return _peft_build.train(job, str(job.settings["type"]))


def finish(model: Any) -> Any:
    """The model with virtual words as they were written last, without the network that wrote them."""
    from studio.methods import _peft_build  # noqa: PLC0415 - loads torch

    return _peft_build.flat(model)


def save(model: Any, folder: Path, hub: str) -> None:
    """Write the adapter; no path of this machine goes with it."""
    config = model.peft_config["default"]
    if getattr(config, "tokenizer_name_or_path", None):
        config.tokenizer_name_or_path = hub
    _adapter.save(model, folder, hub)


def load(base: Any, folder: Path) -> Any:
    """The result of a folder on a base model, whose modules it takes over."""
    from studio.methods import _peft_build  # noqa: PLC0415 - loads torch

    return _peft_build.load(base, folder)


def merges(settings: Settings) -> bool:
    """Virtual words are no change of a matrix; everything else is."""
    return settings["type"] not in PROMPTS


METHOD = Method(
    name="peft",
    tasks=("chat", "complete", "classify"),
    knobs=peft_form.knobs(),
    exports=("adapter", "merged"),
    weights="frozen",
    learning_rate=learning_rate,
    footprint=footprint,
    touch=touch,
    disk=disk,
    attach=attach,
    train=train,
    save=save,
    load=load,
    merge=_adapter.merge,
    check=check,
    finish=finish,
    merges=merges,
    refusable=True,
)
