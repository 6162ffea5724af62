"""What every method promises, checked for each one listed.

It trains what it says, keeps what it says, and comes back the same.
"""

import copy
import dataclasses
import math
import re
from types import SimpleNamespace

import pytest
import torch
from silent_monitor import SilentMonitor

from studio import methods, presets
from studio.data import collate
from studio.errors import NotPossible
from studio.methods import METHODS, compatibility, peft_form
from studio.methods.training import supervised
from studio.models import load, shape

# Further settings to count with, beside the defaults: at least two where a method has any that change what is
# counted.
SETTINGS = {
    "lora": (
        {"rank": 1, "targets": "all"},
        {"rank": 8, "targets": "attention"},
        {"rank": 64, "targets": "feed_forward", "alpha": 16, "dropout": 0.0, "rslora": True},
        {"rank": 4, "targets": "all", "dora": True},
    ),
    "frozen": ({"blocks": 1}, {"blocks": 3}),  # of three: all of them, and the embedding alone stays
    "prefix": ({"virtual_tokens": 5}, {"virtual_tokens": 100, "projection": False}),
    "rlhf": ({"rank": 4}, {"algorithm": "dpo", "rank": 32}),
    "adapter": ({"size": 1}, {"size": 256, "placement": "pfeiffer"}),
    "qlora": ({"rank": 64, "targets": "attention"}, {"rank": 4, "dora": True}),
    "upft": ({"rank": 1}, {"rank": 64, "template": False}),
    "qat": ({"bits": "8"}, {"bits": "2", "compare": False}),
    "peft": (
        *({"type": kind} for kind in peft_form.load_cards().types if kind != "dora"),
        {"type": "lokr", "lokr_decompose_both": True, "lokr_r": 4},
        {"type": "lokr", "lokr_decompose_factor": 7, "lokr_r": 300},
        {"type": "oft", "oft_oft_block_size": 48},
        {"type": "oft", "oft_r": 20, "oft_oft_block_size": 0},
        {"type": "oft", "oft_block_share": True},
        {
            "type": "p_tuning",
            "p_tuning_encoder_reparameterization_type": "LSTM",
            "p_tuning_encoder_num_layers": 3,
        },
    ),
}
CHOICES = [(method.name, chosen) for method in METHODS for chosen in ({}, *SETTINGS.get(method.name, ()))]
LABELS = 6
# Loss after ÷ loss before on the toy data, at most. A prefix steers what a model has learned, and the toy
# models have learned little; UPFT trains on samples of the model itself, which hold nothing that is new to
# it.
LEAST_FALL = {"prefix": 0.75, "upft": 0.985}
# What PEFT adds to the name of a matrix where something is learned beside it.
BESIDE = re.compile(r"^base_model\.model\.|\.lora_[AB]\.default")
PROBLEMS = [
    ({"rank": 0}, "rank: expected 1 to 256, but got 0"),
    ({"rank": "16"}, "rank: expected a whole number, but got '16'"),
    ({"rank": 2.5}, "rank: expected a whole number, but got 2.5"),
    ({"rank": True}, "rank: expected a whole number, but got True"),
    ({"dropout": 0.9}, "dropout: expected 0 to 0.5, but got 0.9"),
    ({"dropout": None}, "dropout: expected a number, but got None"),
    ({"targets": "q_proj"}, "targets: expected one of all, attention, feed_forward, but got 'q_proj'"),
    ({"targets": ["all"]}, "targets: expected one of all, attention, feed_forward, but got ['all']"),
    ({"bias": "all"}, "bias: is not a setting of lora (it has: rank, alpha, dropout, targets, rslora, dora)"),
]


def count(model, trainable=False):
    return load.count_parameters(model, trainable)


def untouched(config, task):
    """The model of a config on the meta device: its numbers have a shape and no values."""
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification

    kind = {name: value for name, value in config.items() if name != "model_type"}
    sort = task == "classify"
    full = AutoConfig.for_model(config["model_type"], **kind, **({"num_labels": LABELS} if sort else {}))
    with torch.device("meta"):
        return (AutoModelForSequenceClassification if sort else AutoModelForCausalLM).from_config(full)


@pytest.fixture
def job(way, make_job):
    """A training of three steps, ready to go, with its method attached."""
    return make_job(*way, weight_decay=0.01)


def scores(model, job):
    """What a model says to one text of the toy data."""
    with torch.no_grad():
        return model.eval()(input_ids=torch.tensor([job.train[0].input_ids])).logits


def fresh(job, bases):
    """The base as the job found it."""
    labels = ["a", "b", "c"] if job.plan.task == "classify" else []
    in_4_bits = methods.get(job.plan.method.name).weights == "nf4"
    return load.base_model(bases(job.plan.task), job.plan.task, labels, job.plan.training.seed, in_4_bits)


