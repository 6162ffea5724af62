"""PEFT's methods from one form.

The form is PEFT's own, each method trains what is counted, and what PEFT refuses is said before a run.
"""

import copy
import dataclasses
import json

import peft as library
import pytest
import torch
from safetensors.torch import load_file

from studio import export, presets, runs
from studio.cli import train as train_command
from studio.data import collate as data_collate
from studio.data.examples import encode_examples
from studio.errors import BadPlan, NotPossible
from studio.i18n import Message
from studio.methods import peft, peft_form, settings_check
from studio.methods.spec import Setting
from studio.methods.training import peft_build, peft_counts, supervised
from studio.models import load, shape, trainable
from studio.plan import MethodChoice
from studio.training import launcher, worker

METHOD = peft.METHOD
TYPES = list(peft_form.load_cards().types)
TASKS = (
    "chat",
    "classify",
)  # texts to continue go the way of conversations; test_methods.py trains one of each
MERGED = [kind for kind in TYPES if kind not in peft.VIRTUAL_TOKEN_TYPES]
# What makes the tiny models learn in three steps to a few dozen; a real model's rates are the method's own.
RATE = {"ia3": 0.1, "lokr": 0.05, "vera": 0.1, "ln_tuning": 0.05, "prompt_tuning": 0.3, "p_tuning": 0.02}
# A tiny encoder has read nothing; its virtual words and norms have everything to learn.
SORTING = {
    **dict.fromkeys(TYPES, 1e-2),
    "adalora": 0.03,
    "ia3": 0.1,
    "lokr": 0.05,
    "vera": 0.1,
    "ln_tuning": 0.05,
    "prompt_tuning": 0.02,
}
# A few words swing from look to look, each processor's rounding another way: more words, more epochs, and the
# best of many looks.
PATIENT = {("prompt_tuning", "classify"): ({"num_virtual_tokens": 16}, {"epochs": 100, "eval_count": 15})}
# A block of 8 numbers divides every width of the tiny models; at 32 the rotation would be one block.
SETTINGS = {"oft": {"oft_oft_block_size": 8}, "p_tuning": {"p_tuning_encoder_hidden_size": 32}}
TINY = {
    "model_type": "llama",
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "vocab_size": 10,
}


def chosen(kind, **more):
    return {
        "type": kind,
        **SETTINGS.get(kind, {}),
        **{f"{kind}_{name}": value for name, value in more.items()},
    }


@pytest.fixture
def job(request, make_job):
    kind, task = request.param
    return make_job("peft", task, chosen(kind), learning_rate=RATE.get(kind, 1e-2), weight_decay=0.01)


@pytest.fixture
def learned(request, taught):
    kind, task = request.param
    return taught("peft", task, chosen(kind), learning_rate=RATE.get(kind, 1e-2), weight_decay=0.01)


ways = pytest.mark.parametrize(
    "job", [(kind, task) for kind in TYPES for task in TASKS], indirect=True, ids=lambda way: "-".join(way)
)


def scores(model, job):
    with torch.no_grad():
        found = model.eval()(input_ids=torch.tensor([job.train[0].input_ids])).logits
    return found if found.dim() == 2 else found[:, data_collate.count_virtual_tokens(model) :]


def fresh(job, bases):
    labels = ["a", "b", "c"] if job.plan.task == "classify" else []
    return load.base_model(bases(job.plan.task), job.plan.task, labels, job.plan.training.seed)


@pytest.fixture
def started(make_plan):
    """`started(kind, task, **training)`: a whole run of a method on the toy data, and its report."""

    def start(kind, task="chat", settings=None, **training):
        run = runs.create(
            make_plan(
                "peft", task, settings or chosen(kind), **{"learning_rate": RATE.get(kind, 1e-2), **training}
            )
        )
        worker.run(run.id)
        return run

    return start


def test_the_shipped_form_is_what_the_installed_peft_says():
    assert peft_form.FIELDS_FILE.read_text(encoding="utf-8") == peft_form.render_fields_file()


def test_a_field_nobody_has_explained_stops_the_form(monkeypatch):
    @dataclasses.dataclass
    class Newer(library.IA3Config):
        spice: int = dataclasses.field(default=3, metadata={"help": "new"})

    monkeypatch.setattr(library, "IA3Config", Newer)
    with pytest.raises(KeyError, match=r"IA3Config\.spice: explain it"):
        peft_form.read_peft_fields()


