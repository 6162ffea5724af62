"""A whole run, called in place on a tiny real model: what it leaves behind, and how it fails."""

import json
import math
import random
import shutil
from collections import namedtuple

import pytest
import torch
from safetensors.torch import load_file
from ways import QUESTIONS_ALONE

from studio import methods, plan, runs
from studio.data import replay, store
from studio.errors import BadData, BadPlan, ModelUnavailable, OutOfDiskSpace, StudioError
from studio.evaluate import verdict
from studio.export import card, card_messages
from studio.methods import spec
from studio.methods.training import supervised
from studio.models import device, fetch, load, shape, trainable
from studio.plan import REQUIRED_ROLES, Data
from studio.storage import home
from studio.training import callback as run_callback
from studio.training import coach, launcher, report_messages, setup, worker
from studio.training import queue as run_queue
from studio.ui.train.results import describe_results

Usage = namedtuple("Usage", "total used free")


def changed(plan, **values):
    return plan.model_copy(update=values)


def with_data(plan, **values):
    return changed(plan, data=changed(plan.data, **values))


def train(plan):
    run = runs.create(plan)
    worker.run(run.id)
    return run


def train_and_fail(plan, error):
    """The run and its status after the failure of a plan."""
    run = runs.create(plan)
    with pytest.raises(error):
        worker.run(run.id)
    status = runs.status(run)
    assert status.state == "failed"
    assert status.message
    assert status.hint.render()
    assert "Traceback" not in status.message.render()
    assert not runs.is_usable(run)
    return run, status


@pytest.fixture
def make_memorizing_plan(make_plan, tmp_path):
    """A plan with random answers: they can be learned by heart, and examples not seen get worse for it."""
    generator, path = random.Random(0), tmp_path / "random.csv"
    colours = ["red", "blue", "green", "gold", "pink"]
    rows = [f"where is {index},{' '.join(generator.choices(colours, k=6))}\n" for index in range(40)]
    path.write_text("prompt,response\n" + "".join(rows), encoding="utf-8")

    def make(**training):
        training = {"epochs": 20, "eval_count": 10, "lr_scheduler_type": "constant", **training}
        return changed(make_plan("full", **training), data=Data(source=str(path), validation_share=0.4))

    return make


@pytest.fixture
def stop_at(monkeypatch):
    """`stop_at(run, step)`: the run is asked to stop while it takes this step."""
    real = run_callback.MonitorCallback.on_step_begin
    steps = {}

    def on_step_begin(self, args, state, control, **options):
        if state.global_step + 1 == steps.get(self.run.id):
            launcher.stop(self.run)
        real(self, args, state, control, **options)

    monkeypatch.setattr(run_callback.MonitorCallback, "on_step_begin", on_step_begin)
    return lambda run, step: steps.update({run.id: step})


def validation_losses(run):
    """Validation loss by step, as it was measured in the training that is compared with the base."""
    stage = methods.get(run.plan.method.name).stages[0]
    return {
        point["step"]: point["eval_loss"]
        for point in runs.read_points(run)
        if point["stage"] == stage and "eval_loss" in point
    }


def by_stage(points):
    """Points by the stage they belong to, in order."""
    stages = {}
    for point in points:
        stages.setdefault(point["stage"], []).append(point)
    return stages


