"""What every method promises, checked for each one listed: it trains what it says, keeps what it says, and comes back the same."""

import copy

import pytest
import torch

from studio import methods, presets
from studio.data import prepare
from studio.data.read import read
from studio.errors import BadPlan, NotPossible
from studio.methods import METHODS
from studio.methods.base import Job
from studio.models import load, shape

# Further settings to count with, beside the defaults; a method not named here is counted with its defaults.
SETTINGS = {
    "lora": (
        {"rank": 1, "targets": "all"},
        {"rank": 8, "targets": "attention"},
        {"rank": 64, "targets": "feed_forward", "alpha": 16, "dropout": 0.0},
    ),
}
CHOICES = [(method.name, chosen) for method in METHODS for chosen in ({}, *SETTINGS.get(method.name, ()))]
LABELS = 6
PROBLEMS = [
    ({"rank": 0}, "rank: expected 1 to 256, but got 0"),
    ({"rank": "16"}, "rank: expected a whole number, but got '16'"),
    ({"rank": 2.5}, "rank: expected a whole number, but got 2.5"),
    ({"rank": True}, "rank: expected a whole number, but got True"),
    ({"dropout": 0.9}, "dropout: expected 0 to 0.5, but got 0.9"),
    ({"dropout": None}, "dropout: expected a number, but got None"),
    ({"targets": "q_proj"}, "targets: expected one of all, attention, feed_forward, but got 'q_proj'"),
    ({"targets": ["all"]}, "targets: expected one of all, attention, feed_forward, but got ['all']"),
    ({"r": 8}, "r: is not a setting of lora (it has: rank, alpha, dropout, targets)"),
]


def count(model, trainable=False):
    return sum(value.numel() for value in model.parameters() if value.requires_grad or not trainable)


