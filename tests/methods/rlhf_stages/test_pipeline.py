"""RLHF: three stages in one run, each from where the last one ended, with rewards that are learned or stated."""

import csv
import dataclasses
import json
import math
import shutil
import time

import pytest
import torch

from studio import methods, runs
from studio.errors import BadData, NotPossible
from studio.methods.rlhf_stages import (
    pipeline,
    rule_rewards,
)
from studio.methods.rlhf_stages import (
    policy as rlhf_stages_policy,
)
from studio.methods.rlhf_stages import (
    reward_model as rlhf_stages_reward_model,
)
from studio.methods.rlhf_stages import (
    stage as stage_files,
)
from studio.models import load, shape
from studio.plan import Data
from studio.storage import home
from studio.training import callback as run_callback
from studio.training import launcher, worker

# A tiny model needs bigger steps than a real one.
QUICK = {"steps": 6, "answer_tokens": 12, "reward_epochs": 1}
RULES = [
    ("contains", "Thanks, shop", 1, "thanks from the SHOP", 1.0),
    ("contains", "Thanks, shop", 1, "Thanks.", 0.5),
    ("contains", "Thanks, shop", 1, "", 0.0),
    ("contains", "谢谢，再见", 1, "谢谢您", 0.5),
    ("matches", r"^\d{3}$", 1, "123", 1.0),
    ("matches", r"^\d{3}$", 1, "1234", 0.0),
    ("matches", "(?i)yours, the shop", 1, "… Yours, the shop.", 1.0),
    ("length", "", 4, "one two three four", 1.0),
    ("length", "", 4, "one two", 0.5),
    ("length", "", 4, "one two three four five six", 0.5),
    ("length", "", 4, "", 0.0),
    ("length", "", 4, "a b c d e f g h i j k l", 0.0),
    ("length", "", 5, "谢谢您的来信"[:5], 1.0),
    ("json", "", 1, '{"a": [1, 2]}', 1.0),
    ("json", "", 1, " [] \n", 1.0),
    ("json", "", 1, "12", 0.0),
    ("json", "", 1, '{"a": NaN}', 0.0),
    ("json", "", 1, 'Here: {"a": 1}', 0.0),
    ("json", "", 1, '{"a": 1', 0.0),
    ("json", "", 1, "[" * 3000, 0.0),
]
# What each takes for ever on without a limit of time: nested repetition, alternatives that overlap, and repeated back references.
HOSTILE = [
    (r"(a+)+$", "a" * 3000 + "!"),
    (r"(a|a)*b", "a" * 4000),
    (r"((\w*\s?)*)*X$", "word " * 800),
    (r"(.*)(.*)(.*)(.*)\4\3\2\1Z", "ab" * 2000),
]
OTHER = "0" * 32
PROBLEMS = [
    ({"way": "dpo"}, "chat", "way: dpo learns from pairs"),
    ({"way": "dpo", "kl": 0.0}, "prefer", "kl: dpo measures"),
    ({"reward": "model"}, "chat", "reward: a reward model is learned from pairs"),
    ({"reward": "contains"}, "prefer", "reward_text: name the words"),
    ({"reward": "contains", "reward_text": " , "}, "chat", "reward_text: name the words"),
    ({"reward": "matches"}, "chat", "reward_text: give the pattern"),
    (
        {"reward": "matches", "reward_text": "(a"},
        "chat",
        "reward_text: expected a pattern (regular expression), but got '(a'",
    ),
    (
        {"reward": "length", "reward_length": 90, "answer_tokens": 48},
        "chat",
        "reward_length: an answer of 90 words does not fit",
    ),
    ({"answer_tokens": 4096}, "chat", "answer_tokens: the model reads and writes 256 tokens in all"),
    ({"start_from": "../../etc"}, "chat", "start_from: expected the id of a run"),
    ({"start_from": OTHER}, "chat", f"start_from: {OTHER} is no RLHF run"),
]