def read_split(run, name):
    lines = (run.folder / "data" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def test_a_run_leaves_the_files_others_rely_on(way, finished):
    run = finished(*way)
    names = {path.name for path in run.folder.iterdir()}
    json_files = {"format.json", "status.json", "process.json", "report.json"}
    assert names - {"stages", "notes.json"} == json_files | {
        "plan.yaml",
        "metrics.jsonl",
        "predictions.jsonl",
        "worker.log",
        "data",
        "model",
    }
    data_names = {path.name for path in (run.folder / "data").iterdir()}
    assert data_names - {"openings.json"} == {"train.jsonl", "validation.jsonl", "about.json"}
    assert ("openings.json" in data_names) == (methods.get(way[0]).generate_rows is not None)
    assert list(run.model.glob("*.safetensors"))
    assert (run.model / "tokenizer.json").is_file()
    assert runs.is_usable(run)


def test_a_run_ends_done_at_its_last_step(way, finished):
    status = runs.status(finished(*way))
    assert (status.state, status.step) == ("done", status.steps)
    assert status.steps > 0


def test_every_point_is_numbered_timed_and_placed(way, finished):
    points = list(runs.read_points(finished(*way)))
    assert [point["seq"] for point in points] == list(range(len(points)))
    assert all({"seq", "time", "stage", "step", "epoch"} <= set(point) for point in points)
    assert [point["time"] for point in points] == sorted(point["time"] for point in points)
    for stage_points in by_stage(points).values():
        steps = [point["step"] for point in stage_points]
        assert steps == sorted(steps)


def test_training_points_hold_what_was_measured(way, finished):
    run = finished(*way)
    stages = by_stage(point for point in runs.read_points(run) if "loss" in point)
    last_stage = list(stages.values())[-1]
    assert len(last_stage) == runs.status(run).steps
    for points in stages.values():
        assert [point["step"] for point in points] == list(range(1, len(points) + 1))
        for point in points:
            assert point["tokens_per_second"] >= 0
            assert 0 < point["memory_gb"] < 100
            assert 0 <= point["learning_rate"] <= 1e-2
    if way == QUESTIONS_ALONE:  # practice goes by scores: its loss may be negative
        assert any(point["reward"] > 0 for point in last_stage)
        return
    first_stage = stages[methods.get(way[0]).stages[0]]
    # A classifier that starts from the linear fit to the toy texts has nothing left to learn.
    assert all(point["loss"] >= 0 and point["tokens_per_second"] > 0 for point in first_stage)
    assert first_stage[-1]["epoch"] == pytest.approx(run.plan.training.epochs)


def test_validation_is_measured_before_the_first_step_and_as_often_as_planned(way, finished):
    if way == QUESTIONS_ALONE:
        pytest.skip("no example shows an answer whose loss could be measured")
    run = finished(*way)
    losses = validation_losses(run)
    steps = max(losses)
    interval = math.ceil(steps / 3)
    assert sorted(losses) == sorted({0, *range(interval, steps + 1, interval), steps})
    if way[0] not in ("prefix", "qat"):  # an untrained prefix and rounding already change the answers
        start_loss = runs.start_scores(runs.report(run))["loss"]
        assert losses[0] == pytest.approx(start_loss, abs=1e-5)


def test_the_report_says_what_was_trained_on_what(way, finished, bases):
    run = finished(*way)
    report, (name, task) = runs.report(run), way
    n_rows = 60 if task == "classify" else 40
    data = report["data"]
    assert (data["rows"], data["damaged"], data["incomplete"]) == (n_rows, 0, 0)
    assert (data["train"], data["validation"]) == (n_rows * 4 // 5, n_rows // 5)
    assert data["sha256"] == store.find(run.plan.data.source).sha256
    assert report["labels"] == (["billing", "delivery", "returns"] if task == "classify" else [])
    method = methods.get(name)
    model_shape, settings = shape.from_folder(bases(task)), method.resolve_settings({})
    counted = method.count_parameters(model_shape, settings, len(report["labels"]))
    assert report["parameters"] == {"trainable": counted.trainable, "total": counted.total}
    assert report["learning_rate"] == run.plan.training.learning_rate
    # The tiny BERT has 64 positions, of which a prefix takes 20.
    max_length = 64 - 20 if way == ("prefix", "classify") else run.plan.training.max_length
    assert report["texts"] == {"max_length": max_length, "cut": 0, "dropped": 0}
    assert report["training"]["epochs"] == run.plan.training.epochs
    assert report["training"]["batch_size"] == 8
    assert isinstance(report["method"], dict)


def test_general_examples_are_trained_on_beside_the_data_and_said(make_plan):
    # 32 of 40 are trained on; 8 general ones are a fifth of all 40: 10 steps of 4.
    run = train(make_plan(epochs=1, batch_size=4, replay_share=0.2))
    data = runs.report(run)["data"]
    assert (data["train"], data["replay"], data["validation"]) == (40, 8, 8)
    assert runs.status(run).steps == 10
    lines = (run.folder / "data" / "train.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line) in replay.load_examples() for line in lines] == [False] * 32 + [True] * 8
    assert setup.REPLAY_NOTE.format(count=8, train=40) in spec.read_notes(run.folder)
    assert card_messages.REPLAY_EXAMPLES.render("en", count=8) in card.render_card(run, "adapter")


@pytest.mark.thorough
def test_settings_left_out_are_chosen_by_the_data_and_written_down(make_plan):
    run = train(make_plan("full", "chat", epochs=None, batch_size=None, learning_rate=None, eval_count=1))
    report = runs.report(run)
    # 32 examples: batches of 8, and the most epochs that conversations get, 3; a small model is tuned at
    # 5e-5.
    assert (report["training"]["epochs"], report["training"]["batch_size"]) == (3, 8)
    assert report["learning_rate"] == report["training"]["learning_rate"] == 5e-5


@pytest.mark.thorough
def test_a_stopped_run_keeps_what_it_needs_to_go_on_and_a_done_one_does_not(make_plan, finished, stop_at):
    assert not (finished("lora", "chat").folder / "checkpoints").exists()
    run = runs.create(make_plan())
    stop_at(run, 9)
    worker.run(run.id)
    assert (run.folder / setup.BASE_EVALUATION_FILE).is_file()
    assert runs.is_resumable(run)


def test_the_kept_rows_are_the_split_of_the_plan(way, finished):
    run = finished(*way)
    train_rows, validation_rows = read_split(run, "train"), read_split(run, "validation")
    key = REQUIRED_ROLES[way[1]][0]
    train_texts = {row[key] for row in train_rows}
    validation_texts = {row[key] for row in validation_rows}
    assert len(train_texts | validation_texts) == len(train_rows) + len(validation_rows)
    assert not train_texts & validation_texts


def test_the_checksum_of_the_base_is_that_of_its_weights(finished, tiny_chat):
    report = runs.report(finished("lora"))
    assert report["base"]["checksum"] == load.fingerprint(load.base_model(tiny_chat, "chat"))
    assert report["tuned"]["checksum"] != report["base"]["checksum"]


@pytest.mark.thorough
@pytest.mark.parametrize("method", ["full", "qat"])
def test_what_is_measured_on_a_gpu_answers_as_its_file_does(method, make_plan, monkeypatch, tiny_chat):
    """The frequencies of its positions too, which no file has, are those that a reader computes."""
    monkeypatch.setattr(device, "weights_dtype", lambda: torch.bfloat16)
    measured, evaluate_tuned = [], worker._evaluate_tuned
    monkeypatch.setattr(
        worker,
        "_evaluate_tuned",
        lambda run, context, model, step: measured.append(model) or evaluate_tuned(run, context, model, step),
    )
    run = train(make_plan(method, "chat", epochs=1))
    base = load.base_model(tiny_chat, "chat")
    assert runs.report(run)["base"]["checksum"] == load.fingerprint(base)
    reopened = methods.get(method).load(base, run.model)
    ids = torch.arange(64, device=reopened.device).view(1, -1) % 40
    with torch.no_grad():
        assert torch.equal(measured[0](ids).logits, reopened(ids).logits)


@pytest.mark.parametrize("method", ["full", "qat"])
def test_a_training_in_32_bits_on_a_gpu_starts_from_all_digits_of_its_base(
    method, make_plan, monkeypatch, tiny_chat
):
    """A base is held in 16 bits there; the file has 32."""
    monkeypatch.setattr(device, "weights_dtype", lambda: torch.bfloat16)
    start = {}

    def fit(context, *_, **__):
        start.update((name, value.clone()) for name, value in context.model.named_parameters())
        raise RuntimeError("far enough")

    monkeypatch.setattr(supervised, "fit", fit)
    with pytest.raises(RuntimeError, match="far enough"):
        train(make_plan(method, "chat"))
    tensors = load_file(tiny_chat / "model.safetensors")
    assert start
    for name, value in start.items():
        assert value.dtype is torch.float32
        assert torch.equal(value.cpu(), tensors[name]), name


@pytest.mark.thorough
def test_the_same_plan_gives_the_same_result_and_another_seed_another(make_plan):
    first, same, other = (train(make_plan(epochs=1, seed=seed)) for seed in (1, 1, 2))
    assert validation_losses(first) == validation_losses(same)
    assert runs.report(first)["tuned"] == runs.report(same)["tuned"]
    assert runs.report(first)["tuned"] != runs.report(other)["tuned"]


def test_columns_left_out_are_guessed(make_plan):
    report = runs.report(train(with_data(make_plan(epochs=0.25), columns={})))
    assert report["data"]["columns"] == {"prompt": "prompt", "response": "response"}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("method", "settings", "max_length"),
    [
        ("lora", {}, 64),
        ("prefix", {"virtual_tokens": 20}, 44),
        ("prefix", {"virtual_tokens": 9, "projection": False}, 55),
        ("peft", {"type": "prompt_tuning", "prompt_tuning_num_virtual_tokens": 30}, 34),
        ("peft", {"type": "p_tuning", "p_tuning_num_virtual_tokens": 12}, 52),
    ],
)
def test_texts_longer_than_what_the_model_can_read_are_cut_and_counted(
    method, settings, max_length, make_plan, classify_csv
):
    with classify_csv.open("a", encoding="utf-8") as file:
        file.write(f"{'the parcel is late ' * 100},delivery\n")
    plan = make_plan(method, "classify", settings, epochs=0.125, max_length=512, eval_count=1)
    report = runs.report(train(changed(plan, data=Data(source=str(classify_csv)))))
    assert report["texts"] == {"max_length": max_length, "cut": 1, "dropped": 0}


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("method", "task", "extra_row", "max_length", "n_cut"),
    [
        ("lora", "chat", "where is it,Thanks. It is on its way.\n", 64, 0),
        ("lora", "chat", f"where is it,{'Thanks. ' * 150}\n", 256, 1),  # all that the model reads
        ("full", "classify", f"{'the parcel is late ' * 20},delivery\n", 64, 1),
    ],
)
def test_a_length_that_is_left_out_is_that_of_the_examples(
    method, task, extra_row, max_length, n_cut, make_plan, chat_csv, classify_csv
):
    path = {"chat": chat_csv, "classify": classify_csv}[task]
    with path.open("a", encoding="utf-8") as file:
        file.write(extra_row)
    plan = changed(make_plan(method, task, epochs=0.25, max_length=None), data=Data(source=str(path)))
    report = runs.report(train(plan))
    assert report["texts"] == {"max_length": max_length, "cut": n_cut, "dropped": 0}
    assert report["training"]["max_length"] == max_length


@pytest.mark.parametrize("n_rare", [4, 60])
def test_rare_classes_count_more_where_classes_are_unbalanced_and_the_report_says_how_much(
    n_rare, make_plan, tmp_path
):
    path = tmp_path / "texts.csv"
    rows = [f"where is parcel {index},delivery\n" for index in range(64)]
    rows += [f"the lamp is broken {index},damage\n" for index in range(n_rare)]
    path.write_text("text,label\n" + "".join(rows), encoding="utf-8")
    run = train(changed(make_plan("full", "classify", epochs=0.25), data=Data(source=str(path))))
    report = runs.report(run)
    weights = report["method"].get("class_weights", {})
    assert set(weights) == ({"delivery", "damage"} if n_rare == 4 else set())
    assert ("rare ones count more" in describe_results(run, report, "en")) == (n_rare == 4)
    if weights:
        assert weights["damage"] > 2 * weights["delivery"] > 1


def test_an_example_whose_prompt_fills_the_context_is_dropped_and_counted(make_plan, chat_csv):
    with chat_csv.open("a", encoding="utf-8") as file:
        file.write(f"{'where is the lamp ' * 300},Here.\n")
    plan = make_plan(epochs=0.25, max_length=512)
    texts = runs.report(train(changed(plan, data=Data(source=str(chat_csv)))))["texts"]
    assert (texts["max_length"], texts["dropped"]) == (256, 1)


@pytest.mark.thorough
def test_the_best_state_is_kept_and_not_the_last(make_memorizing_plan):
    run = train(make_memorizing_plan())
    losses, report = validation_losses(run), runs.report(run)
    best_step = min(losses, key=losses.get)
    assert 0 < best_step < max(losses), "this training was meant to get worse again"
    assert report["best_step"] == best_step
    assert report["after"]["loss"] == pytest.approx(losses[best_step], abs=1e-5)


def test_a_training_that_only_made_it_worse_gives_back_its_start_and_says_so(make_plan):
    run = train(
        make_plan("full", epochs=2, learning_rate=0.5, lr_scheduler_type="constant", warmup_ratio=0.0)
    )
    losses, report = validation_losses(run), runs.report(run)
    start_loss = losses.pop(0)
    assert min(losses.values()) > start_loss, "this training was meant to fail"
    assert report["best_step"] == 0
    assert report["after"]["loss"] == report["before"]["loss"]
    assert report["tuned"]["checksum"] == report["base"]["checksum"]
    kept_start = report_messages.describe_kept_start(report)
    assert kept_start.render() in describe_results(run, report, "en")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("schedule", "share"),
    [
        ("cosine", lambda step: min(step / 2, (1 + math.cos(math.pi * max(0, step - 2) / 6)) / 2)),
        *(
            pytest.param(*case, marks=pytest.mark.exhaustive)
            for case in (
                ("linear", lambda step: min(step / 2, (8 - step) / 6)),
                ("constant_with_warmup", lambda step: min(step / 2, 1)),
                ("constant", lambda step: 1),
            )
        ),
    ],
)
def test_the_learning_rate_follows_its_schedule_after_the_warm_up(schedule, share, make_plan):
    training = {"epochs": 2, "learning_rate": 1e-3, "warmup_ratio": 0.25, "eval_count": 1}
    run = train(make_plan(lr_scheduler_type=schedule, **training))
    rates = [point["learning_rate"] for point in runs.read_points(run) if "learning_rate" in point]
    assert rates == pytest.approx([1e-3 * share(step) for step in range(8)], abs=2e-8)


