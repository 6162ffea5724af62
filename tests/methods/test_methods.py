"""What every method promises: it trains what it says, saves what it says, and comes back the same."""

import json
import math
import re

import pytest
import torch
from method_helpers import changed_names, load_base, load_twin, logits
from model_families import save_family
from ways import QUESTIONS_ALONE

from studio import methods, presets, runs
from studio.data import collate
from studio.errors import NotPossible
from studio.methods import METHODS, compatibility, spec
from studio.models import load, shape

# Loss after ÷ loss before on the toy data, at most. A prefix steers what a model has learned, and the toy
# models have learned little; UPFT trains on samples of the model itself, which hold nothing that is new to
# it.
MAX_LOSS_RATIOS = {"prefix": 0.75, "upft": 0.985}
# What PEFT adds to the name of a matrix where something is learned next to it.
PEFT_NAME_PARTS = re.compile(r"^base_model\.model\.|\.lora_[AB]\.default")
by_name = pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
LORA_TARGETS = ["all", "attention", "feed_forward"]
PROBLEMS = [
    ("rank", 0, spec.OUT_OF_RANGE.format(low=1, high=256, got="0")),
    ("rank", "16", spec.EXPECTED_INT.format(got="'16'")),
    ("rank", 2.5, spec.EXPECTED_INT.format(got="2.5")),
    ("rank", True, spec.EXPECTED_INT.format(got="True")),
    ("dropout", 0.9, spec.OUT_OF_RANGE.format(low=0, high=0.5, got="0.9")),
    ("dropout", None, spec.EXPECTED_NUMBER.format(got="None")),
    ("targets", "q_proj", spec.EXPECTED_CHOICE.format(names=LORA_TARGETS, got="'q_proj'")),
    ("targets", ["all"], spec.EXPECTED_CHOICE.format(names=LORA_TARGETS, got="['all']")),
    (
        "bias",
        "all",
        spec.UNKNOWN_SETTING.format(
            method="lora", mine=["rank", "alpha", "dropout", "targets", "rslora", "dora", "loraplus_lr_ratio"]
        ),
    ),
]


@pytest.fixture
def job(way, make_job):
    """A training of three steps, ready to go, with its method attached."""
    return make_job(*way, weight_decay=0.01)


@pytest.fixture
def trained(way, trained_job):
    """A training of three steps, done and saved."""
    return trained_job(*way, weight_decay=0.01)


@pytest.mark.thorough
def test_what_is_frozen_stays_and_everything_else_learns(trained, bases):
    before, trainable = trained.before, trained.trainable
    assert trainable
    if trained.model is not trained.job.model:  # what was learned next to a matrix has been added into it
        before = dict(load_base(trained.job, bases).named_parameters())
        trainable = {PEFT_NAME_PARTS.sub("", name) for name in trainable}
    after = {name for name, _ in trained.model.named_parameters()}
    # Of a prompt learned through a network the vectors stay, and the network goes.
    assert changed_names(trained.model, before) == trainable & after
    assert all("prompt_encoder" in name for name in before.keys() - after)


def test_an_attached_model_answers_as_before_training(job, bases):
    if collate.get_prompt_config(job.model):
        pytest.skip("an untrained prefix already moves the answers: zero vectors cannot be learned from")
    assert torch.equal(logits(job.model, job), logits(load_base(job, bases), job))


def test_the_loss_falls_on_examples_it_has_not_seen(way, finished):
    method, task = way
    report = runs.report(finished(method, task))
    if way == QUESTIONS_ALONE:  # no loss there: the score of its answers rises
        assert report["method"]["rl"]["change"]["low"] > 0
        return
    assert report["after"]["loss"] < MAX_LOSS_RATIOS.get(method, 0.6) * report["before"]["loss"]
    if task == "classify":  # better than knowing nothing of three classes
        assert report["after"]["loss"] < math.log(3)


def test_what_was_saved_comes_back_the_same_on_a_fresh_base(trained, bases):
    job = trained.job
    base = load_base(job, bases)
    before = logits(base, job)
    tuned = load_twin(base, methods.get(job.plan.method.name), trained.folder)
    torch.testing.assert_close(logits(tuned, job), logits(trained.model, job), rtol=0, atol=1e-6)
    assert load.fingerprint(tuned) == load.fingerprint(trained.model)
    assert not torch.allclose(logits(trained.model, job), before)
    assert torch.equal(logits(base, job), before)


def test_merging_gives_the_same_answers_in_an_ordinary_model(trained, bases):
    job = trained.job
    method = methods.get(job.plan.method.name)
    if "merged" not in method.export_formats(job.plan.method.settings):
        incompatibility = compatibility.find_export_incompatibility(method.name, "merged")
        pytest.skip(incompatibility.reason.render())
    base = load_base(job, bases)
    base_class = type(base)
    merged = method.merge(base, trained.folder)
    assert type(merged) is base_class
    torch.testing.assert_close(logits(merged, job), logits(trained.model, job), rtol=0, atol=1e-4)


# Settings off their defaults that change what is built into the model.
OTHER_SETTINGS = [
    ("lora", {"rslora": True, "dropout": 0.1}),
    ("lora", {"dora": True, "targets": "all"}),
    ("lora", {"dora": True, "rslora": True, "targets": "feed_forward"}),
    ("adapter", {"placement": "pfeiffer"}),
    ("prefix", {"projection": False}),
    ("frozen", {"blocks": 1}),
]


