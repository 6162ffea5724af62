"""Each of PEFT's methods trains what is counted, learns, goes on after a stop, and comes back the same."""

import json

import pytest
import torch
from method_helpers import (
    TOY_LABELS,
    changed_names,
    count,
    load_base,
    load_twin,
    logits,
    parameters,
    trainable_names,
)
from peft_cases import CHAT_RATES, MERGEABLE, METHOD, TASKS, TYPES, settings_of
from safetensors.torch import load_file
from sampling import sample

from studio import export, presets, runs
from studio.errors import NotPossible
from studio.methods import peft
from studio.methods.training import supervised
from studio.models import load, shape
from studio.playground import server as model_server
from studio.training import callback as run_callback
from studio.training import launcher, worker

# A tiny encoder has read nothing; its virtual tokens and norms have everything to learn.
CLASSIFY_RATES = {
    **dict.fromkeys(TYPES, 1e-2),
    "adalora": 0.03,
    "ia3": 0.1,
    "lokr": 0.05,
    "vera": 0.1,
    "ln_tuning": 0.05,
    "prompt_tuning": 0.02,
}
# A few virtual tokens swing from evaluation to evaluation, each processor's rounding another way: more of
# them, more epochs, and the best of many evaluations.
LONG_CLASSIFY_FIELDS = {"prompt_tuning": {"num_virtual_tokens": 16}}
LONG_CLASSIFY_TRAINING = {
    "prompt_tuning": {"epochs": 100, "eval_count": 15},
    "p_tuning": {"epochs": 40},
    "ln_tuning": {"epochs": 40},
}
# The kinds of change that a playground must tell apart from its base: each attaches in another way.
PLAYGROUND_TYPES = ("dora", "adalora", "vera", "ln_tuning", "prompt_tuning", "p_tuning")
# What CI tries where it does not try both tasks.
ONE_TASK_EACH = [(peft_type, TASKS[index % 2]) for index, peft_type in enumerate(TYPES)]
all_types = [(peft_type, task) for peft_type in TYPES for task in TASKS]
mergeable_types = [(peft_type, task) for peft_type in MERGEABLE for task in TASKS]


def each(cases):
    return pytest.mark.parametrize(("peft_type", "task"), cases, ids=lambda value: value)


@pytest.fixture
def job(peft_type, task, make_job):
    rate = CHAT_RATES[peft_type]
    return make_job("peft", task, settings_of(peft_type), learning_rate=rate, weight_decay=0.01)


@pytest.fixture
def trained(peft_type, task, trained_job):
    rate = CHAT_RATES[peft_type]
    return trained_job("peft", task, settings_of(peft_type), learning_rate=rate, weight_decay=0.01)


@pytest.fixture
def start(make_plan):
    """`start(peft_type, task, settings, **training)`: a whole run of a method on the toy data."""

    def start_run(peft_type, task="chat", settings=None, **training):
        training = {"learning_rate": CHAT_RATES[peft_type], **training}
        run = runs.create(make_plan("peft", task, settings or settings_of(peft_type), **training))
        worker.run(run.id)
        return run

    return start_run


@pytest.mark.thorough
@each(
    sample(
        [case for case in all_types if case[0] not in ("adalora", "p_tuning")],
        [case for case in ONE_TASK_EACH if case[0] not in ("adalora", "p_tuning")],
    )
)
def test_what_is_frozen_stays_and_everything_else_learns(trained):
    assert trained.model is trained.job.model
    assert changed_names(trained.model, trained.before) == trained.trainable


@pytest.mark.thorough
@each([case for case in all_types if case[0] in ("adalora", "p_tuning")])
def test_of_what_these_leave_a_part_of_everything_was_learned(job):
    before, trainable = parameters(job.model), trainable_names(job.model)
    supervised.fit(job)
    assert changed_names(job.model, before) == trainable


@each(mergeable_types)
def test_an_attached_model_answers_as_before_training(job, bases):
    torch.testing.assert_close(logits(job.model, job), logits(load_base(job, bases), job), rtol=0, atol=1e-6)


@pytest.mark.thorough
@each(sample(all_types, ONE_TASK_EACH))
def test_what_was_saved_comes_back_the_same_on_a_fresh_base(trained, bases):
    job = trained.job
    base = load_base(job, bases)
    before = logits(base, job)
    tuned = load_twin(base, METHOD, trained.folder)
    torch.testing.assert_close(logits(tuned, job), logits(trained.model, job), rtol=0, atol=1e-6)
    assert load.fingerprint(tuned) == load.fingerprint(trained.model)
    assert not torch.allclose(logits(trained.model, job), before)
    assert torch.equal(logits(base, job), before)
    config = json.loads((trained.folder / "adapter_config.json").read_text())
    assert config["base_model_name_or_path"] == "someone/base"
    assert str(bases(job.plan.task)) not in json.dumps(config)


