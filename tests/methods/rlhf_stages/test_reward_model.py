"""The reward model learns either order of the pairs, and scores a text the same wherever it is scored."""

import csv
import dataclasses
import json
import math
import shutil

import pytest
import torch

from studio import methods, presets
from studio.data import examples
from studio.errors import NotPossible
from studio.methods.rlhf_stages import reward_model, schedule
from studio.methods.workload import RowTokens, Workload
from studio.models import load, shape
from studio.plan import Training


def test_a_reward_model_learns_either_order_of_the_pairs(make_job):
    settings = {"reward_epochs": 6, "reward_rate": 5e-3}
    for is_reversed in (False, True):
        job = make_job("rlhf", "prefer", settings)
        if is_reversed:
            job = dataclasses.replace(job, examples=tuple(map(swap_answers, job.examples)))
        reward_model.train(job, job.base_folder, is_fresh=True, max_completion_length=64)
        scores = job.notes["reward_model"]["after"]
        assert scores["accuracy"] == 1
        assert scores["loss"] < 0.2


def swap_answers(pairs):
    return [{**pair, "chosen": pair["rejected"], "rejected": pair["chosen"]} for pair in pairs]


def test_few_pairs_leave_the_model_as_it_is_and_fit_its_head(make_job):
    job = make_job("rlhf", "prefer")
    model, stopped = reward_model.train(job, job.base_folder, is_fresh=True, max_completion_length=64)
    base = load.base_model(job.base_folder, "prefer").model.state_dict()
    kept = model.model.state_dict()
    assert all(torch.equal(value, base[name]) for name, value in kept.items())
    notes = job.notes["reward_model"]
    assert (stopped, notes["steps"], notes["after"]["accuracy"]) == (False, 0, 1)


def test_an_answer_is_read_as_far_as_practice_would_write_it(tiny_chat):
    tokenizer = load.tokenizer(tiny_chat)
    question, answer = [{"role": "user", "content": "where is my lamp"}], "Thanks for asking about it."
    whole = reward_model.encode_conversation(tokenizer, question, answer)
    assert reward_model.encode_answer(tokenizer, question, answer, 64) == whole
    cut = reward_model.encode_answer(tokenizer, question, answer, 3)
    assert cut.ids == whole.ids[: len(cut.ids)]
    assert whole.ids[-1] == tokenizer.eos_token_id
    assert cut.ids[-1] != tokenizer.eos_token_id
    prompt = tokenizer.apply_chat_template(question, add_generation_prompt=True, return_dict=True)
    assert cut.answer_start == whole.answer_start == len(prompt["input_ids"])
    assert len(cut.ids) == cut.answer_start + 3


@pytest.mark.parametrize("opening", ["<|assistant|>", "<|assistant|>think:"])
def test_the_answer_begins_where_fine_tuning_has_it_begin(tiny_chat, opening):
    tokenizer = load.tokenizer(tiny_chat)
    prompt_opening = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
    assert prompt_opening in tokenizer.chat_template
    tokenizer.chat_template = tokenizer.chat_template.replace(
        prompt_opening, prompt_opening.replace("<|assistant|>", opening)
    )
    question, answer = [{"role": "user", "content": "where is my lamp"}], "Thanks for asking about it."
    ids, answer_start = reward_model.encode_conversation(tokenizer, question, answer)
    messages = [*question, {"role": "assistant", "content": answer}]
    fine_tuning = examples.encode_chat(messages, tokenizer, 64)
    assert fine_tuning.input_ids == ids
    assert fine_tuning.labels == [examples.IGNORE_INDEX] * answer_start + ids[answer_start:]
    assert tokenizer.decode(ids[answer_start:-1]).strip() == answer


def test_a_batch_tells_the_answer_from_prompt_and_padding():
    rows = [reward_model.Conversation([7, 8, 9, 10], 1), reward_model.Conversation([7, 8, 9], 2)]
    batch = reward_model.build_batch(rows, pad_token_id=0)
    assert batch["input_ids"].tolist() == [[7, 8, 9, 10], [7, 8, 9, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 1, 0]]
    assert batch["answer_mask"].tolist() == [[0, 1, 1, 1], [0, 0, 1, 0]]


def test_a_score_is_the_mean_of_what_the_tokens_of_the_answer_say(tiny_chat):
    model, tokenizer = reward_model.load(tiny_chat, 0, is_fresh=True), load.tokenizer(tiny_chat)
    ids = [7, 8, 9, 10]
    with torch.no_grad():
        hidden = model.model(input_ids=torch.tensor([ids], device=model.device)).last_hidden_state[0]
        said = [float(token @ model.score.weight[0]) for token in hidden]
    scores = reward_model.score(
        model, tokenizer, [reward_model.Conversation(ids, answer_start) for answer_start in (0, 2, 3, 4)]
    )
    by_hand = [sum(said) / 4, (said[2] + said[3]) / 2, said[3], 0]
    assert scores == pytest.approx(by_hand, abs=1e-5)
    assert len({round(value, 4) for value in by_hand}) == 4


