"""RLHF: three stages in one run, each from where the last one ended."""

import dataclasses
import json
import math
import shutil

import pytest
import torch
from sampling import sample
from transformers import TrainerControl, TrainerState

from studio import methods, runs
from studio.errors import NotPossible
from studio.methods.rlhf_stages import iterate, pipeline, policy, reward_model
from studio.methods.rlhf_stages import stage as stage_files
from studio.models import load
from studio.training import callback as run_callback
from studio.training import launcher, worker

STAGES = ["sft", "reward", "rl"]
UNKNOWN_RUN = "0" * 32


def by_stage(run):
    """The points of each stage, in order."""
    points = {}
    for point in runs.read_points(run):
        points.setdefault(point["stage"], []).append(point)
    return points


def flat_parameters(model):
    return torch.cat([value.detach().flatten() for value in model.state_dict().values()])


@pytest.mark.thorough
def test_a_run_leaves_three_sets_of_curves(three_stage_run, quick):
    points = by_stage(three_stage_run)
    assert [stage for stage in points if stage != "after"] == STAGES == list(methods.get("rlhf").stages)
    trained = {stage: [point for point in points[stage] if "loss" in point] for stage in STAGES}
    assert [len(trained[stage]) for stage in STAGES] == [16, 4, 6]
    assert points["sft"][0]["step"] == 0
    assert trained["sft"][-1]["loss"] < 0.5 * trained["sft"][0]["loss"]
    assert all(0 <= point["eval_accuracy"] <= 1 for point in points["reward"] if "eval_loss" in point)
    assert all(0 <= point["accuracy"] <= 1 for point in trained["reward"])
    for point in trained["rl"]:
        assert {"reward", "kl", "completion_length", "clipped_ratio", "zero_std_share"} <= set(point)
        assert 0 < point["completion_length"] <= quick["max_completion_length"]
        assert 0 <= point["clipped_ratio"] <= 1
        assert not [name for name, value in point.items() if value != value], "not a number"


def test_the_report_says_what_every_stage_came_to(three_stage_run):
    notes = runs.report(three_stage_run)["method"]
    assert notes["stages"] == {"sft": "done", "reward": "done", "rl": "done"}
    assert notes["reward_model"]["pairs"] == {"train": 32, "held_out": 8, "too_long": 0}
    for time in ("before", "after"):
        assert {"loss", "accuracy"} <= set(notes["reward_model"][time])
        assert set(notes["rl"][time]) == {"reward", "completion_length", "clipped_ratio"}
    assert math.isfinite(notes["rl"]["kl"])
    samples = notes["rl"]["samples"]
    assert len(samples) == 4
    assert all(set(sample) == {"question", "before", "after", "reward"} for sample in samples)


def test_sample_answers_are_written_down_while_it_practises(three_stage_run):
    path = three_stage_run.folder / "stages" / "samples.jsonl"
    samples = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert {sample["step"] for sample in samples} == set(range(1, 7))
    assert all(set(sample) == {"step", "question", "answer", "reward"} for sample in samples)


@pytest.mark.thorough
def test_practice_begins_at_the_fine_tuned_model_and_its_leash_is_tied_there(make_recorded_job, monkeypatch):
    job, stages = make_recorded_job(settings={"last_rate": 0.01, "beta": 0.01}, epochs=2)
    sft_folder = job.folder / "stages" / "sft"
    ids = torch.tensor([job.train[0].input_ids], device=job.model.device)
    seen, real_train, real_run_trainer = {}, reward_model.train, stage_files.run_trainer

    def train_reward_model(job, start_folder, is_fresh, max_completion_length):
        assert is_fresh
        assert stage_files.is_done(sft_folder), "the fine-tuned model is saved before the next stage begins"
        seen["start_folder"] = start_folder
        return real_train(job, start_folder, is_fresh, max_completion_length)

    def run_trainer(job, stage, trainer, *arguments, **options):
        monitor = real_run_trainer(job, stage, trainer, *arguments, **options)
        if stage == "rl":
            with torch.no_grad(), trainer.model.disable_adapter():
                seen["reference"] = trainer.model(input_ids=ids).logits
            assert trainer.ref_model is None
            assert trainer.beta == 0.01
        return monitor

    monkeypatch.setattr(reward_model, "train", train_reward_model)
    monkeypatch.setattr(stage_files, "run_trainer", run_trainer)
    trained_policy = methods.get("rlhf").train(job)
    fine_tuned, base = (load.base_model(folder, "prefer") for folder in (sft_folder, job.base_folder))
    with torch.no_grad():
        torch.testing.assert_close(seen["reference"], fine_tuned(input_ids=ids).logits, rtol=0, atol=1e-5)
        assert (base(input_ids=ids).logits - seen["reference"]).abs().max() > 0.1
    assert seen["start_folder"] == sft_folder
    assert stages == STAGES
    assert not torch.equal(flat_parameters(trained_policy), flat_parameters(fine_tuned))