@pytest.mark.thorough
@each(all_types)
def test_a_result_is_as_large_as_was_told(trained, bases):
    job = trained.job
    n_labels = len(TOY_LABELS) if job.plan.task == "classify" else 0
    told = METHOD.result_bytes(shape.from_folder(bases(job.plan.task)), job.settings, n_labels, 4)
    tensors = load_file(trained.folder / "adapter_model.safetensors")
    written = 4 * sum(tensor.numel() for tensor in tensors.values())
    # AdaLoRA decides while training in which matrices, narrow or wide, ranks are left.
    tolerance = 0.05 if job.settings["type"] == "adalora" else 0
    assert written == pytest.approx(told, rel=tolerance)


@pytest.mark.thorough
@each(mergeable_types)
def test_merging_gives_the_same_answers_in_an_ordinary_model(trained, bases):
    job = trained.job
    base = load_base(job, bases)
    base_class = type(base)
    merged = METHOD.merge(base, trained.folder)
    assert type(merged) is base_class
    torch.testing.assert_close(logits(merged, job), logits(trained.model, job), rtol=0, atol=1e-4)


@pytest.mark.exhaustive
@pytest.mark.thorough
@each(all_types)
def test_a_run_learns_is_exported_and_the_playground_proves_which_side_is_which(
    peft_type, task, start, tmp_path
):
    fields, training = {}, {"epochs": 12}
    if task == "classify":
        fields = LONG_CLASSIFY_FIELDS.get(peft_type, {})
        training = {"epochs": 24, **LONG_CLASSIFY_TRAINING.get(peft_type, {})}
        training["learning_rate"] = CLASSIFY_RATES[peft_type]
    run = start(peft_type, task, settings_of(peft_type, **fields), **training)
    report = runs.report(run)
    assert runs.status(run).state == "done"
    is_virtual = peft_type in peft.VIRTUAL_TOKEN_TYPES
    # Virtual tokens only steer what a toy model has learned, which is little; knowing nothing of three
    # classes is 1.1.
    max_ratio = 0.9 if is_virtual else 0.8
    assert report["after"]["loss"] < (max_ratio * report["before"]["loss"] if task == "chat" else 1.0)
    check_exports(run, is_virtual, tmp_path)
    if peft_type in PLAYGROUND_TYPES:
        self_test = model_server.ModelPair(run).self_test
        assert self_test["base_moved"] == 0
        assert self_test["tuned_moved"] > 0
        assert self_test["base"]["as_trained"]
        assert self_test["tuned"]["as_trained"]


def check_exports(run, is_virtual, folder):
    formats = export.available_formats(run)
    assert formats == (("adapter",) if is_virtual else ("adapter", "merged"))
    for form in formats:
        assert list(export.save_result(run, form, folder / form).glob("*.safetensors"))
    if is_virtual:
        with pytest.raises(NotPossible, match=r"stand before the text.*train DoRA"):
            export.save_result(run, "merged", folder / "merged")


RESUMED = [(peft_type, "chat") for peft_type in TYPES] + [("adalora", "classify"), ("p_tuning", "classify")]


@pytest.mark.exhaustive
@pytest.mark.thorough
@each(RESUMED)
def test_a_stopped_run_goes_on_as_if_it_had_never_been_stopped(peft_type, task, start, monkeypatch):
    # Each step is evaluated, so that the evaluation where a run is stopped is none the other does not have.
    unstopped = start(peft_type, task, epochs=2, eval_count=200, early_stopping_patience=0)
    steps = runs.status(unstopped).steps
    stopped = runs.create(unstopped.plan)
    on_step_begin = run_callback.MonitorCallback.on_step_begin
    stop_at = 0

    def stop_or_go_on(self, args, state, control, **values):
        if self.run.id == stopped.id and state.global_step + 1 == stop_at:
            launcher.stop(self.run)
        on_step_begin(self, args, state, control, **values)

    monkeypatch.setattr(run_callback.MonitorCallback, "on_step_begin", stop_or_go_on)
    stop_at = steps // 3 + 1
    worker.run(stopped.id)
    assert runs.status(stopped).state == "stopped"
    stop_at = steps - 2  # where AdaLoRA has pruned already
    launcher.requeue(stopped)
    worker.run(stopped.id)
    assert runs.status(stopped).state == "stopped"
    stop_at = 0
    launcher.requeue(stopped)
    worker.run(stopped.id)
    assert runs.status(stopped).state == "done"
    losses = [point["loss"] for point in runs.read_points(stopped) if "loss" in point]
    expected = [point["loss"] for point in runs.read_points(unstopped) if "loss" in point]
    assert losses == pytest.approx(expected, abs=1e-5)
    after, expected_after = (runs.report(run)["after"]["loss"] for run in (stopped, unstopped))
    assert after == pytest.approx(expected_after, abs=1e-5)
    assert METHOD.supports_resume