def test_a_score_without_a_word_of_where_the_answer_begins_is_refused(tiny_chat):
    model = reward_model.load(tiny_chat, 0, is_fresh=True)
    with pytest.raises(TypeError, match="answer_mask"):
        ids = torch.tensor([[7, 8]], device=model.device)
        model(input_ids=ids, attention_mask=torch.ones_like(ids))


def test_training_reads_the_answers_as_use_does(make_job):
    job = make_job("rlhf", "prefer", {"reward_epochs": 1})
    model, tokenizer = reward_model.load(job.base_folder, 0, is_fresh=True), job.tokenizer
    chosen, rejected = reward_model.Conversation([7, 8, 9, 10], 2), reward_model.Conversation([7, 8, 11], 2)
    pairs = [reward_model.Pair(chosen, rejected)]
    by_hand = reward_model.evaluate_pairs(model, tokenizer, pairs)["loss"]
    centring = (
        reward_model.CENTER_REWARDS_COEFFICIENT
        * sum(reward_model.score(model, tokenizer, [chosen, rejected])) ** 2
    )
    trainer = reward_model._build_trainer(job, model, pairs, 1)
    (batch,) = trainer.get_train_dataloader()
    loss = trainer.compute_loss(trainer.model, batch).detach()
    assert float(loss) == pytest.approx(by_hand + centring, abs=1e-5)


def test_a_reward_model_comes_back_with_the_head_it_was_saved_with(tiny_chat, tmp_path):
    model = reward_model.load(tiny_chat, 0, is_fresh=True)
    model.save_pretrained(tmp_path)
    load.tokenizer(tiny_chat).save_pretrained(tmp_path)
    loaded = reward_model.load(tmp_path, 1)
    rows = [reward_model.Conversation([7, 8, 9], 1)]
    assert torch.equal(loaded.score.weight, model.score.weight)
    tokenizer = load.tokenizer(tmp_path)
    # Where numbers lie in memory changes their last digit.
    assert reward_model.score(loaded, tokenizer, rows) == pytest.approx(
        reward_model.score(model, tokenizer, rows), abs=1e-6
    )


def test_a_new_reward_model_reads_the_middle_of_the_language_model(tiny_chat, tmp_path):
    whole = load.base_model(tiny_chat, "prefer")
    model = reward_model.load(tiny_chat, 0, is_fresh=True)
    ids = torch.tensor([[7, 8, 9]], device=model.device)
    with torch.no_grad():
        first_block = whole.model(input_ids=ids, output_hidden_states=True).hidden_states[1]
        read = model.model(input_ids=ids).last_hidden_state
        assert torch.allclose(read, whole.model.norm(first_block), atol=1e-6)
    assert (schedule.reward_blocks(2), schedule.reward_blocks(30)) == (1, 18)
    model.save_pretrained(tmp_path)
    load.tokenizer(tiny_chat).save_pretrained(tmp_path)
    assert reward_model.load(tmp_path, 1).config.num_hidden_layers == 1


@pytest.mark.parametrize("algorithm", ["rloo", "grpo"])
def test_the_memory_of_practice_has_room_for_the_reward_model_as_it_is(tiny_chat, algorithm):
    base, method = shape.from_folder(tiny_chat), methods.get("rlhf")
    settings = method.resolve_settings({"algorithm": algorithm})
    load_of_pairs = Workload(
        "prefer", (RowTokens(20, 10, 10),) * 100, 100, 0.2, Training(max_length=64), base
    )
    phases = {phase.name: phase for phase in method.build_phases(settings, load_of_pairs)}
    n_parameters = reward_model.load(tiny_chat, 0, is_fresh=True).num_parameters()
    for name in ("ask", "write", "judge", "reference", "rl"):
        assert phases[name].extra_models * base.total() == pytest.approx(n_parameters)


def test_the_first_head_ranks_pairs_it_can_tell_apart_and_leaves_the_model_alone(tiny_chat):
    model, tokenizer = reward_model.load(tiny_chat, 0, is_fresh=True), load.tokenizer(tiny_chat)
    before = {name: value.clone() for name, value in model.state_dict().items() if "score" not in name}
    pairs = [
        reward_model.Pair(
            reward_model.Conversation([20 + n, 30, 31], 1), reward_model.Conversation([20 + n, 40, 41], 1)
        )
        for n in range(6)
    ]
    progress = []
    reward_model.fit_initial_head(model, tokenizer, pairs, lambda *values: progress.append(values))
    scores = reward_model.evaluate_pairs(model, tokenizer, pairs)
    assert scores["accuracy"] == 1
    assert scores["loss"] < math.log(2)
    assert progress[-1] == ("head", 12, 12)
    assert all(torch.equal(model.state_dict()[name], value) for name, value in before.items())