# The models that come with the studio are counted in the fast part, all others in the thorough one.
MODELS = [
    pytest.param(name, marks=() if card.wheel else pytest.mark.thorough)
    for name, card in presets.models().items()
]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    ("method", "chosen"),
    CHOICES,
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_a_method_trains_exactly_the_numbers_its_footprint_counts(name, method, chosen):
    card, method = presets.models()[name], methods.get(method)
    settings = method.resolve_settings(chosen)
    for task in [task for task in method.tasks if task in card.tasks]:
        # Blocks are equal, and test_shape counts every model whole: three blocks do, but for the embedded
        # models.
        whole = card.wheel and not chosen
        config = card.config if whole else {**card.config, "num_hidden_layers": 3}
        expected = method.count_parameters(
            shape.from_config(config), settings, LABELS if task == "classify" else 0
        )
        attached = method.attach(untouched(config, task), settings, task)
        assert (count(attached, trainable=True), count(attached)) == (expected.trainable, expected.total), (
            task
        )


@pytest.mark.parametrize(
    ("method", "chosen"),
    CHOICES,
    ids=lambda value: value if isinstance(value, str) else "-".join(map(str, value.values())),
)
def test_the_count_holds_for_real_models_in_memory(method, chosen, bases):
    method = methods.get(method)
    settings = method.resolve_settings(chosen)
    for task in method.tasks:
        labels = ("a", "b", "c") if task == "classify" else ()
        expected = method.count_parameters(shape.from_folder(bases(task)), settings, len(labels))
        attached = method.attach(load.base_model(bases(task), task, labels), settings, task)
        assert (count(attached, trainable=True), count(attached)) == (expected.trainable, expected.total), (
            task
        )


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
    found = methods.get("lora").count_parameters(
        shape.from_config(tiny), {"rank": 2, "targets": "attention", "dora": False}, 0
    )
    # query 8->8, key 8->4, value 8->4, output 8->8, in 2 layers, at rank 2
    assert found.trainable == 2 * 2 * (16 + 12 + 12 + 16) == 224


@pytest.fixture
def learned(way, taught):
    """A training of three steps, done and saved."""
    return taught(*way, weight_decay=0.01)


def test_what_is_frozen_stays_and_everything_else_learns(learned, bases):
    job, before, trained, made, _ = learned
    assert trained
    if made is not job.model:  # what was learned beside a matrix has been added into it
        before = dict(fresh(job, bases).named_parameters())
        trained = {BESIDE.sub("", name) for name in trained}
    after = dict(made.named_parameters())
    changed = {name for name, value in after.items() if not torch.equal(value, before[name])}
    # of a prompt learned through a network the vectors stay, and the network goes
    assert changed == {name for name in trained if name in after}
    assert all("prompt_encoder" in name for name in before if name not in after)


def test_an_attached_model_answers_as_before_training(job, bases):
    if collate.get_prompt_config(job.model):
        pytest.skip(
            "an untrained prefix already moves the answers: vectors that are nothing cannot be learned from"
        )
    assert torch.equal(scores(job.model, job), scores(fresh(job, bases), job))


def test_the_loss_falls_on_examples_it_has_not_seen(way, finished):
    from studio import runs

    report = runs.report(finished(*way))
    assert report["after"]["loss"] < LEAST_FALL.get(way[0], 0.6) * report["before"]["loss"]
    if way[1] == "classify":  # better than knowing nothing of three classes
        assert report["after"]["loss"] < math.log(3)


def test_what_was_saved_comes_back_the_same_on_a_fresh_base(learned, bases):
    job, _, _, made, folder = learned
    method, base = methods.get(job.plan.method.name), fresh(job, bases)
    before = scores(base, job)
    # The tuned side gets modules of its own around the same numbers, as in the playground.
    shared = {id(value): value for value in (*base.parameters(), *base.buffers())}
    tuned = method.load(copy.deepcopy(base, shared), folder)
    torch.testing.assert_close(scores(tuned, job), scores(made, job), rtol=0, atol=1e-6)
    assert load.fingerprint(tuned) == load.fingerprint(made)
    assert not torch.allclose(scores(made, job), before)
    assert torch.equal(scores(base, job), before)


def test_merging_gives_the_same_answers_in_an_ordinary_model(learned, bases):
    job, _, _, made, folder = learned
    method = methods.get(job.plan.method.name)
    if "merged" not in method.export_formats(job.plan.method.settings):
        pytest.skip(compatibility.find_export_incompatibility(method.name, "merged").reason.render())
    merged = method.merge(fresh(job, bases), folder)
    assert type(merged) is type(fresh(job, bases))
    torch.testing.assert_close(scores(merged, job), scores(made, job), rtol=0, atol=1e-4)


