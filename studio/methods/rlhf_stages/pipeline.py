"""The guided run of RLHF: each stage begins where the last one ended, and one whose result is there is skipped."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from studio.errors import NotPossible
from studio.i18n import Message
from studio.methods.rlhf_stages import iterate, policy, reward_model, rule_rewards
from studio.methods.rlhf_stages import stage as stage_files
from studio.methods.spec import StageMonitor, TrainingContext
from studio.methods.training import supervised


def train(job: TrainingContext) -> Any:
    """All stages in order; after a stop, the best model there is by then. What became of each stage stands in the notes."""
    stage_notes: dict[str, str] = job.notes.setdefault("stages", {})
    model = _run_stages(job, stage_notes)
    model.requires_grad_(True)  # whoever keeps it keeps all of it
    return model


def _run_stages(job: TrainingContext, stage_notes: dict[str, str]) -> Any:
    sft_folder = stage_files.folder(job, "sft")
    if job.settings["start_from"] and not stage_files.is_done(sft_folder):
        sft_folder.parent.mkdir(parents=True, exist_ok=True)
        iterate.import_earlier_model(job, sft_folder)
        stage_notes["sft"] = f"taken over from {job.settings['start_from']}"
    policy_model, stopped = _fine_tune(job, stage_notes)
    if stopped:
        return policy_model
    if job.settings["algorithm"] == "dpo":
        trained_model, stopped = policy.train_dpo(job, policy_model)
        stage_notes["dpo"] = "stopped" if stopped else "done"
        return trained_model
    reward_name, scoring_model = rule_rewards.resolve_reward(job.settings, job.plan.task), None
    if reward_name == "model":
        scoring_model, stopped = _train_reward_model(job, stage_notes)
        if stopped:
            return policy_model
    trained_model, stopped = policy.train_policy(job, policy_model, reward_name, scoring_model)
    stage_notes["rl"] = "stopped" if stopped else "done"
    return trained_model


def _fine_tune(job: TrainingContext, stage_notes: dict[str, str]) -> tuple[Any, bool]:
    """The plain model from which practice starts, and whether the training was stopped on the way.

    The change is added into the base's matrices in place: nothing is held twice.
    """
    sft_folder = stage_files.folder(job, "sft")
    if stage_files.is_done(sft_folder):
        stage_notes.setdefault("sft", "was there")
        return _load_weights(job.model.unload(), sft_folder), False
    if not job.settings["sft"]:
        stage_notes["sft"] = "left out"
        return job.model.unload(), False
    monitors: list[StageMonitor] = []

    def create_monitor(stage_name: str, model: Any, measure: Any) -> StageMonitor:
        monitors.append(job.create_monitor(stage_name, model, measure))
        return monitors[-1]

    supervised.fit(dataclasses.replace(job, create_monitor=create_monitor), stage="sft")
    policy_model = stage_files.merge_adapter(job.model)
    if monitors[0].stopped:
        stage_notes["sft"] = "stopped"
        return policy_model, True
    stage_files.save_result(job, "sft", policy_model, {})
    stage_notes["sft"] = "done"
    return policy_model, False


def _train_reward_model(job: TrainingContext, stage_notes: dict[str, str]) -> tuple[Any, bool]:
    """The reward model, and whether its training was stopped. Without pairs an earlier run's is used as it is."""
    reward_folder, earlier_folder = (
        stage_files.folder(job, "reward"),
        iterate.earlier_run_folder(job) / "stages" / "reward",
    )
    if stage_files.is_done(reward_folder):
        stage_notes["reward"] = "was there"
        job.notes["reward_model"] = json.loads(
            (reward_folder / stage_files.METRICS_FILE).read_text(encoding="utf-8")
        )
        return reward_model.load(reward_folder, job.plan.training.seed), False
    if job.plan.task != "prefer":
        if not stage_files.is_done(earlier_folder):
            raise NotPossible(
                Message(
                    "The run “{run}” has no reward model, and these examples hold no pairs to learn one from."
                ),
                Message("Choose a rule as the reward, or bring pairs."),
                run=str(job.settings["start_from"])[:40],
            )
        stage_notes["reward"] = "taken over"
        return reward_model.load(earlier_folder, job.plan.training.seed), False
    sft_folder = stage_files.folder(job, "sft")
    is_fresh = not stage_files.is_done(earlier_folder)
    start_folder = (
        earlier_folder if not is_fresh else sft_folder if stage_files.is_done(sft_folder) else job.base_folder
    )
    trained_model, stopped = reward_model.train(job, start_folder, is_fresh)
    stage_notes["reward"] = "stopped" if stopped else "done"
    if not stopped:
        job.notes["reward_model"]["started_from"] = (
            "the fine-tuned model" if is_fresh else "the earlier reward model"
        )
        stage_files.save_result(job, "reward", trained_model, job.notes["reward_model"])
    return trained_model, stopped


def _load_weights(model: Any, folder: Path) -> Any:
    """A plain model in memory with the numbers of a folder."""
    saved_model = type(model).from_pretrained(
        folder, dtype=model.dtype, trust_remote_code=False, use_safetensors=True
    )
    model.load_state_dict(saved_model.state_dict())
    return model.eval()