@pytest.mark.thorough
def test_weight_decay_keeps_what_is_learned_smaller(make_plan):
    def squared_norm(weight_decay):
        run = train(make_plan(epochs=2, learning_rate=1e-2, weight_decay=weight_decay, eval_count=1))
        tensors = load_file(run.model / "adapter_model.safetensors")
        return sum(float(tensor.square().sum()) for tensor in tensors.values())

    assert squared_norm(1.0) < 0.95 * squared_norm(0.0)


@pytest.mark.exhaustive
def test_a_training_without_progress_stops_early_when_patience_ends(make_memorizing_plan):
    run = train(make_memorizing_plan(early_stopping_patience=2))
    report = runs.report(run)
    assert report["stopped_early"]
    assert not report["stopped"]
    assert report["seconds_saved"] > 0
    assert runs.status(run).state == "done"
    assert len([step for step in validation_losses(run) if step > report["best_step"]]) == 2


@pytest.mark.thorough
def test_a_run_stopped_half_way_keeps_what_it_has_learned(make_plan, stop_at):
    run = runs.create(make_plan(epochs=100, eval_count=2))
    stop_at(run, 6)
    worker.run(run.id)
    status, report = runs.status(run), runs.report(run)
    assert (status.state, status.step, status.steps) == ("stopped", 6, 400)
    assert report["stopped"]
    assert report["after"]["loss"] < report["before"]["loss"]
    assert runs.is_usable(run)