def test_nothing_is_explained_or_left_out_that_peft_does_not_have():
    words = peft_form.load_cards()
    every = {
        field.name
        for about in words.types.values()
        for field in dataclasses.fields(getattr(library, about.config))
    }
    assert {name.split(".")[-1] for name in words.fields} | set(words.left_out) == every - set(
        words.types["adalora"].without
    ) | {
        "r",
        "use_dora",
        "use_rslora",
    }
    for kind, about in words.types.items():
        own = {field.name for field in dataclasses.fields(getattr(library, about.config))}
        assert set(about.without) | set(about.fixed) <= own, kind


def test_every_field_is_shown_for_its_method_alone_with_peft_s_default_unless_a_reason_says_otherwise():
    first, *rest = METHOD.settings
    assert [name for name, _ in first.choices] == TYPES
    assert len(TYPES) >= 10
    for knob in rest:
        kind = knob.depends_on[1]
        name = knob.name.removeprefix(f"{kind}_")
        field, said = peft_form.load_fields()[kind][name], peft_form.load_cards().get_field(kind, name)
        assert knob.depends_on[0] == "type"
        if said.instead:
            assert said.instead.why
            assert said.instead.value != field.default
        else:
            assert knob.default == ("" if field.default is None else field.default)
        assert knob.kind == field.kind
        assert not knob.find_problem(knob.default), knob.name


def told(found):
    return [problem.render() for problem in found]


@pytest.mark.parametrize("kind", TYPES)
def test_settings_are_those_of_the_chosen_method(kind):
    settled = METHOD.resolve_settings({"type": kind})
    assert set(settled) == {"type"} | {f"{kind}_{name}" for name in peft_form.load_fields()[kind]}
    assert METHOD.find_problems(settled) == []
    for knob in METHOD.settings:
        for words in (knob.label, knob.help, *(said for _, said in knob.choices)):
            assert isinstance(words, Message)
            assert words.render()
            assert words.render("zh")


def test_a_setting_of_another_method_is_told():
    assert told(METHOD.find_problems({"type": "dora", "vera_r": 64})) == [
        "vera_r: has a say only where type is vera, but it is dora"
    ]
    assert told(METHOD.find_problems({"type": "vera", "vera_r": 0})) == [
        "vera_r: expected 1 to 2048, but got 0"
    ]
    assert told(METHOD.find_problems({"type": "ia3", "r": 8})) == [
        "r: is not a setting of peft (it has: type)"
    ]
    assert told(METHOD.find_problems({"type": "no", "vera_r": 8}))[0].startswith(
        "type: expected one of dora, adalora"
    )


def test_a_knob_of_one_choice_has_a_say_only_there():
    knob = Setting("a", Message("a"), Message("a"), 1, "int", depends_on=("type", "x"))
    assert knob.applies({"type": "x"})
    assert not knob.applies({"type": "y"})
    assert not knob.applies({})


# query 8->8, key and value 8->4, output 8->8, gate and up 8->16, down 16->8
BY_HAND = [
    ("dora", {"r": 2}, 2 * (2 * (16 + 12 + 12 + 16 + 24 + 24 + 24) + (8 + 4 + 4 + 8 + 16 + 16 + 8))),
    ("adalora", {"init_r": 3}, 2 * 3 * (16 + 12 + 12 + 16 + 24 + 24 + 24 + 7)),
    ("ia3", {}, 2 * (4 + 4 + 16)),
    ("loha", {"r": 2}, 2 * 4 * 128),
    # 8 = 2·4, 4 = 2·2, 16 = 4·4; rank 1 is below half of the larger side: the larger factor is thin
    ("lokr", {"r": 1}, 2 * ((4 + 8) + 2 * (4 + 6) + (4 + 8) + 2 * (8 + 8) + (8 + 8))),
    # blocks of 4: 6 numbers each, two for a width of 8, four for 16
    ("oft", {"oft_block_size": 4}, 2 * (6 * 2 * 6 + 4 * 6)),
    ("oft", {"oft_block_size": 4, "block_share": True}, 2 * 7 * 6),
    # 5 does not divide 8 nor 16: PEFT takes 4
    ("oft", {"oft_block_size": 5}, 2 * (6 * 2 * 6 + 4 * 6)),
    ("vera", {"r": 3}, 2 * (64 + 7 * 3)),
    ("prompt_tuning", {"num_virtual_tokens": 5}, 40),
    ("p_tuning", {"num_virtual_tokens": 5, "encoder_hidden_size": 3}, 40 + (24 + 3) + (9 + 3) + (24 + 8)),
    ("ln_tuning", {}, 2 * 16 + 8),
]


