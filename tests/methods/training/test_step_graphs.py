"""Micro batches that are recorded and replayed learn what they learn as they are.

No processor records CUDA graphs: a recorder stands for them that calls the passes again, in the same tensors.
"""

import dataclasses

import pytest
import torch

from studio import methods
from studio.data.examples import IGNORE_INDEX
from studio.methods.training import step_graphs, supervised
from studio.methods.training.step_graphs import LENGTH_MULTIPLE, StepGraphs

WORDS, WIDTH = 50, 16


class Reader(torch.nn.Module):
    """Scores each next word by the mean of those so far."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.embedding, self.head = torch.nn.Embedding(WORDS, WIDTH), torch.nn.Linear(WIDTH, WORDS)
        self.unused = torch.nn.Parameter(torch.ones(3))

    def passes(self, inputs, n_items):
        hidden = self.embedding(inputs["input_ids"]).cumsum(1)[:, inputs["logits_to_keep"]]
        labels = inputs["labels"][:, 1:]
        loss = torch.nn.functional.cross_entropy(
            self.head(hidden).flatten(0, 1), labels.flatten(), ignore_index=IGNORE_INDEX, reduction="sum"
        )
        (loss / n_items).backward()
        return (loss / n_items).detach()


def batch(length, seed, rows=3):
    generator = torch.Generator().manual_seed(seed)
    ids = torch.randint(0, WORDS, (rows, length), generator=generator)
    first = torch.full((rows, 1), IGNORE_INDEX)
    return {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "logits_to_keep": torch.arange(length // 2, length - 1),
        "labels": torch.cat([first, ids[:, length // 2 + 1 :]], 1),
    }


BATCHES = [batch(length, seed) for seed, length in enumerate((40, 61, 50, 64, 33, 20, 90, 17, 64, 40, 60))]


@pytest.fixture
def recorded():
    return []


@pytest.fixture
def graphs(recorded):
    """Makes graphs of a model; what they record is noted, and its loss lies in the same place every time."""

    def build(model):
        def record(passes):
            recorded.append(passes)
            place = torch.zeros(())

            def replay():
                place.copy_(passes())
                return place

            return replay

        return StepGraphs(list(model.parameters()), record)

    return build


def train(model, run, zero):
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)
    losses = []
    for number in range(0, len(BATCHES) - 1, 2):  # two micro batches a step
        pair = BATCHES[number : number + 2]
        n_items = sum((one["labels"][:, 1:] != IGNORE_INDEX).sum() for one in pair)
        losses.append([run(one, n_items, model.passes) for one in pair])
        optimizer.step()
        zero()
    return torch.tensor(losses)


def test_losses_and_weights_are_those_of_plain_steps(graphs, recorded):
    plain, model = Reader(), Reader()
    step = graphs(model)
    optimizer_zero = torch.optim.SGD(plain.parameters()).zero_grad
    expected = train(plain, lambda inputs, n_items, passes: passes(inputs, n_items), optimizer_zero)
    losses = train(model, step.run, step.zero_gradients)
    assert recorded
    torch.testing.assert_close(losses, expected)
    for value, other in zip(model.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(value, other)


def test_a_shape_is_recorded_when_it_comes_again_and_lengths_share_shapes(graphs, recorded):
    model = Reader()
    step = graphs(model)
    counts = []
    for length in (40, 40, 41, 63, 20, 100, 20):
        step.run(batch(length, 1), torch.tensor(9), model.passes)
        counts.append(len(recorded))
    # 40 to 64 tokens are padded to 64 and 19 to 31 scores to 32; 20 to 32 tokens come twice.
    assert LENGTH_MULTIPLE == 32
    assert counts == [0, 1, 1, 1, 1, 1, 2]


def test_what_no_padded_batch_has_is_not_recorded(graphs, recorded):
    model = Reader()
    step = graphs(model)
    for _ in range(3):
        step.run({**batch(40, 1), "row_index": (1, 2, 3)}, torch.tensor(9), model.passes)
    assert recorded == []


def test_no_more_shapes_are_recorded_than_are_kept(graphs, recorded, monkeypatch):
    monkeypatch.setattr(step_graphs, "MAX_SHAPES", 2)
    model = Reader()
    step = graphs(model)
    for length in (20, 50, 80, 110):
        for _ in range(3):
            step.run(batch(length, 1), torch.tensor(9), model.passes)
    assert len(recorded) == 2


def test_where_recording_fails_the_training_goes_on_and_says_why():
    model = Reader()

    def refuse(passes):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    step = StepGraphs(list(model.parameters()), refuse)
    losses = [step.run(batch(40, 1), torch.tensor(9), model.passes) for _ in range(3)]
    assert losses[0] == losses[1] == losses[2]
    assert step.refusal == "operation not permitted when stream is capturing"


def test_what_never_gets_a_gradient_stays_as_it_is(graphs):
    model = Reader()
    step = graphs(model)
    train(model, step.run, step.zero_gradients)
    assert model.unused.tolist() == [1, 1, 1]


@pytest.fixture
def replays(device, monkeypatch):
    """What was replayed: by the true recorder on a GPU, elsewhere by one that calls the passes again."""
    found, record_on_gpu = [], step_graphs._CudaRecorder

    def make_recorder():
        record = record_on_gpu() if device == "cuda" else lambda passes: passes

        def record_and_note(passes):
            replay = record(passes)
            return lambda: (found.append(passes), replay())[1]

        return record_and_note

    monkeypatch.setattr(step_graphs, "_CudaRecorder", make_recorder)
    return found


# Frozen layers read their inputs from a cache, by the indices of the rows; a prefix needs the padding's mask.
@pytest.mark.parametrize(
    ("method", "is_replayed"),
    [
        ("full", True),
        ("lora", True),
        pytest.param("adapter", True, marks=pytest.mark.exhaustive),
        pytest.param("qlora", True, marks=pytest.mark.exhaustive),
        ("frozen", False),
        pytest.param("prefix", False, marks=pytest.mark.exhaustive),
    ],
)
def test_a_training_that_replays_learns_what_any_other_does(
    method, is_replayed, make_job, replays, monkeypatch
):
    def train(may_replay):
        monkeypatch.setattr(supervised, "_may_replay", lambda *_: may_replay)
        job = dataclasses.replace(make_job(method, "chat", epochs=4, batch_size=4), packs_texts=False)
        methods.get(method).train(job)
        learned = [value.detach() for value in job.model.parameters() if value.requires_grad]
        return job.notes["monitors"][-1].losses, learned

    losses, weights = train(may_replay=False)
    assert replays == []
    replayed_losses, replayed_weights = train(may_replay=True)
    assert bool(replays) == is_replayed
    assert replayed_losses == pytest.approx(losses, rel=1e-4)
    for value, other in zip(replayed_weights, weights, strict=True):
        torch.testing.assert_close(value, other, rtol=1e-2, atol=1e-4)