def started(found):
    run = runs.create(found)
    worker.run(run.id)
    return run


def by_stage(run):
    """The points of each stage, in order."""
    found = {}
    for point in runs.read_points(run):
        found.setdefault(point["stage"], []).append(point)
    return found


def numbers(model):
    return torch.cat([value.detach().flatten() for value in model.state_dict().values()])


@pytest.fixture
def listening(make_job):
    """`listening(task, settings, **training)`: a job, and the names of the stages whose training begins."""

    def make(task="prefer", settings=None, rows=24, **training):
        job, heard = make_job("rlhf", task, {**QUICK, **(settings or {})}, rows, **training), []

        def watch(stage, *rest):
            heard.append(stage)
            return job.create_monitor(stage, *rest)

        return dataclasses.replace(job, create_monitor=watch), heard

    return make


@pytest.fixture
def reversed_pairs(toys, tmp_path):
    """The toy pairs with the worse answer as the better one."""
    path = tmp_path / "reversed.csv"
    with toys["prefer"].open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(
            [
                ("prompt", "chosen", "rejected"),
                *((row["prompt"], row["rejected"], row["chosen"]) for row in rows),
            ]
        )
    return path


@pytest.fixture(scope="module")
def whole(make_plan, tmp_path_factory):
    """A run of all three stages on pairs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("whole")))
        return started(make_plan("rlhf", "prefer", QUICK))


def test_a_run_leaves_three_sets_of_curves(whole):
    found = by_stage(whole)
    assert (
        [stage for stage in found if stage != "after"]
        == ["sft", "reward", "rl"]
        == list(methods.get("rlhf").stages)
    )
    trained = {stage: [point for point in points if "loss" in point] for stage, points in found.items()}
    assert [len(trained[stage]) for stage in ("sft", "reward", "rl")] == [24, 4, 6]
    assert found["sft"][0]["step"] == 0
    assert trained["sft"][-1]["loss"] < 0.5 * trained["sft"][0]["loss"]
    assert all(0 <= point["eval_accuracy"] <= 1 for point in found["reward"] if "eval_loss" in point)
    assert all(0 <= point["accuracy"] <= 1 for point in trained["reward"])
    for point in trained["rl"]:
        assert {"reward", "kl", "completion_length", "clipped_ratio", "zero_std_share"} <= set(point)
        assert 0 < point["completion_length"] <= QUICK["answer_tokens"]
        assert 0 <= point["clipped_ratio"] <= 1
        assert all(isinstance(value, int | float | str) and value == value for value in point.values())


def test_the_report_says_what_every_stage_came_to(whole):
    found = runs.report(whole)["method"]
    assert found["stages"] == {"sft": "done", "reward": "done", "rl": "done"}
    assert found["reward_model"]["pairs"] == {"train": 32, "held_out": 8, "too_long": 0}
    assert {"loss", "accuracy"} <= set(found["reward_model"]["before"]) & set(found["reward_model"]["after"])
    assert (
        {"reward", "completion_length", "clipped_ratio"}
        == set(found["rl"]["before"])
        == set(found["rl"]["after"])
    )
    assert math.isfinite(found["rl"]["kl"])
    assert len(found["rl"]["samples"]) == 4
    assert all({"question", "before", "after", "reward"} == set(sample) for sample in found["rl"]["samples"])


def test_sample_answers_are_written_down_while_it_practises(whole):
    lines = [
        json.loads(line)
        for line in (whole.folder / "stages" / "samples.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert {line["step"] for line in lines} == set(range(1, 7))
    assert all({"step", "question", "answer", "reward"} == set(line) for line in lines)


def test_practice_begins_at_the_fine_tuned_model_and_its_leash_is_tied_there(listening, monkeypatch):
    job, heard = listening(settings={"last_rate": 0.01, "kl": 0.01}, epochs=2)
    seen, real_train, real_fit = {}, rlhf_stages_reward_model.train, stage_files.run_trainer

    def train(job, start, fresh):
        assert fresh
        assert stage_files.is_done(stage_files.folder(job, "sft")), (
            "the fine-tuned model is kept before the next stage begins"
        )
        seen["start"] = start
        return real_train(job, start, fresh)

    def fit(job, stage, trainer, *rest, **named):
        found = real_fit(job, stage, trainer, *rest, **named)
        if stage == "rl":
            ids = torch.tensor([job.train[0].input_ids])
            with torch.no_grad(), trainer.model.disable_adapter():
                seen["reference"] = trainer.model(input_ids=ids).logits
            assert trainer.ref_model is None
            assert trainer.beta == 0.01
        return found

    monkeypatch.setattr(rlhf_stages_reward_model, "train", train)
    monkeypatch.setattr(stage_files, "run_trainer", fit)
    made = methods.get("rlhf").train(job)
    kept = load.base_model(job.folder / "stages" / "sft", "prefer")
    ids = torch.tensor([job.train[0].input_ids])
    with torch.no_grad():
        torch.testing.assert_close(seen["reference"], kept(input_ids=ids).logits, rtol=0, atol=1e-5)
        base = load.base_model(job.base_folder, "prefer")(input_ids=ids).logits
        assert (base - seen["reference"]).abs().max() > 0.1
    assert seen["start"] == job.folder / "stages" / "sft"
    assert heard == ["sft", "reward", "rl"]
    assert not torch.equal(numbers(made), numbers(kept))


def test_the_distance_is_nothing_before_the_first_step(whole):
    first, *_ = by_stage(whole)["rl"]
    assert abs(first["kl"]) < 1e-6


def test_a_reward_model_learns_either_order_of_the_pairs(make_plan, reversed_pairs):
    found = []
    for source in (None, reversed_pairs):
        plan = make_plan(
            "rlhf", "prefer", {**QUICK, "sft": False, "reward_epochs": 6, "reward_rate": 5e-3, "steps": 1}
        )
        if source:
            plan = plan.model_copy(update={"data": Data(source=str(source), validation_share=0.2)})
        found.append(runs.report(started(plan))["method"]["reward_model"])
    assert all(one["after"]["accuracy"] == 1 for one in found)
    assert all(one["after"]["loss"] < 0.2 for one in found)


def test_a_score_is_the_mean_of_what_every_token_says(tiny_chat):
    model = rlhf_stages_reward_model.load(tiny_chat, 0, is_fresh=True)
    ids = torch.tensor([[7, 8, 9]])
    hidden = model.model(input_ids=ids).last_hidden_state[0]
    by_hand = sum(float(token.detach() @ model.score.weight[0].detach()) for token in hidden) / 3
    assert float(model(input_ids=ids).logits) == pytest.approx(by_hand, abs=1e-5)


def test_a_reward_model_comes_back_with_the_head_it_was_saved_with(tiny_chat, tmp_path):
    model = rlhf_stages_reward_model.load(tiny_chat, 0, is_fresh=True)
    model.save_pretrained(tmp_path)
    load.tokenizer(tiny_chat).save_pretrained(tmp_path)
    again = rlhf_stages_reward_model.load(tmp_path, 1)
    assert torch.equal(again.score.weight, model.score.weight)
    assert torch.equal(
        again(input_ids=torch.tensor([[7, 8, 9]])).logits, model(input_ids=torch.tensor([[7, 8, 9]])).logits
    )


def test_the_first_head_ranks_pairs_it_can_tell_apart_and_leaves_the_model_alone(tiny_chat):
    model, tokenizer = rlhf_stages_reward_model.load(tiny_chat, 0, is_fresh=True), load.tokenizer(tiny_chat)
    before = {name: value.clone() for name, value in model.state_dict().items() if "score" not in name}
    found = [rlhf_stages_reward_model.Pair([20 + n, 30, 31], [20 + n, 40, 41]) for n in range(6)]
    told = []
    rlhf_stages_reward_model.fit_initial_head(model, tokenizer, found, lambda *said: told.append(said))
    judged = rlhf_stages_reward_model.evaluate_pairs(model, tokenizer, found)
    assert judged["accuracy"] == 1 and judged["loss"] < math.log(2)
    assert told[-1] == ("head", 12, 12)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_a_reward_model_that_training_makes_worse_stays_as_it_began(make_plan, tiny_chat, monkeypatch):
    seen, tokenizer = [], load.tokenizer(tiny_chat)

    def measure(model, *_):
        seen.append(rlhf_stages_reward_model.score(model, tokenizer, [[7, 8, 9]])[0])
        return {"loss": float(len(seen)), "accuracy": 0.5, "margin": 0.0}

    monkeypatch.setattr(rlhf_stages_reward_model, "evaluate_pairs", measure)
    run = started(make_plan("rlhf", "prefer", {**QUICK, "sft": False, "steps": 1}))
    assert abs(seen[1] - seen[0]) > 1e-3  # it did learn
    assert seen[-1] == pytest.approx(seen[0], abs=1e-6)
    assert runs.report(run)["method"]["reward_model"]["best_step"] == 0


@pytest.mark.thorough
@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_practice_raises_the_share_of_answers_that_keep_a_rule(algorithm, make_plan):
    settings = {
        "way": algorithm,
        "reward": "contains",
        "reward_text": "shop",
        "sft": False,
        "steps": 60,
        "answer_tokens": 24,
        "last_rate": 5e-3,
        "kl": 0.005,
    }
    found = by_stage(started(make_plan("rlhf", "chat", settings)))["rl"]
    rewards = [point["reward"] for point in found]
    assert sum(rewards[-10:]) / 10 > sum(rewards[:10]) / 10 + 0.3


def test_the_short_cut_prefers_the_better_answers(make_plan, reversed_pairs):
    plan = make_plan(
        "rlhf", "prefer", {"way": "dpo", "sft": False, "steps": 30, "last_rate": 3e-3, "kl": 0.1}
    )
    run = started(plan.model_copy(update={"data": Data(source=str(reversed_pairs), validation_share=0.2)}))
    points, found = by_stage(run), runs.report(run)["method"]["dpo"]
    losses = [point["loss"] for point in points["dpo"] if "loss" in point]
    assert losses[0] == pytest.approx(math.log(2), abs=1e-3)
    assert losses[-1] < 0.5 * losses[0]
    assert found["after"]["accuracy"] == 1
    assert found["after"]["loss"] < 0.5 * found["before"]["loss"]
    assert set(points) == {
        "sft",
        "dpo",
        "after",
    }  # nothing but the base's scores in the stage that was left out
    assert runs.report(run)["method"]["stages"] == {"sft": "skipped", "dpo": "done"}


def test_a_stage_whose_result_is_there_is_skipped(listening):
    job, heard = listening()
    methods.get("rlhf").train(job)
    before = load.base_model(job.folder / "stages" / "sft", "prefer")
    again, heard_again = listening(folder=job.folder)
    methods.get("rlhf").train(again)
    assert heard == ["sft", "reward", "rl"]
    assert heard_again == ["rl"]
    assert again.notes["stages"] == {"sft": "reused", "reward": "reused", "rl": "done"}
    assert again.notes["reward_model"] == job.notes["reward_model"]  # what it came to is still told
    assert torch.equal(numbers(before), numbers(load.base_model(job.folder / "stages" / "sft", "prefer")))


def test_half_a_result_is_none(listening):
    job, heard = listening(settings={"way": "dpo"})
    draft = job.folder / "stages" / ".sft"
    draft.mkdir(parents=True)
    (draft / "config.json").write_text("{}")
    methods.get("rlhf").train(job)
    assert heard == ["sft", "dpo"]
    assert not draft.exists()


@pytest.fixture
def stop_in(monkeypatch):
    """`stop_in(stage)`: the run is asked to stop in the first step of this stage."""
    wanted, real = [], run_callback.MonitorCallback.on_step_begin

    def on_step_begin(self, *arguments, **values):
        if self.stage in wanted:
            wanted.clear()
            launcher.stop(self.run)
        real(self, *arguments, **values)

    monkeypatch.setattr(run_callback.MonitorCallback, "on_step_begin", on_step_begin)
    return wanted.append


@pytest.mark.thorough
@pytest.mark.parametrize("stage", ["sft", "reward", "rl"])
def test_a_stopped_run_keeps_the_best_there_is_and_goes_on_in_the_unfinished_stage(
    stage, make_plan, stop_in, whole
):
    order = ["sft", "reward", "rl"]
    run = runs.create(make_plan("rlhf", "prefer", QUICK))
    stop_in(stage)
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    assert runs.is_usable(run)
    stages = runs.report(run)["method"]["stages"]
    assert stages == dict.fromkeys(order[: order.index(stage)], "done") | {stage: "stopped"}
    assert runs.is_resumable(run)
    launcher.requeue(run)
    worker.run(run.id)
    assert runs.status(run).state == "done"
    trained = [(point["stage"], point["step"]) for point in runs.read_points(run) if "loss" in point]
    assert trained == [
        (point["stage"], point["step"]) for point in runs.read_points(whole) if "loss" in point
    ]


def test_the_next_round_starts_from_the_last_one_and_outlives_it(make_plan, monkeypatch):
    first = started(make_plan("rlhf", "prefer", {**QUICK, "last_rate": 0.01}))
    learned, judge = (
        load.base_model(first.model, "prefer"),
        load.base_model(first.folder / "stages" / "reward", "classify", ("reward",)),
    )
    seen, real = {}, rlhf_stages_policy.train_policy

    def practise(job, policy, what, reward_model):
        seen["policy"] = numbers(policy)
        return real(job, policy, what, reward_model)

    def train(job, start, fresh):
        assert not fresh
        seen["judge"] = numbers(load.base_model(start, "classify", ("reward",)))
        job.notes["reward_model"] = {}
        return judge, False

    monkeypatch.setattr(rlhf_stages_policy, "train_policy", practise)
    monkeypatch.setattr(rlhf_stages_reward_model, "train", train)
    monkeypatch.setattr(pipeline.stage_files, "save_result", lambda *_: None)
    second = started(make_plan("rlhf", "prefer", {**QUICK, "start_from": first.id}))
    assert torch.equal(seen["policy"], numbers(learned))
    assert torch.equal(seen["judge"], numbers(judge))
    assert runs.report(second)["method"]["stages"] == {
        "sft": "imported",
        "reward": "done",
        "rl": "done",
    }
    assert [point for point in by_stage(second)["sft"] if "loss" in point] == []
    shutil.rmtree(first.folder)
    assert torch.equal(numbers(load.base_model(second.folder / "stages" / "sft", "prefer")), numbers(learned))


def test_a_reward_model_of_an_earlier_round_scores_examples_without_pairs(whole, make_plan):
    shutil.copytree(whole.folder, runs.folder() / whole.id)
    plan = make_plan("rlhf", "chat", {**QUICK, "start_from": whole.id, "reward": "model"})
    assert methods.find_plan_problems(plan.model_dump()) == []
    assert runs.report(started(plan))["method"]["stages"] == {
        "sft": "imported",
        "reward": "imported",
        "rl": "done",
    }


def test_a_round_cannot_start_from_what_is_no_round(listening):
    job, _ = listening(settings={"start_from": OTHER})
    with pytest.raises(NotPossible, match=f"{OTHER} is no RLHF run"):
        methods.get("rlhf").train(job)


@pytest.mark.parametrize(
    ("settings", "answer", "wanted", "aim"),
    [
        ({}, "one two", 16, 2),  # the least there is
        ({}, "lamp " * 400, 256, 0),  # examples longer than an answer may be: aimed at what has room
        ({"reward_length": 20}, "one two", 40, 20),
        ({"answer_tokens": 12}, "one two", 12, 2),
    ],
)
def test_an_answer_gets_room_for_the_length_it_is_rewarded_for(settings, answer, wanted, aim, make_job):
    job = make_job("rlhf", "chat", settings)
    job = dataclasses.replace(job, examples=([{"prompt": "where", "response": answer}] * 4, job.examples[1]))
    longest = rlhf_stages_policy.resolve_max_completion_length(job, "length")
    assert longest == wanted
    reached = [
        count
        for count in range(1, 200)
        if rlhf_stages_policy.build_scorer(job, "length", None, longest)([], ["a " * count]) == [1.0]
    ]
    assert reached == [aim] if aim else reached[0] <= longest / 1.25
    assert rlhf_stages_policy.resolve_max_completion_length(job, "model") <= 64


def test_a_round_on_another_base_of_the_same_shape_is_refused(whole, listening):
    job, _ = listening(settings={"start_from": whole.id})
    shutil.copytree(whole.folder, job.folder.parent / whole.id)
    job = dataclasses.replace(job, plan=job.plan.model_copy(update={"model": "another"}))
    with pytest.raises(NotPossible, match="was trained on another base model"):
        methods.get("rlhf").train(job)


def test_questions_too_long_for_an_answer_are_told(listening):
    job, _ = listening("chat", {"sft": False, "answer_tokens": 60})
    with pytest.raises(BadData, match="No question leaves room"):
        methods.get("rlhf").train(job)


def test_pairs_too_long_to_be_read_whole_are_left_out_and_counted(listening):
    job, _ = listening(settings={"steps": 1})
    long = {"prompt": "where is my lamp", "chosen": "Thanks. " * 90, "rejected": "no"}
    job = dataclasses.replace(job, examples=([*job.examples[0], long], job.examples[1]))
    methods.get("rlhf").train(job)
    assert job.notes["reward_model"]["pairs"] == {"train": 24, "held_out": 6, "too_long": 1}


def test_training_and_practice_show_the_reward_model_the_same_words(tiny_chat):
    from trl.data_utils import apply_chat_template

    tokenizer = load.tokenizer(tiny_chat)
    asked, said = [{"role": "user", "content": "where is my lamp"}], "Thanks for asking."
    text = apply_chat_template({"messages": [*asked, {"role": "assistant", "content": said}]}, tokenizer)[
        "text"
    ]
    assert (
        rlhf_stages_reward_model.encode_conversation(tokenizer, asked, said)
        == tokenizer(text, add_special_tokens=False)["input_ids"]
    )


def test_a_score_does_not_depend_on_what_is_scored_beside_it(tiny_chat):
    model, tokenizer = rlhf_stages_reward_model.load(tiny_chat, 0, is_fresh=True), load.tokenizer(tiny_chat)
    rows = [list(tokenizer("the lamp is blue " * times)["input_ids"]) for times in (5, 1, 9, 2)]
    together = rlhf_stages_reward_model.score(model, tokenizer, rows)
    alone = [rlhf_stages_reward_model.score(model, tokenizer, [row])[0] for row in rows]
    assert together == pytest.approx(alone, abs=1e-5)


def test_a_judgement_counted_by_hand():
    found = rlhf_stages_reward_model.score_margins([0.0, 2.0, -1.0])
    assert found["loss"] == pytest.approx(
        (math.log(2) + math.log(1 + math.exp(-2)) + math.log(1 + math.exp(1))) / 3
    )
    assert found["accuracy"] == 0.5  # one right, one even, one wrong
    assert found["margin"] == pytest.approx(1 / 3)


@pytest.mark.parametrize(
    ("name", "text", "length", "answer", "wanted"), RULES, ids=lambda value: str(value)[:16]
)
def test_a_rule_counted_by_hand(name, text, length, answer, wanted):
    assert rule_rewards.build_rule(name, text, length)(answer) == pytest.approx(wanted)


@pytest.mark.parametrize(("pattern", "answer"), HOSTILE, ids=[pattern for pattern, _ in HOSTILE])
def test_a_pattern_that_would_take_for_ever_is_given_up(pattern, answer):
    assert rule_rewards.rule_problem("matches", pattern) is None
    began = time.monotonic()
    assert rule_rewards.build_rule("matches", pattern, 1)(answer) == 0
    assert time.monotonic() - began < 10 * rule_rewards.MATCH_TIMEOUT_SECONDS


@pytest.mark.parametrize(("chosen", "task", "said"), PROBLEMS, ids=[said[:30] for _, _, said in PROBLEMS])
def test_what_does_not_go_together_is_told_before_the_run(chosen, task, said, tiny_chat):
    method = methods.get("rlhf")
    (found,) = method.check(method.resolve_settings(chosen), shape.from_folder(tiny_chat), task)
    assert found.render().startswith(said)


def test_what_goes_together_is_not_refused(tiny_chat):
    method = methods.get("rlhf")
    for task in method.tasks:
        assert method.check(method.resolve_settings({}), shape.from_folder(tiny_chat), task) == []
        assert (
            method.check(method.resolve_settings({"reward": "contains", "reward_text": "shop"}), None, task)
            == []
        )


def test_a_round_on_another_base_is_refused_before_the_run(whole, tiny_chat):
    shutil.copytree(whole.folder, home() / "runs" / whole.id)
    method = methods.get("rlhf")
    settled = method.resolve_settings({"start_from": whole.id})
    assert method.check(settled, shape.from_folder(tiny_chat), "chat") == []
    (said,) = method.check(settled, dataclasses.replace(shape.from_folder(tiny_chat), hidden=64), "chat")
    assert said.render() == f"start_from: {whole.id} was trained on another base model"


def test_nobody_calls_it_by_a_name_that_it_is_not():
    texts = [
        text
        for knob in methods.get("rlhf").settings
        for text in (knob.label, knob.help, *(said for _, said in knob.choices))
    ]
    assert not any("ppo" in (words.render() + words.render("zh")).lower() for words in texts)


def test_asked_to_stop_before_the_reward_model_learns_what_was_fine_tuned_is_kept(make_plan, monkeypatch):
    real = rlhf_stages_reward_model.fit_initial_head

    def stopping(model, tokenizer, found, tell):
        launcher.stop(run)
        real(model, tokenizer, found, tell)

    monkeypatch.setattr(rlhf_stages_reward_model, "fit_initial_head", stopping)
    run = runs.create(make_plan("rlhf", "prefer", QUICK))
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    assert runs.is_usable(run)
    assert runs.report(run)["after"]["loss"] < runs.report(run)["before"]["loss"]
    assert runs.is_resumable(run)


def test_a_reward_model_that_scores_something_else_is_not_used_for_one(whole, tmp_path):
    folder = tmp_path / "reward"
    shutil.copytree(whole.folder / "stages" / "reward", folder)
    config = json.loads((folder / "config.json").read_text())
    assert config.pop("scores") == rlhf_stages_reward_model.MEAN_POOLING
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(NotPossible, match="older version of the studio"):
        rlhf_stages_reward_model.load(folder, 0)


def test_a_reward_stage_that_begins_again_has_one_beginning(make_plan):
    run = runs.create(make_plan("rlhf", "prefer", QUICK))
    for _ in range(2):
        watch = run_callback.MonitorCallback(run, "reward", torch.nn.Linear(2, 1), lambda: {"loss": 0.5})
        watch.start()
    assert [(point["step"], point["eval_loss"]) for point in runs.read_points(run)] == [(0, 0.5)]
    assert watch.first == {"loss": 0.5}