def test_a_run_stopped_before_its_first_step_has_learned_nothing(make_plan):
    run = runs.create(make_plan())
    launcher.stop(run)
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    assert not runs.is_usable(run)


def test_a_run_waits_for_an_older_one_and_a_stop_ends_the_waiting(make_plan, set_clock):
    older, run = runs.create(make_plan()), runs.create(make_plan())
    runs.set_status(older, "training", "train")
    statuses = []

    def stop_instead_of_sleeping(seconds):
        statuses.append(runs.status(run))
        launcher.stop(run)

    set_clock(run_queue, sleep=stop_instead_of_sleeping)
    worker.run(run.id)
    (waiting,) = statuses
    assert (waiting.state, waiting.stage, waiting.steps) == ("waiting", "queue", 1)
    assert runs.status(run).state == "stopped"


def test_an_unknown_model_fails_with_what_can_be_chosen(make_plan):
    _, status = train_and_fail(changed(make_plan(), model="no-such-model"), ModelUnavailable)
    expected = fetch.unknown_model("no-such-model")
    assert (status.message, status.hint) == (expected.message, expected.hint)


def test_a_hub_model_out_of_reach_fails_with_those_that_need_no_hub(make_plan):
    _, status = train_and_fail(changed(make_plan(), model="someone/some-model"), ModelUnavailable)
    assert "hub does not answer" in status.message.render()
    assert "smollm2-135m" in status.hint.render()


