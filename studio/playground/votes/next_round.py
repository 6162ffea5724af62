"""The next round of RLHF: it learns from a vote's preferences, and goes on from the run that was voted on."""

import re
from typing import Any

from studio import methods, runs
from studio import plan as plans
from studio.data.store import Dataset
from studio.methods.rlhf_stages import iterate
from studio.plan import Plan
from studio.playground.votes import preferences
from studio.playground.votes.ballot import BlindVote
from studio.runs import Run

# Of a run that was not RLHF the first round learns straight from the pairs, which is quicker and steadier
# than practice (the help of `algorithm` in studio/methods/rlhf.py) and suits the few pairs of a vote.
FIRST_ROUND: dict[str, Any] = {"algorithm": "dpo"}
ROUND_NAME = re.compile(r"(?P<name>.*) · round (?P<round>\d+)")
MAX_BASE_NAME_CHARS = 100


def build_plan(vote: BlindVote, dataset: Dataset) -> Plan:
    """The plan of the next round on the preferences of a vote.

    It keeps the base model, the settings and the training of an RLHF run and starts from its result; after
    any other run it starts from the base model, since only an RLHF run can be continued.

    Raises:
        BadPlan: The settings do not go with pairs of answers.
    """
    run = runs.get(vote.run_id)
    earlier = run.plan.model_dump()
    raw_plan = {
        **earlier,
        "name": _round_name(run.plan.name),
        "task": "prefer",
        "data": {
            "source": dataset.source,
            "columns": {column: column for column in preferences.COLUMNS},
            "validation_share": run.plan.data.validation_share,
        },
        "method": {"name": "rlhf", "settings": _round_settings(run)},
        # RLHF has phases: one GPU trains it, with its weights in memory.
        "training": {**earlier["training"], "num_gpus": 1, "disk_offload": False},
        "where": "local",
    }
    return plans.parse(raw_plan, "the vote", (methods.find_plan_problems,))


def continues(run: Run) -> bool:
    """Whether the next round goes on from a run's result, as it does after RLHF."""
    return run.plan.method.name == "rlhf" and not iterate.unusable_reason(runs.folder(), run.id, None)


def _round_name(name: str) -> str:
    """The name of the round after the run of this name: "Tone" is followed by "Tone · round 2"."""
    match = ROUND_NAME.fullmatch(name)
    earlier_round = int(match["round"]) if match else 1
    return f"{(match['name'] if match else name)[:MAX_BASE_NAME_CHARS]} · round {earlier_round + 1}"


def _round_settings(run: Run) -> dict[str, Any]:
    if not continues(run):
        return FIRST_ROUND
    settings: dict[str, Any] = {**run.plan.method.settings, "start_from": run.id}
    if settings.get("reward") == "answer":
        del settings["reward"]  # pairs say which answer is better, not what is right
    return settings