@pytest.mark.parametrize(
    ("kind", "own", "expected"),
    BY_HAND,
    ids=[f"{kind}-{number}" for number, (kind, _, _) in enumerate(BY_HAND)],
)
def test_what_is_trained_counted_by_hand(kind, own, expected):
    settings = METHOD.resolve_settings(
        {"type": kind, **{f"{kind}_{name}": value for name, value in own.items()}}
    )
    found = METHOD.count_parameters(shape.from_config(TINY), settings, 0)
    assert found.trainable == expected
    extra = 14 if kind == "adalora" else 0  # beside each of 7 matrices in 2 layers the rank it began with
    assert found.total == shape.from_config(TINY).total() + expected + extra


def test_a_classifier_s_new_head_is_counted_with_every_method():
    for kind in TYPES:
        settings = METHOD.resolve_settings({"type": kind})
        without, found = (
            METHOD.count_parameters(shape.from_config(TINY), settings, labels) for labels in (0, 3)
        )
        assert found.trainable - without.trainable == 3 * 8


@pytest.mark.parametrize("size", [1, 7, 48, 127, 128, 576, 1536, 3072])
@pytest.mark.parametrize("factor", [-1, 1, 4, 8, 100])
def test_widths_are_split_as_peft_splits_them(size, factor):
    from peft.tuners.lokr.layer import factorization

    assert peft_counts.kronecker_factors(size, factor) == factorization(size, factor)


@pytest.mark.parametrize("size", [32, 64, 384, 576, 960, 1536])
def test_block_sizes_are_adjusted_as_peft_adjusts_them(size):
    from peft.tuners.oft.layer import OFTLayer

    for wanted in (1, 7, 32, 48, 100, 576, 2000):
        assert peft_counts.nearest_divisor(size, wanted) == (
            OFTLayer.adjust_oft_parameters(None, size, wanted)
            if size % min(wanted, size)
            else min(wanted, size)
        )


@pytest.mark.thorough
@ways
def test_what_is_frozen_stays_and_everything_else_learns(job):
    before = {name: value.detach().clone() for name, value in job.model.named_parameters()}
    learning = {name for name, value in job.model.named_parameters() if value.requires_grad}
    kind = job.settings["type"]
    if kind in ("adalora", "p_tuning"):  # these leave a part of what they trained
        supervised.fit(job)
    else:
        assert METHOD.train(job) is job.model
    assert {
        name for name, value in job.model.named_parameters() if not torch.equal(value, before[name])
    } == learning


@pytest.mark.parametrize(
    "job", [(kind, task) for kind in MERGED for task in TASKS], indirect=True, ids=lambda way: "-".join(way)
)
def test_an_attached_model_answers_as_before_training(job, bases):
    torch.testing.assert_close(scores(job.model, job), scores(fresh(job, bases), job), rtol=0, atol=1e-6)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "learned",
    [(kind, task) for kind in TYPES for task in TASKS],
    indirect=True,
    ids=lambda way: "-".join(way),
)
def test_what_was_saved_comes_back_the_same_on_a_fresh_base(learned, bases):
    job, _, _, made, folder = learned
    base = fresh(job, bases)
    before = scores(base, job)
    shared = {id(value): value for value in (*base.parameters(), *base.buffers())}
    tuned = METHOD.load(copy.deepcopy(base, shared), folder)
    torch.testing.assert_close(scores(tuned, job), scores(made, job), rtol=0, atol=1e-6)
    assert load.fingerprint(tuned) == load.fingerprint(made)
    assert not torch.allclose(scores(made, job), before)
    assert torch.equal(scores(base, job), before)
    kept = json.loads((folder / "adapter_config.json").read_text())
    assert kept["base_model_name_or_path"] == "someone/base"
    assert str(bases(job.plan.task)) not in json.dumps(kept)