def test_a_missing_column_fails_with_those_there_are(make_plan, toys):
    data = Data(source=str(toys["chat"]), columns={"prompt": "prompt", "response": "antwort"})
    _, status = train_and_fail(changed(make_plan(), data=data), BadData)
    assert "“antwort”" in status.message.render()
    assert "prompt, response" in status.message.render()


def test_data_for_another_task_fails_with_its_columns(make_plan, toys):
    _, status = train_and_fail(changed(make_plan(), data=Data(source=str(toys["classify"]))), BadData)
    assert "text, label" in status.message.render()
    assert "“”" not in status.message.render()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\x00\x01\x02" * 99, "not text"),
        (b"prompt,response\na,b\n", "1 complete example"),
        (None, "There is no file"),
    ],
    ids=["empty", "binary", "one row", "gone"],
)
def test_a_file_that_cannot_be_used_fails_with_a_sentence(make_plan, tmp_path, content, problem):
    path = tmp_path / "mine.csv"
    if content is not None:
        path.write_bytes(content)
    _, status = train_and_fail(changed(make_plan(), data=Data(source=str(path))), BadData)
    assert problem in status.message.render()
    assert "mine.csv" in status.message.render()


def test_a_full_disk_fails_before_it_is_full(make_plan, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**9, 10**9, 1000))
    run, status = train_and_fail(make_plan(epochs=1), OutOfDiskSpace)
    assert "GB are needed" in status.message.render()
    assert "--home" in status.hint.render()
    assert 0 in validation_losses(run), "what was measured is kept"


