"""The guided run of RLHF: each stage begins where the last one ended, and one whose result is there is skipped."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from studio.errors import NotPossible
from studio.methods import _policy, _reward_model, _rewards, _rounds, _stage, _supervised
from studio.methods.base import Job, Watch
from studio.words import Words


def train(job: Job) -> Any:
    """All stages in order; after a stop, the best model there is by then. What became of each stage stands in the notes."""
    told: dict[str, str] = job.notes.setdefault("stages", {})
    made = _train(job, told)
    made.requires_grad_(True)  # whoever keeps it keeps all of it
    return made


def _train(job: Job, told: dict[str, str]) -> Any:
    start = _stage.folder(job, "sft")
    if job.settings["start_from"] and not _stage.done(start):
        start.parent.mkdir(parents=True, exist_ok=True)
        _rounds.take_over(job, start)
        told["sft"] = f"taken over from {job.settings['start_from']}"
    policy, stopped = _supervise(job, told)
    if stopped:
        return policy
    if job.settings["way"] == "dpo":
        made, stopped = _policy.from_pairs(job, policy)
        told["dpo"] = "stopped" if stopped else "done"
        return made
    what, reward_model = _rewards.chosen(job.settings, job.plan.task), None
    if what == "model":
        reward_model, stopped = _learn_to_judge(job, told)
        if stopped:
            return policy
    made, stopped = _policy.practise(job, policy, what, reward_model)
    told["rl"] = "stopped" if stopped else "done"
    return made


def _supervise(job: Job, told: dict[str, str]) -> tuple[Any, bool]:
    """The plain model from which practice starts, and whether the training was stopped on the way.

    The change is added into the base's matrices in place: nothing is held twice.
    """
    kept = _stage.folder(job, "sft")
    if _stage.done(kept):
        told.setdefault("sft", "was there")
        return _filled(job.model.unload(), kept), False
    if not job.settings["sft"]:
        told["sft"] = "left out"
        return job.model.unload(), False
    heard: list[Watch] = []

    def watch(stage: str, model: Any, measure: Any) -> Watch:
        heard.append(job.watch(stage, model, measure))
        return heard[-1]

    _supervised.fit(dataclasses.replace(job, watch=watch), stage="sft")
    policy = _stage.merged(job.model)
    if heard[0].stopped:
        told["sft"] = "stopped"
        return policy, True
    _stage.keep(job, "sft", policy, {})
    told["sft"] = "done"
    return policy, False


def _learn_to_judge(job: Job, told: dict[str, str]) -> tuple[Any, bool]:
    """The reward model, and whether its training was stopped. Without pairs an earlier run's is used as it is."""
    kept, earlier = _stage.folder(job, "reward"), _rounds.earlier(job) / "stages" / "reward"
    if _stage.done(kept):
        told["reward"] = "was there"
        job.notes["reward_model"] = json.loads((kept / _stage.FIGURES).read_text(encoding="utf-8"))
        return _reward_model.load(kept, job.plan.training.seed), False
    if job.plan.task != "prefer":
        if not _stage.done(earlier):
            raise NotPossible(
                Words(
                    "The run “{run}” has no reward model, and these examples hold no pairs to learn one from.",
                    "训练“{run}”没有奖励模型，这些样本里也没有可以学习的偏好对。",
                ),
                Words("Choose a rule as the reward, or bring pairs.", "请选择一条规则作为奖励，或提供偏好对。"),
                run=str(job.settings["start_from"])[:40],
            )
        told["reward"] = "taken over"
        return _reward_model.load(earlier, job.plan.training.seed), False
    base = _stage.folder(job, "sft")
    fresh = not _stage.done(earlier)
    start = earlier if not fresh else base if _stage.done(base) else job.base
    found, stopped = _reward_model.train(job, start, fresh)
    told["reward"] = "stopped" if stopped else "done"
    if not stopped:
        job.notes["reward_model"]["started_from"] = "the fine-tuned model" if fresh else "the earlier reward model"
        _stage.keep(job, "reward", found, job.notes["reward_model"])
    return found, stopped


def _filled(model: Any, folder: Path) -> Any:
    """A plain model in memory with the numbers of a folder."""
    kept = type(model).from_pretrained(folder, dtype=model.dtype, trust_remote_code=False, use_safetensors=True)
    model.load_state_dict(kept.state_dict())
    return model.eval()