def test_the_distance_is_nothing_before_the_first_step(three_stage_run):
    first_point = by_stage(three_stage_run)["rl"][0]
    assert abs(first_point["kl"]) < 1e-6


@pytest.mark.exhaustive
def test_a_stage_whose_result_is_there_is_skipped(make_recorded_job):
    job, stages = make_recorded_job(epochs=0.5)
    methods.get("rlhf").train(job)
    sft_folder = job.folder / "stages" / "sft"
    before = flat_parameters(load.base_model(sft_folder, "prefer"))
    resumed_job, resumed_stages = make_recorded_job(folder=job.folder, epochs=0.5)
    methods.get("rlhf").train(resumed_job)
    assert stages == STAGES
    assert resumed_stages == ["rl"]
    assert resumed_job.notes["stages"] == {"sft": "reused", "reward": "reused", "rl": "done"}
    assert resumed_job.notes["reward_model"] == job.notes["reward_model"]
    assert torch.equal(before, flat_parameters(load.base_model(sft_folder, "prefer")))


@pytest.mark.thorough
def test_half_a_result_is_none(make_recorded_job):
    job, stages = make_recorded_job(settings={"algorithm": "dpo", "steps": 1}, epochs=0.5)
    draft = job.folder / "stages" / ".sft"
    draft.mkdir(parents=True)
    (draft / "config.json").write_text("{}")
    methods.get("rlhf").train(job)
    assert stages == ["sft", "dpo"]
    assert not draft.exists()


@pytest.fixture
def stop_in(monkeypatch):
    """`stop_in(stage)`: the run is asked to stop in the first step of this stage."""
    stages, real = [], run_callback.MonitorCallback.on_step_begin

    def on_step_begin(self, *arguments, **options):
        if self.stage in stages:
            stages.clear()
            launcher.stop(self.run)
        real(self, *arguments, **options)

    monkeypatch.setattr(run_callback.MonitorCallback, "on_step_begin", on_step_begin)
    return stages.append


@pytest.mark.thorough
@pytest.mark.parametrize("stage", sample(STAGES, ["rl"]))
def test_a_stopped_run_keeps_the_best_there_is_and_goes_on_in_the_unfinished_stage(
    stage, make_plan, quick, stop_in, three_stage_run
):
    run = runs.create(make_plan("rlhf", "prefer", quick))
    stop_in(stage)
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    assert runs.is_usable(run)
    done_stages = STAGES[: STAGES.index(stage)]
    assert runs.report(run)["method"]["stages"] == dict.fromkeys(done_stages, "done") | {stage: "stopped"}
    assert runs.is_resumable(run)
    launcher.requeue(run)
    worker.run(run.id)
    assert runs.status(run).state == "done"
    assert trained_steps(run) == trained_steps(three_stage_run)


def trained_steps(run):
    """The stage and step of each training point, in the order written."""
    return [(point["stage"], point["step"]) for point in runs.read_points(run) if "loss" in point]


