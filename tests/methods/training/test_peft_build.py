"""What PEFT leaves to whoever trains: AdaLoRA's ranks and penalty, P-tuning's network, virtual tokens."""

import json

import pytest
import torch
from method_helpers import TOY_LABELS, on_device
from peft_cases import METHOD, settings_of
from safetensors.torch import load_file

from studio import runs
from studio.data import collate
from studio.methods import peft
from studio.methods.training import peft_build, supervised
from studio.models import load, trainable
from studio.training import worker

N_MATRICES = 14


@pytest.fixture
def run_adalora(make_plan):
    """`run_adalora(fields, **training)`: a whole run of AdaLoRA on the toy data."""

    def start(fields, **training):
        settings = settings_of("adalora", **fields)
        run = runs.create(make_plan("peft", "chat", settings, **{"learning_rate": 1e-2, **training}))
        worker.run(run.id)
        return run

    return start


def ranks_of(folder):
    tensors = load_file(folder / "adapter_model.safetensors")
    return [len(value) for name, value in tensors.items() if "lora_E" in name]


@pytest.mark.exhaustive
def test_adalora_s_rank_falls_to_its_target_and_only_there(run_adalora):
    run = run_adalora({"init_r": 8, "target_r": 3}, epochs=8)
    ranks = ranks_of(run.model)
    assert len(ranks) == N_MATRICES
    assert 0 < sum(ranks) <= 3 * N_MATRICES
    assert len(set(ranks)) > 1, "each matrix was to get what it needs"
    config = json.loads((run.model / "adapter_config.json").read_text())
    steps = runs.status(run).steps
    pruning_steps = (config["total_step"], config["tinit"], config["tfinal"])
    assert pruning_steps == (steps, int(0.1 * steps), int(0.4 * steps))
    assert sorted(sum(pattern) for pattern in config["rank_pattern"].values()) == sorted(ranks)


def test_adalora_falls_step_by_step_and_stays_there(make_job):
    job = make_job("peft", "chat", settings_of("adalora", init_r=8, target_r=2), epochs=10)
    total_ranks = []

    class RankRecorder(peft_build.AdaLoraCallback):
        def on_optimizer_step(self, args, state, control, **values):
            super().on_optimizer_step(args, state, control, **values)
            strengths = [value for name, value in self.model.named_parameters() if "lora_E" in name]
            total_ranks.append(sum(int((value != 0).sum()) for value in strengths))

    supervised.fit(job, callbacks=[RankRecorder(job.model)])
    assert len(total_ranks) == 30
    assert total_ranks[:3] == [8 * N_MATRICES] * 3
    assert total_ranks == sorted(total_ranks, reverse=True)
    assert total_ranks[17] <= 2 * N_MATRICES
    assert len(set(total_ranks[17:])) == 1


def test_adalora_s_directions_are_pulled_apart_and_the_loss_shown_is_that_of_the_answers(make_job):
    penalties, losses = {}, {}
    for weight in (0.0, 5.0):
        job = make_job("peft", "chat", settings_of("adalora", orth_reg_weight=weight), epochs=5)
        adalora = peft_build.AdaLoraCallback(job.model)
        supervised.fit(job, callbacks=[adalora], penalty=adalora.orthogonality_penalty)
        adalora.config.orth_reg_weight = 1.0
        penalties[weight] = float(adalora.orthogonality_penalty().detach())
        losses[weight] = job.notes["monitors"][0].losses[0]
    assert penalties[5.0] < 0.8 * penalties[0.0]
    assert losses[5.0] == pytest.approx(losses[0.0], abs=1e-6)


def test_the_penalty_is_peft_s_own(make_job):
    job = make_job("peft", "chat", settings_of("adalora", orth_reg_weight=0.7))
    rows = torch.tensor([job.train[0].input_ids], device=job.model.device)
    job.model.eval()
    with torch.no_grad():
        loss = job.model.base_model.model(input_ids=rows, labels=rows).loss
        loss_with_penalty = job.model(input_ids=rows, labels=rows).loss
        penalty = peft_build.AdaLoraCallback(job.model).orthogonality_penalty()
    assert float(penalty) == pytest.approx(float(loss_with_penalty - loss), rel=1e-4)


def test_a_step_of_several_micro_batches_feels_the_penalty_once(make_job):
    trained = []
    for accumulation_steps in (1, 4):
        job = make_job(
            "peft",
            "chat",
            settings_of("adalora", orth_reg_weight=5),
            rows=8,
            gradient_accumulation_steps=accumulation_steps,
            learning_rate=1e-3,
        )
        adalora = peft_build.AdaLoraCallback(job.model)
        supervised.fit(job, callbacks=[adalora], penalty=adalora.orthogonality_penalty)
        values = [value.detach().flatten() for name, value in job.model.named_parameters() if "lora_" in name]
        trained.append(torch.cat(values))
    assert (trained[0] - trained[1]).abs().mean() < 1e-5