def test_a_reward_model_that_training_makes_worse_stays_as_it_began(make_plan, train_run, quick, monkeypatch):
    from studio import runs

    scores = []

    def measure(model, tokenizer, pairs):
        scores.append(reward_model.score(model, tokenizer, [reward_model.Conversation([7, 8, 9], 1)])[0])
        return {"loss": float(len(scores)), "accuracy": 0.5, "margin": 0.0}

    monkeypatch.setattr(reward_model, "evaluate_pairs", measure)
    run = train_run(make_plan("rlhf", "prefer", {**quick, "sft": False, "steps": 1}))
    assert abs(scores[1] - scores[0]) > 1e-3, "it did not learn at all"
    assert scores[-1] == pytest.approx(scores[0], abs=1e-6)
    assert runs.report(run)["method"]["reward_model"]["best_step"] == 0


def test_training_and_practice_show_the_reward_model_the_same_words(tiny_chat):
    from trl.data_utils import apply_chat_template

    tokenizer = load.tokenizer(tiny_chat)
    prompt, answer = [{"role": "user", "content": "where is my lamp"}], "Thanks for asking."
    conversation = {"messages": [*prompt, {"role": "assistant", "content": answer}]}
    text = apply_chat_template(conversation, tokenizer)["text"]
    ids_in_training = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert reward_model.encode_conversation(tokenizer, prompt, answer).ids == ids_in_training


def test_a_score_does_not_depend_on_what_is_scored_beside_it(tiny_chat):
    model, tokenizer = reward_model.load(tiny_chat, 0, is_fresh=True), load.tokenizer(tiny_chat)
    texts = ["the lamp is blue " * times for times in (5, 1, 9, 2)]
    rows = [reward_model.Conversation(list(tokenizer(text)["input_ids"]), 1) for text in texts]
    in_one_batch = reward_model.score(model, tokenizer, rows)
    one_by_one = [reward_model.score(model, tokenizer, [row])[0] for row in rows]
    assert in_one_batch == pytest.approx(one_by_one, abs=1e-5)


def test_a_judgement_counted_by_hand():
    scores = reward_model.score_margins([0.0, 2.0, -1.0])
    losses = [math.log(2), math.log(1 + math.exp(-2)), math.log(1 + math.exp(1))]
    assert scores["loss"] == pytest.approx(sum(losses) / 3)
    assert scores["accuracy"] == 0.5  # one ranked correctly, one even, one wrong
    assert scores["margin"] == pytest.approx(1 / 3)


@pytest.mark.thorough
@pytest.mark.parametrize("earlier", [{}, {"scores": "the mean of all tokens"}])
def test_a_reward_model_that_scores_something_else_is_not_used_for_one(three_stage_run, tmp_path, earlier):
    folder = tmp_path / "reward"
    shutil.copytree(three_stage_run.folder / "stages" / "reward", folder)
    config = json.loads((folder / "config.json").read_text())
    assert config.pop("scores") == reward_model.MEAN_POOLING
    (folder / "config.json").write_text(json.dumps({**config, **earlier}))
    with pytest.raises(NotPossible, match="older version of the studio"):
        reward_model.load(folder, 0)


@pytest.mark.thorough
def test_a_model_of_random_weights_cannot_rank_the_preference_sample(tiny_chat):
    sample = presets.samples()["support-preference"]
    with sample.path.open(encoding="utf-8", newline="") as file:
        rows = [
            {role: row[column] for role, column in sample.columns.items()} for row in csv.DictReader(file)
        ]
    tokenizer, model = load.tokenizer(tiny_chat), reward_model.load(tiny_chat, 0, is_fresh=True)
    torch.manual_seed(0)
    for name, weights in model.named_parameters():
        if "norm" not in name:
            torch.nn.init.normal_(weights, std=0.15)
    pairs = reward_model.encode_pairs(rows, tokenizer, 10_000, 10_000).pairs
    n_right = 0.0
    for fold in range(5):
        held_out = pairs[fold::5]
        known = [pair for index, pair in enumerate(pairs) if index % 5 != fold]
        reward_model.fit_initial_head(model, tokenizer, known, lambda *_: None)
        n_right += reward_model.evaluate_pairs(model, tokenizer, held_out)["accuracy"] * len(held_out)
    assert len(pairs) == len(rows)
    assert n_right / len(pairs) <= 0.65