@pytest.mark.thorough
def test_the_next_round_starts_from_the_last_one_and_outlives_it(
    three_stage_run, make_plan, quick, train_run, monkeypatch
):
    first = runs.folder() / three_stage_run.id
    shutil.copytree(three_stage_run.folder, first)
    first_policy = flat_parameters(load.base_model(first / "model", "prefer"))
    first_reward_model = load.base_model(first / "stages" / "reward", "classify", ("reward",))
    seen, real_train_policy = {}, policy.train_policy

    def train_policy(job, policy_model, reward_name, scoring_model):
        seen["policy"] = flat_parameters(policy_model)
        return real_train_policy(job, policy_model, reward_name, scoring_model)

    def train_reward_model(job, start_folder, is_fresh, max_completion_length):
        assert not is_fresh
        seen["reward_model"] = flat_parameters(load.base_model(start_folder, "classify", ("reward",)))
        job.notes["reward_model"] = {}
        return first_reward_model, False

    monkeypatch.setattr(policy, "train_policy", train_policy)
    monkeypatch.setattr(reward_model, "train", train_reward_model)
    monkeypatch.setattr(pipeline.stage_files, "save_result", lambda *_: None)
    second = train_run(make_plan("rlhf", "prefer", {**quick, "start_from": first.name}))
    assert torch.equal(seen["policy"], first_policy)
    assert torch.equal(seen["reward_model"], flat_parameters(first_reward_model))
    outcomes = runs.report(second)["method"]["stages"]
    assert outcomes == {"sft": "imported", "reward": "done", "rl": "done"}
    assert "sft" not in by_stage(second)
    shutil.rmtree(first)
    assert runs.is_usable(second)
    assert not (second.folder / "stages" / "sft").exists(), "nothing goes on from there any more"


@pytest.mark.thorough
def test_a_reward_model_of_an_earlier_round_scores_examples_without_pairs(
    three_stage_run, make_plan, quick, train_run
):
    shutil.copytree(three_stage_run.folder, runs.folder() / three_stage_run.id)
    plan = make_plan("rlhf", "chat", {**quick, "start_from": three_stage_run.id, "reward": "model"})
    assert methods.find_plan_problems(plan.model_dump()) == []
    outcomes = runs.report(train_run(plan))["method"]["stages"]
    assert outcomes == {"sft": "imported", "reward": "imported", "rl": "done"}


def test_a_round_cannot_start_from_what_is_no_round(make_recorded_job):
    job, _ = make_recorded_job(settings={"start_from": UNKNOWN_RUN})
    with pytest.raises(NotPossible) as caught:
        methods.get("rlhf").train(job)
    assert caught.value.message.values["said"] == iterate.NO_FINISHED_MODEL.format(run=UNKNOWN_RUN)


def test_a_round_on_another_base_of_the_same_shape_is_refused(three_stage_run, make_recorded_job):
    job, _ = make_recorded_job(settings={"start_from": three_stage_run.id})
    shutil.copytree(three_stage_run.folder, job.folder.parent / three_stage_run.id)
    job = dataclasses.replace(job, plan=job.plan.model_copy(update={"model": "another"}))
    with pytest.raises(NotPossible) as caught:
        methods.get("rlhf").train(job)
    reason = iterate.OTHER_BASE_MODEL.format(run=three_stage_run.id)
    assert caught.value.message.values["said"] == reason


@pytest.mark.thorough
def test_pairs_too_long_to_be_read_whole_are_left_out_and_counted(make_recorded_job):
    job, _ = make_recorded_job(settings={"steps": 1}, epochs=0.5)
    long_pair = {"prompt": "where is my lamp " * 30, "chosen": "Thanks.", "rejected": "no"}
    train, held_out = job.examples
    job = dataclasses.replace(job, examples=([*train, long_pair], [*held_out, long_pair, long_pair]))
    methods.get("rlhf").train(job)
    assert job.notes["reward_model"]["pairs"] == {"train": 24, "held_out": 6, "too_long": 3}
    assert job.notes["reward_model"]["surface"]["n"] == 6


@pytest.mark.thorough
def test_asked_to_stop_before_the_reward_model_learns_what_was_fine_tuned_is_kept(
    make_plan, quick, monkeypatch
):
    real = reward_model.fit_initial_head

    def stop_and_fit(*arguments):
        launcher.stop(run)
        real(*arguments)

    monkeypatch.setattr(reward_model, "fit_initial_head", stop_and_fit)
    run = runs.create(make_plan("rlhf", "prefer", quick, epochs=3))
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    assert runs.is_usable(run)
    assert runs.report(run)["after"]["loss"] < runs.report(run)["before"]["loss"]
    assert runs.is_resumable(run)


def test_a_reward_stage_that_begins_again_has_one_beginning(make_plan):
    run = runs.create(make_plan("rlhf", "prefer"))
    for _ in range(2):
        monitor = run_callback.MonitorCallback(run, "reward", torch.nn.Linear(2, 1), lambda: {"loss": 0.5})
        monitor.on_train_begin(None, TrainerState(max_steps=1), TrainerControl())
    assert [(point["step"], point["eval_loss"]) for point in runs.read_points(run)] == [(0, 0.5)]
    assert monitor.initial_scores == {"loss": 0.5}
