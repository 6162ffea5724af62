"""Runs the stages of RLHF: each begins with the last one's result, and is skipped where its own is saved."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from studio.errors import NotPossible
from studio.i18n import Message
from studio.methods.rlhf_stages import direct, iterate, policy, reward_model, rule_rewards, schedule
from studio.methods.rlhf_stages import stage as stage_files
from studio.methods.spec import StageMonitor, TrainingContext
from studio.methods.training import supervised

# What became of a stage, in the report: trained to its end, stopped on the way, not wanted, its result
# saved by this run before it was stopped, or by the run that it continues.
DONE, STOPPED, SKIPPED, REUSED, IMPORTED = "done", "stopped", "skipped", "reused", "imported"


def train(context: TrainingContext) -> Any:
    """Train all stages in order.

    Returns:
        The policy; after a stop, the best model there is by then. What became of each stage is in
        `context.notes["stages"]`.
    """
    outcomes: dict[str, str] = context.notes.setdefault("stages", {})
    model = _run_stages(context, outcomes)
    model.requires_grad_(True)  # all of it is saved, not what a LoRA left trainable
    return model


def _run_stages(context: TrainingContext, outcomes: dict[str, str]) -> Any:
    sft_folder = stage_files.folder(context, "sft")
    if context.settings["start_from"] and not stage_files.is_done(sft_folder):
        sft_folder.parent.mkdir(parents=True, exist_ok=True)
        iterate.import_earlier_model(context, sft_folder)
        outcomes["sft"] = IMPORTED
    policy_model, stopped = _fine_tune(context, outcomes)
    if stopped:
        return policy_model
    algorithm = schedule.resolve_algorithm(context.settings, context.plan.task)
    if algorithm in schedule.DIRECT_ALGORITHMS:
        trained_model, stopped = direct.train(context, policy_model, algorithm)
        outcomes[algorithm] = _outcome(stopped)
        return trained_model
    reward_name = rule_rewards.resolve_reward(context.settings, context.plan.task)
    scoring_model = None
    if reward_name == "model":
        scoring_model, stopped = get_reward_model(context, outcomes)
        if stopped:
            return policy_model
    trained_model, stopped = policy.train_policy(context, policy_model, reward_name, scoring_model)
    outcomes["rl"] = _outcome(stopped)
    return trained_model


def starting_model(context: TrainingContext) -> Any:
    """The model that answers before anything is trained: the earlier run's, else the base."""
    if not context.settings["start_from"]:
        return context.model
    return _load_weights(context.model.unload(), iterate.earlier_run_folder(context) / "model")


def _outcome(stopped: bool) -> str:
    return STOPPED if stopped else DONE


def _fine_tune(context: TrainingContext, outcomes: dict[str, str]) -> tuple[Any, bool]:
    """The plain model that the policy starts from, and whether its training was stopped.

    The LoRA is merged into the base's matrices in place, so that no matrix is in memory twice.
    """
    sft_folder = stage_files.folder(context, "sft")
    if stage_files.is_done(sft_folder):
        outcomes.setdefault("sft", REUSED)
        return _load_weights(context.model.unload(), sft_folder), False
    if not schedule.has_sft(context.settings, context.plan.task):
        outcomes["sft"] = SKIPPED
        return context.model.unload(), False
    monitors: list[StageMonitor] = []

    def create_monitor(stage: str, model: Any, measure: Any) -> StageMonitor:
        monitors.append(context.create_monitor(stage, model, measure))
        return monitors[-1]

    supervised.fit(dataclasses.replace(context, create_monitor=create_monitor), stage="sft")
    policy_model = stage_files.merge_adapter(context.model)
    stopped = monitors[0].stopped
    outcomes["sft"] = _outcome(stopped)
    if not stopped:
        stage_files.save_result(context, "sft", policy_model, {})
    return policy_model, stopped


def get_reward_model(context: TrainingContext, outcomes: dict[str, str]) -> tuple[Any, bool]:
    """The reward model, and whether its training was stopped; without pairs, an earlier run's as it is.

    What became of the stage is noted in `outcomes`.

    Raises:
        NotPossible: There are neither pairs nor an earlier run's reward model.
    """
    reward_folder = stage_files.folder(context, "reward")
    earlier_folder = iterate.earlier_run_folder(context) / "stages" / "reward"
    seed = context.plan.training.seed
    if stage_files.is_done(reward_folder):
        outcomes["reward"] = REUSED
        metrics = (reward_folder / stage_files.METRICS_FILE).read_text(encoding="utf-8")
        context.notes["reward_model"] = json.loads(metrics)
        return reward_model.load(reward_folder, seed), False
    if context.plan.task == "prefer":
        return _train_reward_model(context, outcomes, earlier_folder)
    if stage_files.is_done(earlier_folder):
        outcomes["reward"] = IMPORTED
        return reward_model.load(earlier_folder, seed), False
    raise NotPossible(
        Message("The run “{run}” has no reward model, and these examples hold no pairs to learn one from."),
        Message("Choose a rule as the reward, or bring pairs."),
        run=str(context.settings["start_from"])[:40],
    )


def _train_reward_model(
    context: TrainingContext, outcomes: dict[str, str], earlier_folder: Path
) -> tuple[Any, bool]:
    """Train a reward model that begins as the earlier run's, or else as the fine-tuned or the base model."""
    is_fresh = not stage_files.is_done(earlier_folder)
    start_folder = _language_model_folder(context) if is_fresh else earlier_folder
    max_completion_length = policy.resolve_max_completion_length(context, "model")
    trained_model, stopped = reward_model.train(context, start_folder, is_fresh, max_completion_length)
    outcomes["reward"] = _outcome(stopped)
    if not stopped:
        metrics = context.notes["reward_model"]
        metrics["started_from"] = "language_model" if is_fresh else "earlier_reward_model"
        stage_files.save_result(context, "reward", trained_model, metrics)
    return trained_model, stopped


def _language_model_folder(context: TrainingContext) -> Path:
    """The folder of the fine-tuned model; of the base where that stage was skipped."""
    sft_folder = stage_files.folder(context, "sft")
    return sft_folder if stage_files.is_done(sft_folder) else context.base_folder


def _load_weights(model: Any, folder: Path) -> Any:
    """A plain model in memory with the weights of a folder."""
    saved_model = type(model).from_pretrained(
        folder, dtype=model.dtype, trust_remote_code=False, use_safetensors=True
    )
    model.load_state_dict(saved_model.state_dict())
    return model.eval()