@pytest.mark.thorough
@pytest.mark.parametrize(
    "learned",
    [(kind, task) for kind in MERGED for task in TASKS],
    indirect=True,
    ids=lambda way: "-".join(way),
)
def test_merging_gives_the_same_answers_in_an_ordinary_model(learned, bases):
    job, _, _, made, folder = learned
    merged = METHOD.merge(fresh(job, bases), folder)
    assert type(merged) is type(fresh(job, bases))
    torch.testing.assert_close(scores(merged, job), scores(made, job), rtol=0, atol=1e-4)


@pytest.mark.thorough
@pytest.mark.parametrize("task", ["chat", "classify"])
@pytest.mark.parametrize("kind", TYPES)
def test_a_whole_run_learns_and_is_taken_home(kind, task, started, tmp_path):
    settings, length = PATIENT.get((kind, task), ({}, {"epochs": 40 if task == "classify" else 12}))
    rate = {"learning_rate": SORTING[kind]} if task == "classify" else {}
    run = started(kind, task, chosen(kind, **settings), **length, **rate)
    report = runs.report(run)
    assert runs.status(run).state == "done"
    # Virtual words only steer what a toy model knows, which is little; of three classes nobody knows: 1.1.
    fall = 0.9 if kind in peft.VIRTUAL_TOKEN_TYPES else 0.8
    assert report["after"]["loss"] < (fall * report["before"]["loss"] if task == "chat" else 1.0)
    offered = export.available_formats(run)
    assert offered == (("adapter",) if kind in peft.VIRTUAL_TOKEN_TYPES else ("adapter", "merged"))
    for form in offered:
        assert list(export.save_result(run, form, tmp_path / form).glob("*.safetensors"))
    if kind in peft.VIRTUAL_TOKEN_TYPES:
        with pytest.raises(NotPossible, match=r"stand before the text.*train DoRA"):
            export.save_result(run, "merged", tmp_path / "merged")


def test_adalora_s_rank_falls_to_its_target_and_only_there(started):
    run = started("adalora", settings=chosen("adalora", init_r=8, target_r=3), epochs=8)
    kept = load_file(run.model / "adapter_model.safetensors")
    ranks = [len(value) for name, value in kept.items() if "lora_E" in name]
    assert len(ranks) == 14
    assert sum(ranks) <= 3 * 14
    assert sum(ranks) > 0
    assert len(set(ranks)) > 1, "each matrix was to get what it needs"
    config = json.loads((run.model / "adapter_config.json").read_text())
    steps = runs.status(run).steps
    assert (config["total_step"], config["tinit"], config["tfinal"]) == (
        steps,
        int(0.1 * steps),
        int(0.4 * steps),
    )
    assert sorted(sum(found) for found in config["rank_pattern"].values()) == sorted(ranks)


def test_adalora_falls_step_by_step_and_stays_there(make_job):
    job = make_job("peft", "chat", chosen("adalora", init_r=8, target_r=2), epochs=10)
    seen = []

    class Count(peft_build.AdaLoraCallback):
        def on_optimizer_step(self, args, state, control, **named):
            super().on_optimizer_step(args, state, control, **named)
            seen.append(
                sum(
                    int((value != 0).sum())
                    for name, value in self.model.named_parameters()
                    if "lora_E" in name
                )
            )

    supervised.fit(job, callbacks=[Count(job.model)])
    assert len(seen) == 30
    assert seen[:3] == [8 * 14] * 3
    assert seen == sorted(seen, reverse=True)
    assert seen[17] <= 2 * 14
    assert len(set(seen[17:])) == 1


def test_adalora_s_directions_are_pulled_apart_and_the_loss_shown_is_that_of_the_answers(make_job):
    ends = {}
    for weight in (0.0, 5.0):
        job = make_job("peft", "chat", chosen("adalora", orth_reg_weight=weight), epochs=5)
        ranks = peft_build.AdaLoraCallback(job.model)
        supervised.fit(job, callbacks=[ranks], penalty=ranks.orthogonality_penalty)
        losses = job.notes["watches"][0].losses
        ranks.config.orth_reg_weight = 1.0
        ends[weight] = float(ranks.orthogonality_penalty()), losses[0]
    assert ends[5.0][0] < 0.8 * ends[0.0][0]
    assert ends[5.0][1] == pytest.approx(ends[0.0][1], abs=1e-6)