def test_no_memory_fails_with_what_to_make_smaller(make_plan, monkeypatch):
    def fit(job, *_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    monkeypatch.setattr(supervised, "fit", fit)
    run = runs.create(make_plan())
    with pytest.raises(RuntimeError):
        worker.run(run.id)
    status = runs.status(run)
    assert (status.state, status.stage) == ("failed", "train")
    assert "more memory than this machine has free" in status.message.render()
    assert "smaller batch" in status.hint.render()


def test_a_run_that_is_interrupted_says_so_in_a_sentence(make_plan, monkeypatch):
    def fit(job, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr(supervised, "fit", fit)
    run = runs.create(make_plan())
    with pytest.raises(KeyboardInterrupt):
        worker.run(run.id)
    status = runs.status(run)
    assert status.state == "failed"
    assert "does not know" not in status.message.render()


def test_a_model_that_turns_out_not_to_fit_is_refused_before_it_trains(make_plan, tiny_bert):
    # As one of the hub that nobody knew before it was fetched.
    run = runs.create(changed(make_plan(), model=str(tiny_bert)))
    with pytest.raises(BadPlan, match="only reads"):
        worker.run(run.id)
    assert "only reads" in runs.status(run).message.render()
    assert not list(runs.read_points(run))


def test_a_model_of_the_hub_that_is_here_is_judged_like_any_other(tiny_bert):
    raw_plan = {"task": "chat", "model": "owner/reader", "method": {"name": "lora"}}
    assert methods.find_plan_problems(raw_plan) == [], "nobody knows it yet"
    folder = home() / "models" / "owner--reader"
    shutil.copytree(tiny_bert, folder)
    source = {"name": "reader", "note": {"en": "from the hub", "zh": "来自 Hub"}}
    (folder / "source.json").write_text(json.dumps(source))
    (problem,) = methods.find_plan_problems(raw_plan)
    assert problem.key == "method.name"
    assert "only reads" in problem.message.render()


def test_a_spoilt_plan_fails_with_its_problems(make_plan):
    run = runs.create(make_plan())
    path = run.folder / "plan.yaml"
    path.write_text(path.read_text().replace("task: chat", "task: sing"))
    with pytest.raises(StudioError):
        worker.run(run.id)
    assert "task" in runs.status(run).message.render()


def test_a_plan_written_by_a_run_trains_again(finished):
    run = finished("lora")
    checks = (methods.find_plan_problems,)
    again = plan.load(run.folder / "plan.yaml", ("training.epochs=0.25",), checks)
    assert runs.status(train(again)).state == "done"


def test_a_loss_that_is_no_number_ends_the_run_with_a_sentence(make_plan, monkeypatch):
    monkeypatch.setattr(
        "studio.data.vocabulary_loss._cross_entropy_with_gradients",
        lambda logits, targets: (logits[:, 0] * float("nan"), logits * float("nan")),
    )
    run = runs.create(make_plan())
    with pytest.raises(StudioError, match="stopped being a number"):
        worker.run(run.id)
    status = runs.status(run)
    assert status.state == "failed"
    assert status.hint.render().startswith("Lower the learning rate")


@pytest.mark.thorough
def test_a_run_that_breaks_off_keeps_what_its_best_validation_had_learned(make_plan, monkeypatch):
    real_save, best_states = trainable.save, set()

    def save_then_break(model, folder):
        real_save(model, folder)
        best_states.update({folder.name} if folder.name.startswith("best-") else ())
        if len(best_states) == 3:  # the start, and two validations
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 8 bytes")

    monkeypatch.setattr(trainable, "save", save_then_break)
    run = runs.create(make_plan())
    with pytest.raises(RuntimeError):
        worker.run(run.id)
    status = runs.status(run)
    assert (status.state, status.stage) == ("failed", "train")
    assert "more memory" in status.message.render()
    assert runs.is_usable(run)
    assert runs.is_resumable(run)
    report = runs.report(run)
    assert report["after"]["loss"] < report["before"]["loss"]


def test_every_method_is_compared_with_the_same_base(way, finished):
    name, task = way
    method = methods.get(name)
    if method.weights == "nf4" or method.generate_rows or task not in methods.get("lora").tasks:
        pytest.skip("its base is a rounded one, or its examples are others than LoRA's")
    expected = runs.report(finished("lora", task))["before"]["loss"]
    assert runs.report(finished(name, task))["before"]["loss"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.thorough
@pytest.mark.parametrize("prompt_type", ["prompt_tuning", "p_tuning"])
@pytest.mark.parametrize("task", ["chat", "classify"])
def test_virtual_words_are_compared_with_the_base_too(prompt_type, task, finished, make_plan):
    run = train(make_plan("peft", task, {"type": prompt_type}, epochs=0.25, eval_count=1))
    expected = runs.report(finished("lora", task))["before"]["loss"]
    assert runs.report(run)["before"]["loss"] == pytest.approx(expected, abs=1e-5)


def test_the_verdict_is_measured_on_a_part_that_nothing_was_chosen_by(make_plan):
    run = train(with_data(make_plan("full", "classify", epochs=1), test_share=0.2))
    report = runs.report(run)
    texts = {name: [row["text"] for row in read_split(run, name)] for name in ("train", "validation", "test")}
    assert report["measured_on"] == "test"
    assert [report["data"][name] for name in texts] == [len(texts[name]) for name in texts]
    assert len(texts["test"]) == 12, "a fifth of each of three classes of 20"
    assert not set(texts["test"]) & {*texts["train"], *texts["validation"]}
    test_losses = [point["test_loss"] for point in runs.read_points(run) if "test_loss" in point]
    assert test_losses == [pytest.approx(report["after"]["loss"], abs=1e-5)]
    lowest_validation_loss = min(validation_losses(run).values())
    assert lowest_validation_loss != pytest.approx(report["after"]["loss"], abs=1e-6)


def test_a_fault_in_the_verdict_loses_no_report(make_plan, monkeypatch):
    def judge(*_):
        raise ZeroDivisionError("no rows")

    monkeypatch.setattr(worker.verdict, "judge", judge)
    run = runs.create(make_plan(epochs=0.25, eval_count=1))
    worker.run(run.id)
    report = runs.report(run)
    assert runs.status(run).state == "done"
    assert report["after"]["loss"] > 0
    assert "no rows" in verdict.read_fault(report).render()
    assert verdict.read(report) is None


def test_a_reward_that_seems_gamed_is_noted_for_the_verdict(make_plan):
    run = runs.create(make_plan())
    for step in range(1, 31):
        runs.add_point(
            run,
            "rl",
            step,
            0.0,
            loss=0.1 + 0.01 * (step % 2),
            reward=0.04 * step,
            completion_length=20.0 + step,
        )
    judged = worker._judge(run, {})
    assert judged["gaming"]["text"] == coach.GAMED.text
    assert "verdict" in judged


def test_a_test_set_of_its_own_is_what_is_measured_on(make_plan, classify_csv, tmp_path):
    header, *rows = classify_csv.read_text(encoding="utf-8").splitlines()
    test_csv = tmp_path / "judge.csv"
    test_csv.write_text("\n".join([header, *rows[::5]]) + "\n", encoding="utf-8")
    plan = make_plan("full", "classify", epochs=0.25, eval_count=1)
    report = runs.report(train(with_data(plan, test=str(test_csv))))
    data = report["data"]
    assert (report["measured_on"], data["test"], data["test_name"]) == ("test", 12, "judge.csv")
    assert data["train"] + data["validation"] == 60


def test_a_test_set_with_a_class_that_is_never_learned_is_refused(make_plan, tmp_path):
    test_csv = tmp_path / "judge.csv"
    rows = [f"some text {index},unheard of\nother {index},also new\n" for index in range(8)]
    test_csv.write_text("text,label\n" + "".join(rows), encoding="utf-8")
    run = runs.create(with_data(make_plan("full", "classify"), test=str(test_csv)))
    with pytest.raises(BadData) as caught:
        worker.run(run.id)
    assert caught.value.message.values["classes"] == ["also new", "unheard of"]
    assert runs.status(run).state == "failed"


@pytest.mark.usefixtures("on_processor")
def test_the_share_of_the_cores_is_that_of_computing_not_of_loading(make_plan, set_clock, monkeypatch):
    """A short run loads on a single core for most of its time, and no machine is busy for that."""
    clocks = {"time": 0.0, "process_time": 0.0}
    set_clock(worker, time=lambda: clocks["time"], process_time=lambda: clocks["process_time"])
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    run = runs.create(make_plan("lora", "chat"))
    usage = worker._Usage(run)
    clocks.update(time=10.0, process_time=4.0)
    usage.begin_computing()
    clocks.update(time=20.0, process_time=13.0)
    assert usage.measure(run)["core_share"] == 0.9
    assert usage.measure(run)["seconds"] == 20
    monkeypatch.setattr(worker.cgroups, "available_cores", lambda: 0.5)  # of fewer threads than it began with
    assert usage.measure(run)["core_share"] == 0.9
    offloaded = runs.create(make_plan("lora", "chat", disk_offload=True))
    assert "core_share" not in usage.measure(offloaded), "the cores wait for the disk"
    monkeypatch.setattr(worker.device, "uses_cpu", lambda: False)
    assert "core_share" not in usage.measure(run), "the cores wait for a GPU"