OTHER_SETTINGS = [
    settings_of("dora", use_rslora=True, lora_dropout=0.1),
    settings_of("lora_mlp", use_rslora=True, lora_dropout=0.1),
    settings_of("miss", r=6, miss_dropout=0.1),  # which divides no width of the tiny model
    settings_of("adalora", deltaT=3, lora_dropout=0.1),
    settings_of("loha", rank_dropout=0.2, module_dropout=0.2),
    settings_of("lokr", r=2, decompose_both=True, rank_dropout=0.2, rank_dropout_scale=True),
    settings_of("lokr", decompose_factor=4, module_dropout=0.2),
    settings_of("oft", oft_block_size=0, r=4, module_dropout=0.3),
    settings_of("oft", use_cayley_neumann=False, block_share=True),
    settings_of("oft", oft_block_size=7, num_cayley_neumann_terms=3),
    settings_of("vera", r=4, vera_dropout=0.2, d_initial=0.01),
    settings_of("prompt_tuning", prompt_tuning_init="RANDOM"),
    settings_of(
        "p_tuning", encoder_reparameterization_type="LSTM", encoder_num_layers=3, encoder_dropout=0.3
    ),
    settings_of("p_tuning", encoder_num_layers=5),
]


@pytest.mark.parametrize(
    "settings",
    OTHER_SETTINGS,
    ids=[f"{settings['type']}-{index}" for index, settings in enumerate(OTHER_SETTINGS)],
)
@pytest.mark.filterwarnings("ignore:Invalid `oft_block_size`")
def test_other_settings_are_counted_learned_and_come_back_the_same(settings, make_job, bases, tmp_path):
    job = make_job("peft", "chat", settings, learning_rate=CHAT_RATES[settings["type"]])
    counted = METHOD.count_parameters(shape.from_folder(bases("chat")), job.settings, 0)
    assert count(job.model) == (counted.trainable, counted.total)
    model = METHOD.train(job)
    METHOD.save(model, tmp_path / "model", "someone/base")
    tuned = METHOD.load(load_base(job, bases), tmp_path / "model")
    torch.testing.assert_close(logits(tuned, job), logits(model, job), rtol=0, atol=1e-6)
    assert load.fingerprint(tuned) == load.fingerprint(model)


def test_the_default_learning_rate_is_one_a_plan_accepts():
    refused = {}
    for name, card in presets.models().items():
        for peft_type in TYPES:
            settings = METHOD.resolve_settings({"type": peft_type})
            for task in METHOD.tasks:
                rate = METHOD.learning_rate(shape.from_config(card.config), settings, task)
                if not 0 < rate <= 1:
                    refused[name, peft_type, task] = rate
    assert refused == {}


def test_what_does_not_go_together_is_told_with_its_key():
    minilm = shape.from_config(presets.models()["minilm-l6"].config)
    wide = METHOD.resolve_settings(settings_of("adalora", target_r=12))
    (problem,) = METHOD.check(wide, minilm, "chat")
    assert problem.key == "adalora_target_r"
    assert problem.message == peft.TARGET_RANK_TOO_LARGE.format(first=12, got=12)
    long = METHOD.resolve_settings(settings_of("prompt_tuning", num_virtual_tokens=300))
    (problem,) = METHOD.check(long, minilm, "classify")
    assert problem.key == "prompt_tuning_num_virtual_tokens"
    assert problem.message.values["context"] == 512
    assert METHOD.check(long, None, "classify") == []
    for peft_type in TYPES:
        resolved = METHOD.resolve_settings(settings_of(peft_type))
        assert METHOD.check(resolved, minilm, "classify") == [], peft_type