def test_the_penalty_is_peft_s_own(make_job):
    job = make_job("peft", "chat", chosen("adalora", orth_reg_weight=0.7))
    rows = torch.tensor([job.train[0].input_ids])
    job.model.eval()
    with torch.no_grad():
        plain = job.model.base_model.model(input_ids=rows, labels=rows).loss
        whole = job.model(input_ids=rows, labels=rows).loss
    assert float(peft_build.AdaLoraCallback(job.model).orthogonality_penalty()) == pytest.approx(
        float(whole - plain), rel=1e-4
    )


def test_a_step_of_several_portions_feels_the_penalty_once(make_job):
    found = []
    for portions in (1, 4):
        job = make_job(
            "peft",
            "chat",
            chosen("adalora", orth_reg_weight=5),
            rows=8,
            gradient_accumulation_steps=portions,
            learning_rate=1e-3,
        )
        ranks = peft_build.AdaLoraCallback(job.model)
        supervised.fit(job, callbacks=[ranks], penalty=ranks.orthogonality_penalty)
        found.append(
            torch.cat(
                [value.detach().flatten() for name, value in job.model.named_parameters() if "lora_" in name]
            )
        )
    assert (found[0] - found[1]).abs().mean() < 1e-5


RESUMED = [(kind, "chat") for kind in TYPES] + [("adalora", "classify"), ("p_tuning", "classify")]