# Settings off their defaults that change what is built into the model.
OTHER = [
    ("lora", {"rslora": True, "dropout": 0.1}),
    ("lora", {"dora": True, "targets": "all"}),
    ("lora", {"dora": True, "rslora": True, "targets": "feed_forward"}),
    ("adapter", {"placement": "pfeiffer"}),
    ("prefix", {"projection": False}),
    ("frozen", {"blocks": 1}),
]


@pytest.mark.parametrize("task", ["chat", "classify"])
@pytest.mark.parametrize(
    ("name", "chosen"), OTHER, ids=lambda value: value if isinstance(value, str) else "-".join(value)
)
def test_other_settings_are_learned_come_back_the_same_and_merge(
    name, chosen, task, make_job, bases, tmp_path
):
    method, job = methods.get(name), make_job(name, task, chosen)
    before = scores(fresh(job, bases), job)
    made = method.train(job)
    learned = scores(made, job)
    assert not torch.allclose(learned, before)
    method.save(made, tmp_path / "model", "someone/base")
    torch.testing.assert_close(
        scores(method.load(fresh(job, bases), tmp_path / "model"), job), learned, rtol=0, atol=1e-6
    )
    if "merged" in method.export_formats(chosen):
        torch.testing.assert_close(
            scores(method.merge(fresh(job, bases), tmp_path / "model"), job), learned, rtol=0, atol=1e-4
        )


@pytest.mark.parametrize(
    ("native", "numbers", "learned", "in_4_bits", "told"),
    [
        (True, 135e6, 135e6, False, {"bf16": True, "optim": None, "activation_checkpointing": False}),
        (True, 1.7e9, 5e6, False, {"bf16": True, "optim": None, "activation_checkpointing": True}),
        (
            True,
            1.7e9,
            1.7e9,
            False,
            {"bf16": True, "optim": "paged_adamw_8bit", "activation_checkpointing": True},
        ),
        (
            True,
            135e6,
            5e6,
            True,
            {"bf16": True, "optim": "paged_adamw_8bit", "activation_checkpointing": False},
        ),
        (False, 135e6, 135e6, False, {"bf16": False, "optim": None, "activation_checkpointing": False}),
    ],
    ids=["small", "large adapter", "large whole", "4 bits", "old card"],
)
def test_a_card_is_told_what_suits_it_and_the_model(
    native, numbers, learned, in_4_bits, told, make_job, monkeypatch
):
    job = make_job("lora", "chat", rows=4)
    sizes = ((int(learned), True), (int(numbers - learned), False))
    model = SimpleNamespace(
        parameters=lambda: [
            torch.nn.Parameter(torch.empty(size, device="meta"), wanted) for size, wanted in sizes
        ],
        config=SimpleNamespace(quantization_config={} if in_4_bits else None),
    )
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    found = supervised.training_arguments(dataclasses.replace(job, model=model), "train")
    assert {name: found.get(name) for name in told} == told
    assert not found["use_cpu"]


def test_only_files_that_cannot_hold_code_are_saved(job, tmp_path):
    methods.get(job.plan.method.name).save(job.model, tmp_path / "model", "someone/base")
    assert {path.suffix for path in (tmp_path / "model").rglob("*") if path.is_file()} <= {
        ".safetensors",
        ".json",
        ".md",
        ".jinja",
    }


