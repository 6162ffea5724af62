"""The next round learns from the votes, and goes on from an RLHF run's result."""

from vote_helpers import make_vote, voter_id

from studio import plan as plans
from studio.playground.votes import ballot, next_round, preferences


def plan_of_next_round(run):
    vote = make_vote(None, n_questions=12, run=run)
    for question in range(12):
        ballot.cast(vote, voter_id(1), question, "second")
    dataset = preferences.save(vote, "Votes")
    return next_round.build_plan(vote, dataset), dataset


def test_after_rlhf_it_starts_from_the_runs_result(finished):
    run = finished("rlhf", "prefer")
    plan, dataset = plan_of_next_round(run)
    assert plan.method.settings == {**run.plan.method.settings, "start_from": run.id}
    assert (plan.task, plan.model, plan.data.source) == ("prefer", run.plan.model, dataset.source)
    assert plan.name == f"{run.plan.name} · round 2"


def test_a_known_answer_is_no_reward_for_pairs(finished):
    run = finished("rlhf", "prompts")
    text = (run.folder / "plan.yaml").read_text()
    (run.folder / "plan.yaml").write_text(text.replace("settings:\n", "settings:\n    reward: answer\n"))
    assert run.plan.method.settings["reward"] == "answer"
    plan, _ = plan_of_next_round(run)
    assert "reward" not in plan.method.settings
    assert plan.method.settings["start_from"] == run.id


def test_after_another_method_it_starts_from_the_base_with_the_short_cut(finished):
    plan, _ = plan_of_next_round(finished("lora", "chat"))
    assert (plan.method.name, plan.method.settings) == ("rlhf", {"algorithm": "dpo"})


def test_after_a_run_on_several_gpus_one_trains_the_round_here(finished):
    """RLHF has phases, and a round that only the plan's file could mend would never start."""
    run = finished("lora", "chat")
    training = run.plan.training.model_copy(update={"num_gpus": 2, "disk_offload": True})
    changed = run.plan.model_copy(update={"training": training, "where": "hf-t4-small"})
    (run.folder / "plan.yaml").write_text(plans.dump(changed), encoding="utf-8")
    plan, _ = plan_of_next_round(run)
    assert (plan.training.num_gpus, plan.training.disk_offload, plan.where) == (1, False, "local")


def test_rounds_are_counted():
    assert next_round._round_name("Tone") == "Tone · round 2"
    assert next_round._round_name("Tone · round 2") == "Tone · round 3"
    assert len(next_round._round_name("x" * 120)) <= 120