@pytest.mark.thorough
def test_the_best_state_of_an_earlier_step_comes_back_with_the_ranks_it_had(run_adalora, monkeypatch):
    first_state, save = {}, trainable.save

    def save_and_record(model, folder):
        trained = [(name, value) for name, value in model.named_parameters() if value.requires_grad]
        has_learned = any(value.any() for name, value in trained if "lora_E" in name)
        if has_learned and not first_state:  # at the start every strength is 0, and so every rank
            first_state.update((name, value.detach().clone()) for name, value in trained)
        save(model, folder)

    def restore_first(model, folder):
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name in first_state:
                    value.copy_(first_state[name])

    monkeypatch.setattr(trainable, "save", save_and_record)
    monkeypatch.setattr(trainable, "restore", restore_first)
    run = run_adalora({"init_r": 8, "target_r": 1}, epochs=8, eval_count=16)
    assert sum(ranks_of(run.model)) > 2 * N_MATRICES, "the state was to be one from before the pruning"
    base = load.base_model(load.Path(run.plan.model), "chat")
    assert load.fingerprint(METHOD.load(base, run.model)) == runs.report(run)["tuned"]["checksum"]


def test_a_training_of_a_single_step_is_none_adalora_could_cut_in(make_job):
    job = make_job("peft", "chat", settings_of("adalora"), rows=8)
    model = METHOD.train(job)
    assert len(job.notes["monitors"][0].losses) == 1
    assert model.peft_config["default"].total_step == 2


def test_what_p_tuning_leaves_are_the_virtual_tokens_alone(make_job, tmp_path):
    job = make_job("peft", "chat", settings_of("p_tuning"))
    model = METHOD.train(job)
    prompt_names = {name for name, _ in model.named_parameters() if "prompt_encoder" in name}
    assert prompt_names == {"prompt_encoder.default.embedding.weight"}
    METHOD.save(model, tmp_path, "someone/base")
    (vectors,) = load_file(tmp_path / "adapter_model.safetensors").values()
    assert vectors.shape == (20, 32)
    assert torch.equal(vectors, model.prompt_encoder["default"].embedding.weight.cpu())


@pytest.mark.parametrize("peft_type", peft.VIRTUAL_TOKEN_TYPES)
def test_a_decoder_sorts_a_text_the_same_alone_and_next_to_a_longer_one(peft_type, tiny_chat):
    settings = METHOD.resolve_settings({"type": peft_type})
    base = load.base_model(tiny_chat, "classify", TOY_LABELS)
    model = METHOD.attach(base, settings, "classify").eval()
    tokenizer = load.tokenizer(tiny_chat)
    texts = ("my lamp", "the invoice for the lamp is wrong again")
    rows = [{"input_ids": tokenizer(text)["input_ids"], "labels": [0]} for text in texts]
    collator = collate.build_collator("classify", tokenizer)
    with torch.no_grad():
        together = model(**on_device(collator(rows), model)).logits
        alone = torch.cat([model(**on_device(collator([row]), model)).logits for row in rows])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


@pytest.mark.thorough
def test_a_decoder_sorts_texts_with_virtual_tokens_and_comes_back_the_same(tiny_chat, make_plan):
    from studio.data.examples import encode_examples
    from studio.evaluate import held_out
    from studio.training import setup as run_setup

    plan = make_plan("peft", "classify", settings_of("prompt_tuning"), learning_rate=0.01, epochs=30)
    run = runs.create(plan.model_copy(update={"model": str(tiny_chat)}))
    worker.run(run.id)
    report = runs.report(run)
    assert report["after"]["loss"] < 0.8 * report["before"]["loss"]
    base = load.base_model(tiny_chat, "classify", report["labels"], plan.training.seed)
    tuned = METHOD.load(base, run.model)
    tokenizer = load.tokenizer(tiny_chat)
    rows = run_setup.prepare_data(run, plan).splits.validation
    encoded = encode_examples(rows, "classify", tokenizer, 64, report["labels"])
    scores = held_out.evaluate(tuned, encoded, tokenizer, "classify", 3).scores
    assert scores["loss"] == pytest.approx(report["after"]["loss"], abs=1e-4)


@pytest.mark.parametrize("peft_type", peft.VIRTUAL_TOKEN_TYPES)
@pytest.mark.filterwarnings("ignore:Position ids are not supported")
def test_virtual_tokens_are_there_while_an_answer_is_written(peft_type, make_job):
    job = make_job("peft", "chat", settings_of(peft_type))
    model = METHOD.train(job).eval()
    ids = torch.tensor([job.train[0].input_ids[:8]], device=model.device)
    with torch.no_grad():
        generated = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=6,
            do_sample=False,
            eos_token_id=None,
        )
        step_by_step = ids
        for _ in range(6):
            next_id = model(input_ids=step_by_step).logits[:, -1:].argmax(-1)
            step_by_step = torch.cat([step_by_step, next_id], dim=1)
    assert generated.tolist() == step_by_step.tolist()


def test_prompt_tuning_begins_as_the_text_that_was_written(make_job, tiny_chat):
    settings = settings_of(
        "prompt_tuning", prompt_tuning_init="TEXT", prompt_tuning_init_text="my lamp", num_virtual_tokens=6
    )
    job = make_job("peft", "chat", settings)
    ids = load.tokenizer(tiny_chat)("my lamp")["input_ids"]
    expected = job.model.get_base_model().get_input_embeddings().weight[(ids * 6)[:6]]
    torch.testing.assert_close(job.model.prompt_encoder["default"].embedding.weight, expected)