@pytest.mark.thorough
@pytest.mark.parametrize(("kind", "task"), RESUMED, ids=lambda value: value)
def test_a_stopped_run_goes_on_as_if_it_had_never_been_stopped(kind, task, started, make_plan, monkeypatch):
    from studio.training import callback as run_callback

    whole = started(kind, task, epochs=4)
    steps, plain = runs.status(whole).steps, run_callback.MonitorCallback.on_step_begin
    stops = iter((steps // 3 + 1, steps - 2))
    run, at = runs.create(whole.plan), []

    def on_step_begin(self, args, state, control, **named):
        if self.run.id == run.id and at and state.global_step + 1 == at[-1]:
            launcher.stop(self.run)
        plain(self, args, state, control, **named)

    monkeypatch.setattr(run_callback.MonitorCallback, "on_step_begin", on_step_begin)
    for number, stop in enumerate(stops):  # the second time where AdaLoRA has cut already
        at.append(stop)
        launcher.requeue(run) if number else None
        worker.run(run.id)
        assert runs.status(run).state == "stopped"
    at.append(0)
    launcher.requeue(run)
    worker.run(run.id)
    assert runs.status(run).state == "done"
    measured = [
        [point["loss"] for point in runs.read_points(found) if "loss" in point] for found in (whole, run)
    ]
    assert measured[1] == pytest.approx(measured[0], abs=1e-5)
    assert runs.report(run)["after"]["loss"] == pytest.approx(runs.report(whole)["after"]["loss"], abs=1e-5)
    assert METHOD.supports_resume


def test_the_best_state_of_an_earlier_step_is_kept_whole_with_the_ranks_it_had(started, monkeypatch):
    early, plain = {}, trainable.save

    def save(model, folder):
        if not early:
            early.update(
                {
                    name: value.detach().clone()
                    for name, value in model.named_parameters()
                    if value.requires_grad
                }
            )
        plain(model, folder)

    def restore(model, folder):
        with torch.no_grad():
            for name, value in model.named_parameters():
                if name in early:
                    value.copy_(early[name])

    monkeypatch.setattr(trainable, "save", save)
    monkeypatch.setattr(trainable, "restore", restore)
    run = started("adalora", settings=chosen("adalora", init_r=8, target_r=1), epochs=8, eval_count=16)
    kept = load_file(run.model / "adapter_model.safetensors")
    assert sum(len(value) for name, value in kept.items() if "lora_E" in name) > 2 * 14, (
        "the state was to be one from before the cut"
    )
    base = load.base_model(load.Path(run.plan.model), "chat")
    assert load.fingerprint(METHOD.load(base, run.model)) == runs.report(run)["tuned"]["checksum"]


OTHER = [
    chosen("dora", use_rslora=True, lora_dropout=0.1),
    chosen("adalora", deltaT=3, lora_dropout=0.1),
    chosen("loha", rank_dropout=0.2, module_dropout=0.2),
    chosen("lokr", r=2, decompose_both=True, rank_dropout=0.2, rank_dropout_scale=True),
    chosen("lokr", decompose_factor=4, module_dropout=0.2),
    chosen("oft", oft_block_size=0, r=4, module_dropout=0.3),
    chosen("oft", use_cayley_neumann=False, block_share=True),
    chosen("oft", oft_block_size=7, num_cayley_neumann_terms=3),
    chosen("vera", r=4, vera_dropout=0.2, d_initial=0.01),
    chosen("prompt_tuning", prompt_tuning_init="RANDOM"),
    chosen("p_tuning", encoder_reparameterization_type="LSTM", encoder_num_layers=3, encoder_dropout=0.3),
    chosen("p_tuning", encoder_num_layers=5),
]


@pytest.mark.parametrize(
    "settings", OTHER, ids=[f"{settings['type']}-{number}" for number, settings in enumerate(OTHER)]
)
def test_other_settings_are_counted_learned_and_come_back_the_same(settings, make_job, bases, tmp_path):
    job = make_job("peft", "chat", settings, learning_rate=RATE.get(settings["type"], 1e-2))
    expected = METHOD.count_parameters(shape.from_folder(bases("chat")), job.settings, 0)
    assert (load.count_parameters(job.model, trainable_only=True), load.count_parameters(job.model)) == (
        expected.trainable,
        expected.total,
    )
    made = METHOD.train(job)
    learned = scores(made, job)
    METHOD.save(made, tmp_path / "model", "someone/base")
    tuned = METHOD.load(fresh(job, bases), tmp_path / "model")
    torch.testing.assert_close(scores(tuned, job), learned, rtol=0, atol=1e-6)
    assert load.fingerprint(tuned) == load.fingerprint(made)


def test_a_training_of_a_single_step_is_none_adalora_could_cut_in(make_job):
    job = make_job("peft", "chat", chosen("adalora"), rows=8)
    made = METHOD.train(job)
    assert len(job.notes["watches"][0].losses) == 1
    assert made.peft_config["default"].total_step == 2


def test_what_p_tuning_leaves_are_the_virtual_words_alone(make_job, tmp_path):
    job = make_job("peft", "chat", chosen("p_tuning"))
    made = METHOD.train(job)
    assert {name for name, _ in made.named_parameters() if "prompt_encoder" in name} == {
        "prompt_encoder.default.embedding.weight"
    }
    METHOD.save(made, tmp_path, "someone/base")
    (kept,) = load_file(tmp_path / "adapter_model.safetensors").values()
    assert kept.shape == (20, 32)
    assert torch.equal(kept, made.prompt_encoder["default"].embedding.weight)


@pytest.mark.parametrize("kind", peft.VIRTUAL_TOKEN_TYPES)
def test_a_decoder_sorts_a_text_the_same_alone_and_beside_a_longer_one(kind, tiny_chat):
    labels, settings = ("a", "b", "c"), METHOD.resolve_settings({"type": kind})
    model = METHOD.attach(load.base_model(tiny_chat, "classify", labels), settings, "classify").eval()
    tokenizer = load.tokenizer(tiny_chat)
    rows = [
        {"input_ids": tokenizer(text)["input_ids"], "labels": [0]}
        for text in ("my lamp", "the invoice for the lamp is wrong again")
    ]
    collate = data_collate.build_collator("classify", tokenizer)
    with torch.no_grad():
        together = model(**collate(rows)).logits
        alone = torch.cat([model(**collate([row])).logits for row in rows])
    torch.testing.assert_close(together, alone, rtol=0, atol=1e-5)


def test_a_decoder_sorts_texts_with_virtual_words_and_comes_back_the_same(tiny_chat, make_plan):
    plan = make_plan("peft", "classify", chosen("prompt_tuning"), learning_rate=0.01, epochs=30)
    run = runs.create(plan.model_copy(update={"model": str(tiny_chat)}))
    worker.run(run.id)
    report = runs.report(run)
    assert report["after"]["loss"] < 0.8 * report["before"]["loss"]
    tuned = METHOD.load(
        load.base_model(tiny_chat, "classify", report["labels"], plan.training.seed), run.model
    )
    from studio.evaluate import held_out
    from studio.training import setup as run_setup

    rows = run_setup.prepare_data(run, plan).splits.validation
    encoded = encode_examples(rows, "classify", load.tokenizer(tiny_chat), 64, report["labels"])
    found = held_out.evaluate(tuned, encoded, load.tokenizer(tiny_chat), "classify", 3)
    assert found["loss"] == pytest.approx(report["after"]["loss"], abs=1e-4)


@pytest.mark.parametrize("kind", peft.VIRTUAL_TOKEN_TYPES)
def test_virtual_words_are_there_while_an_answer_is_written(kind, make_job):
    job = make_job("peft", "chat", chosen(kind))
    model = METHOD.train(job).eval()
    ids = torch.tensor([job.train[0].input_ids[:8]])
    with torch.no_grad():
        whole = model.generate(
            input_ids=ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=6,
            do_sample=False,
            eos_token_id=None,
        )
        slowly = ids
        for _ in range(6):
            slowly = torch.cat([slowly, model(input_ids=slowly).logits[:, -1:].argmax(-1)], dim=1)
    assert whole.tolist() == slowly.tolist()


@pytest.mark.thorough
@pytest.mark.parametrize("task", ["chat", "classify"])
@pytest.mark.parametrize("kind", ["dora", "adalora", "vera", "ln_tuning", "prompt_tuning", "p_tuning"])
def test_the_playground_proves_which_side_is_which(kind, task, started):
    from studio.playground import server as model_server

    sides = model_server.ModelPair(started(kind, task, epochs=2))
    assert sides.self_test["base_moved"] == 0
    assert sides.self_test["tuned_moved"] > 0
    assert sides.self_test["base"]["as_trained"]
    assert sides.self_test["tuned"]["as_trained"]


def test_prompt_tuning_begins_as_the_text_that_was_written(make_job, tiny_chat):
    settings = chosen(
        "prompt_tuning", prompt_tuning_init="TEXT", prompt_tuning_init_text="my lamp", num_virtual_tokens=6
    )
    job = make_job("peft", "chat", settings)
    ids = load.tokenizer(tiny_chat)("my lamp")["input_ids"]
    wanted = job.model.get_base_model().get_input_embeddings().weight[(ids * 6)[:6]]
    torch.testing.assert_close(job.model.prompt_encoder["default"].embedding.weight, wanted)


@pytest.mark.parametrize("name", list(presets.models()))
def test_the_default_learning_rate_is_one_a_plan_accepts(name):
    card = presets.models()[name]
    for kind in TYPES:
        settings = METHOD.resolve_settings({"type": kind})
        assert all(
            0 < METHOD.learning_rate(shape.from_config(card.config), settings, task) <= 1
            for task in METHOD.tasks
        )


def test_what_does_not_go_together_is_told_with_its_key():
    found = shape.from_config(presets.models()["minilm-l6"].config)
    wide = METHOD.resolve_settings(chosen("adalora", target_r=12))
    assert told(METHOD.check(wide, found, "chat")) == [
        "adalora_target_r: expected less than adalora_init_r (12), but got 12"
    ]
    long = METHOD.resolve_settings(chosen("prompt_tuning", num_virtual_tokens=300))
    assert told(METHOD.check(long, found, "classify"))[0].startswith(
        "prompt_tuning_num_virtual_tokens: the model reads 512 tokens in all"
    )
    assert METHOD.check(long, None, "classify") == []
    assert all(METHOD.check(METHOD.resolve_settings(chosen(kind)), found, "classify") == [] for kind in TYPES)


BOTH = {"oft_r": 4, "oft_oft_block_size": 32}
REFUSED = [
    ({"type": "oft", **BOTH}, "You can only specify either r (4) or oft_block_size (32)"),
    ({"type": "oft", "oft_oft_block_size": 0}, "Either `r` or `oft_block_size` must be non-zero"),
    (
        {"type": "prompt_tuning", "prompt_tuning_prompt_tuning_init": "TEXT"},
        "prompt_tuning_init_text can't be None",
    ),
]


@pytest.mark.parametrize(("settings", "said"), REFUSED, ids=[said[:24] for _, said in REFUSED])
def test_what_peft_refuses_is_refused_with_peft_s_own_reason(settings, said, tiny_chat):
    with pytest.raises(NotPossible) as caught:
        METHOD.attach(load.base_model(tiny_chat, "chat"), METHOD.resolve_settings(settings), "chat")
    assert said in caught.value.render()
    assert caught.value.render("zh").startswith("PEFT 拒绝了这些设置：")


def test_the_count_is_there_also_for_what_peft_refuses():
    for settings, _ in REFUSED:
        assert (
            METHOD.count_parameters(shape.from_config(TINY), METHOD.resolve_settings(settings), 0).trainable
            >= 0
        )


def with_settings(plan, **settings):
    return plan.model_copy(update={"method": MethodChoice(name="peft", settings=settings)})


@pytest.mark.thorough
@pytest.mark.parametrize("model", ["smollm2-135m", "qwen3-8b", "tiny"])
def test_a_trial_says_peft_s_reason_before_the_run_and_nothing_where_there_is_none(model, make_plan):
    plan = make_plan("peft", "chat")
    plan = plan if model == "tiny" else plan.model_copy(update={"model": model})
    assert "You can only specify either r (4) or oft_block_size (32)" in settings_check.find_problem(
        with_settings(plan, type="oft", **BOTH)
    )
    assert settings_check.find_problem(with_settings(plan, type="oft", **BOTH), "zh").startswith(
        "PEFT 拒绝了这些设置：You can only"
    )
    assert settings_check.find_problem(with_settings(plan, type="oft")) == ""


@pytest.mark.thorough
@pytest.mark.parametrize("model", ["qwen3-8b", "tiny"])
def test_a_text_to_begin_with_is_tried_too(model, make_plan):
    plan = make_plan("peft", "chat")
    plan = plan if model == "tiny" else plan.model_copy(update={"model": model})
    asked = {"type": "prompt_tuning", "prompt_tuning_prompt_tuning_init": "TEXT"}
    assert "init_text can't be None" in settings_check.find_problem(with_settings(plan, **asked))
    assert (
        settings_check.find_problem(
            with_settings(plan, **asked, prompt_tuning_prompt_tuning_init_text="be kind")
        )
        == ""
    )


def test_a_trial_is_asked_only_once_for_the_same_and_not_at_all_where_nothing_can_be_refused(
    make_plan, monkeypatch
):
    asked = []
    monkeypatch.setattr(
        settings_check.processes.subprocess,
        "run",
        lambda *given, **named: (
            asked.append(given) or settings_check.processes.subprocess.CompletedProcess((), 1, "")
        ),
    )
    settings_check._run_check.cache_clear()
    for _ in range(2):
        assert settings_check.find_problem(with_settings(make_plan("peft", "chat"), type="lokr")) == ""
    assert len(asked) == 1
    assert settings_check.find_problem(make_plan("lora", "chat")) == ""
    assert (
        settings_check.find_problem(
            with_settings(make_plan("peft", "chat"), type="vera").model_copy(update={"model": "who/knows"})
        )
        == ""
    )
    assert len(asked) == 1
    settings_check._run_check.cache_clear()


def test_a_trial_that_takes_too_long_says_nothing(make_plan, monkeypatch):
    monkeypatch.setattr(settings_check, "TIMEOUT_SECONDS", 0.01)
    settings_check._run_check.cache_clear()
    assert settings_check.find_problem(with_settings(make_plan("peft", "chat"), type="oft", **BOTH)) == ""
    settings_check._run_check.cache_clear()


@pytest.mark.thorough
def test_the_command_refuses_before_there_is_a_run(make_plan, tmp_path):
    from studio import plan as plans

    path = tmp_path / "plan.yaml"
    path.write_text(
        plans.dump(with_settings(make_plan("peft", "chat"), type="oft", **BOTH)), encoding="utf-8"
    )
    with pytest.raises(
        BadPlan, match=r"method\.settings: PEFT refuses these settings: You can only specify either r"
    ):
        train_command.train(str(path), ())
    assert runs.all_runs() == []