def untouched(config, task):
    """The model of a config on the meta device: its numbers have a shape and no values."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

    kind = {name: value for name, value in config.items() if name != "model_type"}
    sort = task == "classify"
    full = AutoConfig.for_model(config["model_type"], **kind, **({"num_labels": LABELS} if sort else {}))
    with torch.device("meta"):
        return (AutoModelForSequenceClassification if sort else AutoModelForCausalLM).from_config(full)


@pytest.fixture
def job(way, bases, toys, make_plan, tmp_path):
    """A training of three steps, ready to go, with its method attached."""
    name, task = way
    plan = make_plan(name, task, epochs=1, weight_decay=0.01, warmup_share=0.0)
    folder, method = bases(task), methods.get(name)
    roles = ("text", "label") if task == "classify" else ("prompt", "response")
    examples, _ = prepare.examples(read(toys[task]), task, dict(zip(roles, roles, strict=True)))
    tokenizer, labels = load.tokenizer(folder), prepare.labels_of(examples) if task == "classify" else []
    rows = prepare.encode(examples[:: len(examples) // 24][:24], task, tokenizer, 64, labels)
    model = method.attach(load.base(folder, task, labels, 7), method.settle(plan.method.settings), task)
    return Job(model, tokenizer, plan, 1e-2, rows, tmp_path / "checkpoints")


def scores(model, job):
    """What a model says to one text of the toy data."""
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([job.train[0].input_ids])).logits


def fresh(job, bases):
    """The base as the job found it."""
    labels = ["a", "b", "c"] if job.plan.task == "classify" else []
    return load.base(bases(job.plan.task), job.plan.task, labels, 7)


@pytest.mark.parametrize("name", list(presets.models()))
@pytest.mark.parametrize(
    ("method", "chosen"), CHOICES, ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values()))
)
def test_a_method_trains_exactly_the_numbers_its_footprint_counts(name, method, chosen):
    card, method = presets.models()[name], methods.get(method)
    settings = method.settle(chosen)
    for task in [task for task in method.tasks if task in card.tasks]:
        # Blocks are equal, and test_shape counts every model whole: three blocks do, but for the embedded models.
        whole = card.wheel and not chosen
        config = card.config if whole else {**card.config, "num_hidden_layers": 3}
        expected = method.footprint(shape.of(config), settings, LABELS if task == "classify" else 0)
        attached = method.attach(untouched(config, task), settings, task)
        assert (count(attached, trainable=True), count(attached)) == (expected.trainable, expected.total), task


@pytest.mark.parametrize(
    ("method", "chosen"), CHOICES, ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values()))
)
def test_the_count_holds_for_real_models_in_memory(method, chosen, bases):
    method = methods.get(method)
    settings = method.settle(chosen)
    for task in method.tasks:
        labels = ("a", "b", "c") if task == "classify" else ()
        expected = method.footprint(shape.read(bases(task)), settings, len(labels))
        attached = method.attach(load.base(bases(task), task, labels), settings, task)
        assert (count(attached, trainable=True), count(attached)) == (expected.trainable, expected.total), task


def test_lora_on_one_small_matrix_counted_by_hand():
    tiny = {
        "model_type": "llama",
        "hidden_size": 8,
        "intermediate_size": 16,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "vocab_size": 10,
    }
    found = methods.get("lora").footprint(shape.of(tiny), {"rank": 2, "targets": "attention"}, 0)
    # query 8->8, key 8->4, value 8->4, output 8->8, in 2 layers, at rank 2
    assert found.trainable == 2 * 2 * (16 + 12 + 12 + 16) == 224


def test_what_is_frozen_stays_and_everything_else_learns(job):
    before = {name: value.detach().clone() for name, value in job.model.named_parameters()}
    trained = {name for name, value in job.model.named_parameters() if value.requires_grad}
    assert trained
    methods.get(job.plan.method.name).train(job)
    changed = {name for name, value in job.model.named_parameters() if not torch.equal(value, before[name])}
    assert changed == trained


def test_an_attached_model_answers_as_before_training(job, bases):
    assert torch.equal(scores(job.model, job), scores(fresh(job, bases), job))


def test_the_loss_falls_on_examples_it_has_not_seen(way, finished):
    from studio import runs

    report = runs.report(finished(*way))
    assert report["after"]["loss"] < 0.6 * report["before"]["loss"]


def test_what_was_saved_comes_back_the_same_on_a_fresh_base(job, bases, tmp_path):
    method = methods.get(job.plan.method.name)
    method.train(job)
    learned, base = scores(job.model, job), fresh(job, bases)
    before = scores(base, job)
    method.save(job.model, tmp_path / "model", "someone/base")
    # The tuned side gets modules of its own around the same numbers, as in the playground.
    shared = {id(value): value for value in (*base.parameters(), *base.buffers())}
    tuned = method.load(copy.deepcopy(base, shared), tmp_path / "model")
    torch.testing.assert_close(scores(tuned, job), learned, rtol=0, atol=1e-6)
    assert load.fingerprint(tuned) == load.fingerprint(job.model)
    assert not torch.allclose(learned, before)
    assert torch.equal(scores(base, job), before)


def test_merging_gives_the_same_answers_in_an_ordinary_model(job, bases, tmp_path):
    method = methods.get(job.plan.method.name)
    method.train(job)
    learned = scores(job.model, job)
    method.save(job.model, tmp_path / "model", "someone/base")
    merged = method.merge(method.load(fresh(job, bases), tmp_path / "model"))
    assert type(merged) is type(fresh(job, bases))
    torch.testing.assert_close(scores(merged, job), learned, rtol=0, atol=1e-4)


def test_only_files_that_cannot_hold_code_are_saved(job, tmp_path):
    methods.get(job.plan.method.name).save(job.model, tmp_path / "model", "someone/base")
    assert {path.suffix for path in (tmp_path / "model").rglob("*") if path.is_file()} <= {".safetensors", ".json", ".md", ".jinja"}


def test_an_adapter_says_which_base_it_belongs_to(finished, tiny_chat):
    import json

    config = json.loads((finished("lora").model / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny_chat)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_methods_own_defaults_are_right(method):
    settled = method.settle({})
    assert method.problems(settled) == []
    assert set(settled) == {knob.name for knob in method.knobs}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_knob_is_explained_in_both_languages(method):
    for knob in method.knobs:
        for words in (knob.label, knob.help, *(said for _, said in knob.choices)):
            assert words.en
            assert words.zh


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("name", list(presets.models()))
def test_the_default_learning_rate_is_one_a_plan_accepts(method, name):
    assert all(0 < method.learning_rate(shape.of(presets.models()[name].config), task) <= 0.01 for task in method.tasks)


@pytest.mark.parametrize(("chosen", "said"), PROBLEMS, ids=[said.split(",")[0] for _, said in PROBLEMS])
def test_a_wrong_setting_is_told_with_its_key_and_what_is_expected(chosen, said):
    assert methods.get("lora").problems(chosen) == [said]


def test_all_wrong_settings_are_told_at_once():
    assert len(methods.get("lora").problems({"rank": 0, "alpha": "x", "colour": 1})) == 3


def test_a_setting_takes_the_type_of_its_knob():
    settled = methods.get("lora").settle({"rank": 8.0, "alpha": 16})
    assert (settled["rank"], type(settled["rank"])) == (8, int)
    assert (settled["alpha"], type(settled["alpha"])) == (16.0, float)


def test_a_method_that_is_not_built_yet_says_which_are():
    with pytest.raises(NotPossible, match=r"“teleport” is not built yet.*lora"):
        methods.get("teleport")


@pytest.mark.parametrize(("size", "accumulate"), [(8, 1), (8, 2), (8, 8), (8, 3), (2, 4)])
def test_a_step_sees_as_many_examples_as_the_plan_says_in_whatever_portions(size, accumulate, make_plan, tiny_chat, tmp_path):
    from transformers import TrainerCallback

    try:
        plan = make_plan("lora", "chat", epochs=1, batch_size=size, accumulate=accumulate)
    except (BadPlan, ValueError):
        return  # refused in the plan is as good
    steps = []

    class Count(TrainerCallback):
        def on_train_begin(self, args, state, control, **_):
            steps.append(state.max_steps)
            control.should_training_stop = True

    model = methods.get("lora").attach(load.base(tiny_chat, "chat"), methods.get("lora").settle({}), "chat")
    tokenizer = load.tokenizer(tiny_chat)
    rows = prepare.encode([{"prompt": f"a {n}", "response": "b"} for n in range(24)], "chat", tokenizer, 64, ())
    methods.get("lora").train(Job(model, tokenizer, plan, 1e-3, rows, tmp_path, [Count()]))
    assert steps == [-(-24 // size)]


def test_portions_of_a_step_add_up_to_the_whole_step(make_plan, tiny_chat, tmp_path):
    tokenizer = load.tokenizer(tiny_chat)
    rows = prepare.encode([{"prompt": "a", "response": "b " * (1 + n)} for n in range(8)], "chat", tokenizer, 64, ())
    found = []
    for portions in (1, 4):
        plan = make_plan("full", "chat", epochs=1, batch_size=8, accumulate=portions, warmup_share=0.0)
        model = methods.get("full").attach(load.base(tiny_chat, "chat"), {}, "chat")
        methods.get("full").train(Job(model, tokenizer, plan, 1e-3, rows, tmp_path))
        found.append(torch.cat([value.detach().flatten() for value in model.parameters()]))
    assert (found[0] - found[1]).abs().mean() < 1e-5