@pytest.mark.parametrize("task", ["chat", "classify"])
@pytest.mark.parametrize(
    ("name", "settings"),
    OTHER_SETTINGS,
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_other_settings_are_learned_come_back_the_same_and_merge(
    name, settings, task, make_job, bases, tmp_path
):
    method, job = methods.get(name), make_job(name, task, settings)
    base, folder = load_base(job, bases), tmp_path / "model"
    before = logits(base, job)
    model = method.train(job)
    after = logits(model, job)
    assert not torch.allclose(after, before)
    method.save(model, folder, "someone/base")
    torch.testing.assert_close(logits(method.load(base, folder), job), after, rtol=0, atol=1e-6)
    if "merged" in method.export_formats(settings):
        merged = method.merge(load_base(job, bases), folder)
        torch.testing.assert_close(logits(merged, job), after, rtol=0, atol=1e-4)


def test_only_files_that_cannot_hold_code_are_saved(trained):
    suffixes = {path.suffix for path in trained.folder.rglob("*") if path.is_file()}
    assert suffixes <= {".safetensors", ".json", ".md", ".jinja"}


def test_an_adapter_says_which_base_it_belongs_to(finished, tiny_chat):
    config = json.loads((finished("lora").model / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny_chat)


@by_name
def test_a_methods_own_defaults_are_right(method):
    resolved = method.resolve_settings({})
    assert method.find_problems(resolved) == []
    assert set(resolved) == {setting.name for setting in method.settings if setting.applies(resolved)}


@by_name
def test_every_setting_is_explained_in_both_languages(method):
    for setting in method.settings:
        labels = [choice_label for _, choice_label in setting.choices]
        for message in (setting.label, setting.help, *labels):
            assert message.render()
            assert message.render("zh")


@by_name
def test_the_default_learning_rate_is_one_a_plan_accepts(method):
    settings = method.resolve_settings({})
    refused = {}
    for name, card in presets.models().items():
        for task in method.tasks:
            rate = method.learning_rate(shape.from_config(card.config), settings, task)
            if not 0 < rate <= 0.01:
                refused[name, task] = rate
    assert refused == {}


@pytest.mark.parametrize(("key", "value", "message"), PROBLEMS, ids=lambda value: repr(value)[:20])
def test_a_wrong_setting_is_told_with_its_key_and_what_is_expected(key, value, message):
    (problem,) = methods.get("lora").find_problems({key: value})
    assert (problem.key, problem.message.render()) == (key, message.render())


def test_all_wrong_settings_are_told_at_once():
    assert len(methods.get("lora").find_problems({"rank": 0, "alpha": "x", "colour": 1})) == 3


def test_a_value_takes_the_type_of_its_setting():
    resolved = methods.get("lora").resolve_settings({"rank": 8.0, "alpha": 16})
    assert (resolved["rank"], type(resolved["rank"])) == (8, int)
    assert (resolved["alpha"], type(resolved["alpha"])) == (16.0, float)


def test_a_method_that_is_not_built_yet_says_which_are():
    with pytest.raises(NotPossible, match=r"“teleport” is not built yet.*lora"):
        methods.get("teleport")


@pytest.mark.parametrize(
    "name",
    [method.name for method in METHODS if method.supports_gradient_checkpointing and "chat" in method.tasks],
)
def test_computing_twice_to_save_memory_changes_no_loss(name, make_job):
    settings = {
        "lora": {"dropout": 0.0},
        "qlora": {"dropout": 0.0},
        "rlhf": {"steps": 1, "max_completion_length": 4},
        "qat": {"compare": False},
    }
    losses, passes = {}, {}
    for checkpointing in (False, True):
        job = make_job(
            name,
            "chat",
            settings.get(name),
            rows=8,
            batch_size=4,
            gradient_checkpointing=checkpointing,
        )
        blocks = [module for module in job.model.modules() if type(module).__name__ == "LlamaDecoderLayer"]
        training_passes = []

        def record(*_, model=job.model, training_passes=training_passes):
            training_passes.append(model.training)

        blocks[-1].mlp.register_forward_pre_hook(record)
        methods.get(name).train(job)
        losses[checkpointing] = job.notes["monitors"][0].losses
        passes[checkpointing] = sum(training_passes)
    assert losses[True] == pytest.approx(losses[False], abs=1e-5)
    assert passes[True] > passes[False] > 0, "what was not kept is computed once more in the backward pass"


@pytest.mark.parametrize(
    ("family", "said"),
    [
        ("gemma2", "a model whose attention transformers computes step by step (“gemma2”)"),
        ("mamba", "a model whose state runs on along a row (“mamba”)"),
        ("falcon-alibi", "a model that does not keep texts in one row apart (“falcon”)"),
    ],
)
def test_a_model_whose_texts_stay_padded_says_why(family, said, make_plan, build_once):
    folder = build_once(f"family-{family}", lambda folder: save_family(family, folder))
    plan = make_plan("lora", "chat", padding_free=True).model_copy(update={"model": str(folder)})
    (problem,) = methods.find_plan_problems(plan.model_dump())
    assert problem.key == "training.padding_free"
    assert problem.message.render() == f"does not go with {said}; leave it out"