def test_an_adapter_says_which_base_it_belongs_to(finished, tiny_chat):
    import json

    config = json.loads((finished("lora").model / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == str(tiny_chat)


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_a_methods_own_defaults_are_right(method):
    settled = method.resolve_settings({})
    assert method.find_problems(settled) == []
    assert set(settled) == {knob.name for knob in method.settings if knob.applies(settled)}


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
def test_every_knob_is_explained_in_both_languages(method):
    for knob in method.settings:
        for words in (knob.label, knob.help, *(said for _, said in knob.choices)):
            assert words.render()
            assert words.render("zh")


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.name)
@pytest.mark.parametrize("name", list(presets.models()))
def test_the_default_learning_rate_is_one_a_plan_accepts(method, name):
    assert all(
        0
        < method.learning_rate(
            shape.from_config(presets.models()[name].config), method.resolve_settings({}), task
        )
        <= 0.01
        for task in method.tasks
    )


@pytest.mark.parametrize(("chosen", "said"), PROBLEMS, ids=[said.split(",")[0] for _, said in PROBLEMS])
def test_a_wrong_setting_is_told_with_its_key_and_what_is_expected(chosen, said):
    (problem,) = methods.get("lora").find_problems(chosen)
    assert problem.render() == said


def test_all_wrong_settings_are_told_at_once():
    assert len(methods.get("lora").find_problems({"rank": 0, "alpha": "x", "colour": 1})) == 3


def test_a_setting_takes_the_type_of_its_knob():
    settled = methods.get("lora").resolve_settings({"rank": 8.0, "alpha": 16})
    assert (settled["rank"], type(settled["rank"])) == (8, int)
    assert (settled["alpha"], type(settled["alpha"])) == (16.0, float)


def test_a_method_that_is_not_built_yet_says_which_are():
    with pytest.raises(NotPossible, match=r"“teleport” is not built yet.*lora"):
        methods.get("teleport")


@pytest.mark.parametrize(("size", "gradient_accumulation_steps"), [(8, 1), (8, 2), (8, 8)])
def test_a_step_sees_as_many_examples_as_the_plan_says_in_whatever_portions(
    size, gradient_accumulation_steps, make_job
):
    job = make_job("lora", "chat", batch_size=size, gradient_accumulation_steps=gradient_accumulation_steps)
    job.model.train()
    methods.get("lora").train(job)
    assert len(job.notes["watches"][0].losses) == 24 // size


@pytest.mark.parametrize(("size", "gradient_accumulation_steps"), [(8, 3), (2, 4)])
def test_portions_that_do_not_divide_a_step_are_refused(size, gradient_accumulation_steps, make_plan):
    with pytest.raises(ValueError, match=f"divides batch_size {size}"):
        make_plan("lora", "chat", batch_size=size, gradient_accumulation_steps=gradient_accumulation_steps)


def test_portions_of_a_step_add_up_to_the_whole_step(make_job):
    found = []
    for portions in (1, 4):
        job = make_job("full", "chat", rows=8, gradient_accumulation_steps=portions, learning_rate=1e-3)
        methods.get("full").train(job)
        found.append(torch.cat([value.detach().flatten() for value in job.model.parameters()]))
    assert (found[0] - found[1]).abs().mean() < 1e-5


@pytest.mark.parametrize(("method", "settings"), [("peft", {"type": "ln_tuning"}), ("lora", {})])
def test_on_a_base_of_16_bits_the_steps_are_taken_in_32_and_the_result_is_kept_in_16(
    method, settings, make_job, monkeypatch
):
    job = make_job(method, "classify", settings, epochs=3)
    job.model.to(torch.bfloat16)
    before = {
        name: value.detach().clone() for name, value in job.model.named_parameters() if value.requires_grad
    }
    plain, seen = supervised.training_arguments, set()
    # What a card does: 16-bit weights under autocast. A processor can do so too, slowly.
    monkeypatch.setattr(supervised, "training_arguments", lambda *given: {**plain(*given), "bf16": True})

    class Look(SilentMonitor):
        def on_step_end(self, args, state, control, model=None, **_):
            seen.update(value.dtype for value in model.parameters() if value.requires_grad)

    supervised.fit(dataclasses.replace(job, create_monitor=lambda *_: Look()))
    after = dict(job.model.named_parameters())
    assert seen == {torch.float32}
    assert {value.dtype for value in after.values()} == {torch.bfloat16}
    assert all(not torch.equal(after[name], value) for name, value in before.items())


def test_rows_are_padded_with_what_a_decoder_takes_for_padding(tiny_chat, tmp_path):
    import json
    import shutil

    folder = shutil.copytree(tiny_chat, tmp_path / "other")
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "pad_token_id": 7}))
    tokenizer, model = load.tokenizer(folder), load.base_model(folder, "classify", ("a", "b"), 0)
    text, pad = [20, 21, 22], tokenizer.pad_token_id
    alone = model(input_ids=torch.tensor([text])).logits
    padded = model(
        input_ids=torch.tensor([text + [pad] * 4]), attention_mask=torch.tensor([[1] * 3 + [0] * 4])
    ).logits
    torch.testing.assert_close(padded, alone)


@pytest.mark.parametrize(
    "name",
    [
        method.name
        for method in methods.METHODS
        if method.supports_gradient_checkpointing and "chat" in method.tasks
    ],
)
def test_computing_twice_to_save_memory_changes_no_loss(name, make_job):
    losses, passes = {}, {}
    for again in (False, True):
        job = make_job(
            name,
            "chat",
            {"dropout": 0.0} if name in ("lora", "qlora") else {},
            rows=8,
            batch_size=4,
            gradient_checkpointing=again,
        )
        last = [module for module in job.model.modules() if type(module).__name__ == "LlamaDecoderLayer"][-1]
        seen = []
        last.mlp.register_forward_pre_hook(lambda *_, seen=seen, model=job.model: seen.append(model.training))
        methods.get(name).train(job)
        losses[again], passes[again] = job.notes["watches"][0].losses, sum(seen)
    assert losses[True] == pytest.approx(losses[False], abs=1e-5)
    assert passes[True] > passes[False] > 0, "what was thrown away is computed once more on the way back"
