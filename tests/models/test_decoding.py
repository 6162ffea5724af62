"""Answers of a batch are those of transformers, without passes for rows that have ended or are read."""

import pytest
import torch

from studio.evaluate import answers
from studio.methods import METHODS
from studio.models import load
from studio.models.decoding import decode

WRITING_METHODS = [(method.name, "chat") for method in METHODS if "chat" in method.tasks]
# Of different lengths, and one of them twice.
PROMPTS = [[2, 9, 14, 3], [2, 5, 3], [2, 9, 14, 3], [2, 30, 31, 32, 33, 34, 3]]
N_TOKENS = 12


@pytest.fixture
def chat_model(tiny_chat):
    """The tiny model, and its tokenizer."""
    return load.base_model(tiny_chat, "chat"), load.tokenizer(tiny_chat)


@pytest.fixture
def passes(chat_model):
    """The rows of each pass of the tiny model, in their order."""
    n_rows = []
    chat_model[0].register_forward_pre_hook(
        lambda module, args, kwargs: n_rows.append(len(kwargs["input_ids"])), with_kwargs=True
    )
    return n_rows


def write_as_transformers(model, tokenizer, prompts):
    """What `generate` of transformers writes by itself."""
    input_ids, mask = answers.pad_left(prompts, tokenizer.pad_token_id, model.device)
    stop_ids = answers.stop_token_ids(model, tokenizer)
    written = model.eval().generate(
        input_ids=input_ids,
        attention_mask=mask,
        max_new_tokens=N_TOKENS,
        pad_token_id=tokenizer.pad_token_id,
        eos_token_id=sorted(stop_ids),
        **answers.GREEDY,
    )
    completions = written[:, input_ids.shape[1] :].tolist()
    return [ids[: min([*map(ids.index, stop_ids.intersection(ids)), N_TOKENS]) + 1] for ids in completions]


@pytest.mark.parametrize("way", WRITING_METHODS, ids=[name for name, _ in WRITING_METHODS])
def test_greedy_answers_are_those_of_transformers_for_every_method(way, make_job):
    job = make_job(*way)
    torch.manual_seed(1)
    for parameter in job.model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.05 * torch.randn_like(parameter)
    expected = write_as_transformers(job.model, job.tokenizer, PROMPTS)
    assert answers.generate(job.model, job.tokenizer, PROMPTS, N_TOKENS) == expected
    assert len({tuple(ids) for ids in expected}) > 1


def test_a_row_that_has_ended_leaves_the_batch(chat_model, passes, monkeypatch):
    model, tokenizer = chat_model
    written = write_as_transformers(model, tokenizer, PROMPTS)
    stop_id = written[1][3]
    lengths = [ids.index(stop_id) + 1 if stop_id in ids else N_TOKENS for ids in written]
    assert len(set(lengths)) > 1
    monkeypatch.setattr(answers, "stop_token_ids", lambda *_: frozenset({stop_id}))
    passes.clear()
    completions = answers.generate(model, tokenizer, PROMPTS, N_TOKENS)
    assert [len(ids) for ids in completions] == lengths
    assert passes[1:] == [sum(length > n for length in lengths) for n in range(1, max(lengths))]


def test_equal_prompts_are_read_once(chat_model, passes):
    model, tokenizer = chat_model
    answers.generate(model, tokenizer, [PROMPTS[0]] * 5, 3, temperature=1.0)
    assert passes[0] == 1
    assert passes[1] == 5


def test_samples_come_from_the_distribution_of_the_model(chat_model):
    model, tokenizer = chat_model
    torch.manual_seed(0)
    n_samples = 4000
    samples = answers.generate(model, tokenizer, [PROMPTS[0]] * n_samples, 1, temperature=1.0, top_k=0)
    with torch.no_grad():
        expected = model(torch.tensor([PROMPTS[0]])).logits[0, -1].softmax(-1)
    counts = torch.bincount(torch.tensor(samples).flatten(), minlength=len(expected))
    deviation = (expected * (1 - expected) / n_samples).sqrt()
    assert ((counts / n_samples - expected).abs() <= 5 * deviation + 1e-3).all()


def test_a_seed_gives_the_same_samples(chat_model):
    model, tokenizer = chat_model

    def sample(seed):
        torch.manual_seed(seed)
        return answers.generate(model, tokenizer, PROMPTS, N_TOKENS, temperature=1.5)

    assert sample(3) == sample(3)
    assert sample(3) != sample(4)


def test_without_a_cache_the_whole_text_is_read_each_time(chat_model):
    model, tokenizer = chat_model
    expected = write_as_transformers(model, tokenizer, PROMPTS[1:2])
    written = model.generate(
        input_ids=torch.tensor(PROMPTS[1:2]),
        max_new_tokens=N_TOKENS,
        pad_token_id=tokenizer.pad_token_id,
        use_cache=False,
        custom_generate=decode,
        **answers.GREEDY,
    )
    assert written[0, 3 : 3 + len(expected[0])].tolist() == expected[0]
