"""A whole run, called in place on a tiny real model: what it leaves behind, and what it says when it cannot go on."""

import json
import math
import os
import random
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections import namedtuple

import pytest
from safetensors.torch import load_file

from studio import methods, plan, runs
from studio.data import store
from studio.errors import BadData, BadPlan, ModelUnavailable, OutOfDiskSpace, StudioError
from studio.estimate.machines import hardware
from studio.models import load, shape
from studio.plan import REQUIRED_ROLES, Data
from studio.storage import home
from studio.training import launcher, worker
from studio.training import queue as run_queue
from studio.training.memory import limit_memory

Usage = namedtuple("Usage", "total used free")


def changed(found, **parts):
    return found.model_copy(update=parts)


def started(found):
    run = runs.create(found)
    worker.run(run.id)
    return run


def failing(found, kind):
    """The run and its status after the failure of a plan."""
    run = runs.create(found)
    with pytest.raises(kind):
        worker.run(run.id)
    status = runs.status(run)
    assert status.state == "failed"
    assert status.message
    assert status.hint.render()
    assert "Traceback" not in status.message.render()
    assert not runs.is_usable(run)
    assert not runs.is_resumable(run)
    return run, status


@pytest.fixture
def by_heart(make_plan, tmp_path):
    """A plan whose answers are drawn by lot: they can be learned by heart, and examples not seen get worse for it."""
    chance, path = random.Random(0), tmp_path / "lots.csv"
    rows = [
        f"where is {number},{' '.join(chance.choices(['red', 'blue', 'green', 'gold', 'pink'], k=6))}\n"
        for number in range(40)
    ]
    path.write_text("prompt,response\n" + "".join(rows), encoding="utf-8")

    def make(**training):
        chosen = {
            "epochs": 30,
            "eval_count": 10,
            "lr_scheduler_type": "constant",
            "validation_share": 0.4,
            **training,
        }
        return changed(make_plan("full", **chosen), data=Data(source=str(path), validation_share=0.4))

    return make


def losses(run):
    """Validation loss by step, as it was measured in the training that is compared with the base."""
    stage = methods.get(run.plan.method.name).stages[0]
    return {
        point["step"]: point["eval_loss"]
        for point in runs.read_points(run)
        if point["stage"] == stage and "eval_loss" in point
    }


def by_stage(points):
    """Points by the stage they belong to, in order."""
    found = {}
    for point in points:
        found.setdefault(point["stage"], []).append(point)
    return found


def test_a_run_leaves_the_files_others_rely_on(way, finished):
    run = finished(*way)
    assert {path.name for path in run.folder.iterdir()} - {"stages", "notes.json"} == {
        "plan.yaml",
        "metrics.jsonl",
        "status.json",
        "worker.log",
        "process.json",
        "report.json",
        "data",
        "model",
    }
    assert {path.name for path in (run.folder / "data").iterdir()} - {"openings.json"} == {
        "train.jsonl",
        "validation.jsonl",
        "about.json",
    }
    assert (run.folder / "data" / "openings.json").is_file() == (
        methods.get(way[0]).generate_rows is not None
    )
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
    for of_stage in by_stage(points).values():
        assert [point["step"] for point in of_stage] == sorted(point["step"] for point in of_stage)


def test_training_points_hold_what_was_measured(way, finished):
    run = finished(*way)
    stages = by_stage(point for point in runs.read_points(run) if "loss" in point)
    assert len(list(stages.values())[-1]) == runs.status(run).steps
    for measured in stages.values():
        assert [point["step"] for point in measured] == list(range(1, len(measured) + 1))
        for point in measured:
            assert point["tokens_per_second"] >= 0
            assert 0 < point["memory_gb"] < 100
            assert 0 <= point["learning_rate"] <= 1e-2
    compared = stages[methods.get(way[0]).stages[0]]
    assert all(point["loss"] > 0 and point["tokens_per_second"] > 0 for point in compared)
    assert compared[-1]["epoch"] == pytest.approx(run.plan.training.epochs)


def test_validation_is_measured_before_the_first_step_and_as_often_as_planned(way, finished):
    run = finished(*way)
    found = losses(run)
    steps = max(found)
    every = -(-steps // 3)
    assert sorted(found) == sorted({0, *range(every, steps + 1, every), steps})
    assert found[0] == pytest.approx(runs.report(run)["before"]["loss"], abs=1e-5)


def test_the_report_says_what_was_trained_on_what(way, finished, bases):
    run = finished(*way)
    report, name, task = runs.report(run), *way
    rows = 60 if task == "classify" else 40
    data = report["data"]
    assert (data["rows"], data["damaged"], data["incomplete"]) == (rows, 0, 0)
    assert (data["train"], data["validation"]) == (rows * 4 // 5, rows // 5)
    assert data["sha256"] == store.find(run.plan.data.source).sha256
    method = methods.get(name)
    count = method.count_parameters(
        shape.from_folder(bases(task)), method.resolve_settings({}), len(report["labels"])
    )
    assert report["parameters"] == {"trainable": count.trainable, "total": count.total}
    assert report["labels"] == (["billing", "delivery", "returns"] if task == "classify" else [])
    assert report["learning_rate"] == run.plan.training.learning_rate
    most = (
        64 - 20 if (name, task) == ("prefix", "classify") else run.plan.training.max_length
    )  # the tiny reader has 64 places
    assert report["texts"] == {"max_length": most, "cut": 0, "dropped": 0}
    assert (report["training"]["epochs"], report["training"]["batch_size"]) == (run.plan.training.epochs, 8)
    assert isinstance(report["method"], dict)


def test_settings_left_out_are_chosen_by_the_data_and_written_down(make_plan):
    found = make_plan("full", "chat", epochs=None, batch_size=None, learning_rate=None, eval_count=1)
    report = runs.report(started(found))
    # 32 examples: portions of 8, and the most rounds a chat is given, 3; full fine-tuning of a small model at 5e-5
    assert (report["training"]["epochs"], report["training"]["batch_size"], report["learning_rate"]) == (
        3,
        8,
        5e-5,
    )
    assert report["training"]["learning_rate"] == 5e-5


def test_a_stopped_run_keeps_what_it_needs_to_go_on_and_a_done_one_does_not(make_plan, finished):
    assert not (finished("lora", "chat").folder / "checkpoints").exists()
    run = runs.create(make_plan(epochs=100, eval_count=50))
    stopper = threading.Thread(target=lambda: (wait_for(lambda: len(losses(run)) > 2), launcher.stop(run)))
    stopper.start()
    worker.run(run.id)
    stopper.join()
    assert (run.folder / "checkpoints" / "before.json").is_file()
    assert runs.is_resumable(run)


def wait_for(there):
    until = time.time() + 60
    while not there() and time.time() < until:
        time.sleep(0.01)


def test_the_kept_rows_are_the_split_of_the_plan(way, finished):
    run = finished(*way)
    kept = {
        name: (run.folder / "data" / f"{name}.jsonl").read_text(encoding="utf-8")
        for name in ("train", "validation")
    }
    parts = {name: [json.loads(line) for line in text.split("\n") if line] for name, text in kept.items()}
    key = REQUIRED_ROLES[way[1]][0]
    seen, unseen = ({row[key] for row in parts[name]} for name in ("train", "validation"))
    assert len(seen | unseen) == sum(map(len, parts.values()))
    assert not seen & unseen


def test_the_checksum_of_the_base_is_that_of_its_weights(finished, tiny_chat):
    report = runs.report(finished("lora"))
    assert report["base"]["checksum"] == load.fingerprint(load.base_model(tiny_chat, "chat"))
    assert report["tuned"]["checksum"] != report["base"]["checksum"]


def test_the_same_plan_gives_the_same_result(make_plan):
    first, second = (started(make_plan(epochs=1)) for _ in range(2))
    assert losses(first) == losses(second)
    assert runs.report(first)["tuned"] == runs.report(second)["tuned"]


def test_another_seed_gives_another_result(make_plan):
    first, second = (started(make_plan(epochs=1, seed=seed)) for seed in (1, 2))
    assert runs.report(first)["tuned"] != runs.report(second)["tuned"]


def test_columns_left_out_are_guessed(make_plan):
    report = runs.report(started(make_plan(epochs=0.5)))
    assert report["data"]["columns"] == {"prompt": "prompt", "response": "response"}


@pytest.mark.parametrize(
    ("method", "settings", "most"),
    [
        ("lora", {}, 64),
        ("prefix", {"virtual_tokens": 20}, 44),
        ("prefix", {"virtual_tokens": 9, "projection": False}, 55),
        ("peft", {"type": "prompt_tuning", "prompt_tuning_num_virtual_tokens": 30}, 34),
        ("peft", {"type": "p_tuning", "p_tuning_num_virtual_tokens": 12}, 52),
    ],
)
def test_texts_longer_than_what_the_model_can_read_are_cut_and_counted(
    method, settings, most, make_plan, classify_csv
):
    with classify_csv.open("a", encoding="utf-8") as file:
        file.write(f"{'the parcel is late ' * 100},delivery\n")
    found = make_plan(method, "classify", settings, epochs=0.5, max_length=512)
    texts = runs.report(started(changed(found, data=Data(source=str(classify_csv)))))["texts"]
    assert texts == {"max_length": most, "cut": 1, "dropped": 0}


def test_an_example_whose_prompt_fills_the_context_is_dropped_and_counted(make_plan, chat_csv):
    with chat_csv.open("a", encoding="utf-8") as file:
        file.write(f"{'where is the lamp ' * 300},Here.\n")
    found = make_plan(epochs=0.5, max_length=512)
    texts = runs.report(started(changed(found, data=Data(source=str(chat_csv)))))["texts"]
    assert (texts["max_length"], texts["dropped"]) == (256, 1)


def test_the_best_state_is_kept_and_not_the_last(by_heart):
    run = started(by_heart())
    found, report = losses(run), runs.report(run)
    best = min(found, key=found.get)
    assert 0 < best < max(found), "this training was meant to get worse again"
    assert report["best_step"] == best
    assert report["after"]["loss"] == pytest.approx(found[best], abs=1e-5)


def test_a_training_that_only_made_it_worse_keeps_its_best_state_and_says_which(make_plan):
    run = started(
        make_plan("full", epochs=2, learning_rate=0.5, lr_scheduler_type="constant", warmup_ratio=0.0)
    )
    found, report = losses(run), runs.report(run)
    trained = {step: loss for step, loss in found.items() if step}
    assert min(trained.values()) > found[0], "this training was meant to fail"
    best = min(trained, key=trained.get)
    assert report["best_step"] == best
    assert report["after"]["loss"] == pytest.approx(trained[best], rel=1e-4)


@pytest.mark.parametrize(
    ("schedule", "share"),
    [
        ("linear", lambda step: min(step / 4, (16 - step) / 12)),
        ("cosine", lambda step: min(step / 4, (1 + math.cos(math.pi * max(0, step - 4) / 12)) / 2)),
        ("constant_with_warmup", lambda step: min(step / 4, 1)),
        ("constant", lambda step: 1),
    ],
)
def test_the_learning_rate_follows_its_schedule_after_the_warm_up(schedule, share, make_plan):
    run = started(
        make_plan(
            epochs=4,
            batch_size=8,
            learning_rate=1e-3,
            lr_scheduler_type=schedule,
            warmup_ratio=0.25,
            eval_count=1,
        )
    )
    rates = [point["learning_rate"] for point in runs.read_points(run) if "learning_rate" in point]
    assert len(rates) == 16
    assert rates == pytest.approx([1e-3 * share(step) for step in range(16)], abs=2e-8)


def test_weight_decay_keeps_what_is_learned_smaller(make_plan):
    def size(decay):
        run = started(make_plan(epochs=2, learning_rate=1e-2, weight_decay=decay, eval_count=1))
        return sum(
            float(value.square().sum())
            for value in load_file(run.model / "adapter_model.safetensors").values()
        )

    assert size(1.0) < 0.95 * size(0.0)


def test_a_training_without_progress_stops_early_when_patience_ends(by_heart):
    run = started(by_heart(early_stopping_patience=2))
    report = runs.report(run)
    assert report["stopped_early"]
    assert not report["stopped"]
    assert runs.status(run).state == "done"
    after_best = [step for step in losses(run) if step > report["best_step"]]
    assert len(after_best) == 2


def test_a_run_stopped_half_way_keeps_what_it_has_learned(make_plan):
    run = runs.create(make_plan(epochs=100, eval_count=2))

    def stop():
        while max((point["step"] for point in runs.read_points(run)), default=0) < 5:
            time.sleep(0.01)
        launcher.stop(run)

    stopper = threading.Thread(target=stop)
    stopper.start()
    worker.run(run.id)
    stopper.join()
    status, report = runs.status(run), runs.report(run)
    assert status.state == "stopped"
    assert 5 <= status.step < status.steps == 400
    assert report["stopped"]
    assert report["after"]["loss"] < report["before"]["loss"]
    assert runs.is_usable(run)


def test_a_run_stopped_before_its_first_step_has_learned_nothing(make_plan):
    run = runs.create(make_plan())
    launcher.stop(run)
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    assert not runs.is_usable(run)


def test_a_run_waits_for_an_older_one_and_a_stop_ends_the_waiting(make_plan):
    older, run = runs.create(make_plan()), runs.create(make_plan())
    runs.set_status(older, "training", "train")
    seen = []

    def watch():
        while runs.status(run).stage != "queue":
            time.sleep(0.01)
        seen.append(runs.status(run))
        launcher.stop(run)

    watcher = threading.Thread(target=watch)
    watcher.start()
    worker.run(run.id)
    watcher.join()
    assert (seen[0].state, seen[0].steps) == ("waiting", 1)
    assert runs.status(run).state == "stopped"


@pytest.mark.parametrize(
    ("free", "room"),
    [(8_000_000_000, 7_000_000_000), (1_500_000_000, 750_000_000), (300_000_000, 150_000_000)],
)
def test_a_run_never_has_more_than_is_free(monkeypatch, free, room):
    set_to = []
    monkeypatch.setattr(hardware, "free_memory", lambda: free)
    monkeypatch.setattr(hardware, "data_segment_bytes", lambda: 500)
    monkeypatch.setattr(resource, "setrlimit", lambda what, values: set_to.append(values[0]))
    limit_memory()
    assert set_to == [500 + room]


@pytest.mark.parametrize(
    ("state", "older", "ahead"),
    [
        ("waiting", True, True),
        ("waiting", False, False),
        ("training", False, True),
        ("preparing", False, True),
        ("done", True, False),
    ],
)
def test_a_run_waits_for_whoever_goes_and_for_older_ones_that_wait(
    make_plan, monkeypatch, state, older, ahead
):
    first, second = runs.create(make_plan()), runs.create(make_plan())
    os.utime(second.folder / "plan.yaml", (first.created + 9, first.created + 9))
    other, this = (first, runs.get(second.id)) if older else (runs.get(second.id), first)
    runs.set_status(other, state, "train")
    assert run_queue.is_ahead(other, this) == ahead


def test_an_unknown_model_fails_with_what_can_be_chosen(make_plan):
    _, status = failing(changed(make_plan(), model="no-such-model"), ModelUnavailable)
    assert status.message.render() == "There is no model “no-such-model”."
    assert "Choose one from the list" in status.hint.render()
    assert status.failure_text("zh").startswith("没有模型“no-such-model”。请从列表里选")


def test_a_hub_model_out_of_reach_fails_with_those_that_need_no_hub(make_plan):
    _, status = failing(changed(make_plan(), model="someone/some-model"), ModelUnavailable)
    assert "hub does not answer" in status.message.render()
    assert "smollm2-135m" in status.hint.render()


def test_a_missing_column_fails_with_those_there_are(make_plan, toys):
    data = Data(source=str(toys["chat"]), columns={"prompt": "prompt", "response": "antwort"})
    _, status = failing(changed(make_plan(), data=data), BadData)
    assert status.message.render() == "“chat.csv” has no column “antwort”; it has prompt, response."


def test_data_for_another_task_fails_with_its_columns(make_plan, toys):
    _, status = failing(changed(make_plan(), data=Data(source=str(toys["classify"]))), BadData)
    assert "text, label" in status.message.render()
    assert "“”" not in status.message.render()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "is empty"),
        (b"\x00\x01\x02" * 99, "not text"),
        (b"prompt,response\na,b\n", "1 complete example"),
        (None, "There is no file"),
    ],
    ids=["empty", "binary", "one row", "gone"],
)
def test_a_file_that_cannot_be_used_fails_with_a_sentence(make_plan, tmp_path, content, said):
    path = tmp_path / "mine.csv"
    if content is not None:
        path.write_bytes(content)
    _, status = failing(changed(make_plan(), data=Data(source=str(path))), BadData)
    assert said in status.message.render()
    assert "mine.csv" in status.message.render()


def test_a_full_disk_fails_before_it_is_full(make_plan, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: Usage(10**9, 10**9, 1000))
    run, status = failing(make_plan(epochs=1), OutOfDiskSpace)
    assert "GB are needed" in status.message.render()
    assert "--home" in status.hint.render()
    assert 0 in losses(run)  # what was measured is kept


def test_no_memory_fails_with_what_to_make_smaller(make_plan, monkeypatch):
    from studio.methods.training import supervised

    def fit(job, *_):
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 99 bytes")

    monkeypatch.setattr(supervised, "fit", fit)
    run = runs.create(make_plan())
    with pytest.raises(RuntimeError):
        worker.run(run.id)
    status = runs.status(run)
    assert (status.state, status.stage) == ("failed", "train")
    assert status.message.render() == "The training needed more memory than this machine has free."
    assert "smaller batch" in status.hint.render()


def test_a_run_that_is_interrupted_says_so_in_a_sentence(make_plan, monkeypatch):
    from studio.methods.training import supervised

    def fit(job, *_):
        raise KeyboardInterrupt

    monkeypatch.setattr(supervised, "fit", fit)
    run = runs.create(make_plan())
    with pytest.raises(KeyboardInterrupt):
        worker.run(run.id)
    status = runs.status(run)
    assert status.state == "failed"
    assert "does not know" not in status.message.render()


def test_a_process_that_asks_for_more_memory_than_is_free_is_told_and_not_ended():
    asking = (
        "import torch\n"
        "from studio.estimate.machines import hardware\n"
        "from studio.errors import explain\n"
        "from studio.training.memory import limit_memory\n"
        "limit_memory()\n"
        "try: torch.empty(hardware.free_memory() + 10**9, dtype=torch.uint8)\n"
        "except Exception as error: print(type(explain(error)).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", asking], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout.strip()) == (0, "OutOfMemory"), done.stderr


def test_a_model_that_turns_out_not_to_fit_is_refused_before_it_trains(make_plan, tiny_bert):
    plan = make_plan().model_copy(
        update={"model": str(tiny_bert)}
    )  # as one of the hub that nobody knew before it came
    run = runs.create(plan)
    with pytest.raises(BadPlan, match="only reads"):
        worker.run(run.id)
    assert "only reads" in runs.status(run).message.render()
    assert not list(runs.read_points(run))


def test_a_model_of_the_hub_that_is_here_is_judged_like_any_other(tiny_bert):
    asked = {"task": "chat", "model": "owner/reader", "method": {"name": "lora"}}
    assert methods.find_plan_problems(asked) == [], "nobody knows it yet"
    folder = home() / "models" / "owner--reader"
    shutil.copytree(tiny_bert, folder)
    (folder / "source.json").write_text(
        json.dumps({"name": "reader", "note": {"en": "from the hub", "zh": "来自 Hub"}})
    )
    (problem,) = methods.find_plan_problems(asked)
    assert (problem.key, "only reads" in problem.message.render()) == ("method.name", True)


def test_a_spoilt_plan_fails_with_its_problems(make_plan):
    run = runs.create(make_plan())
    text = (run.folder / "plan.yaml").read_text()
    (run.folder / "plan.yaml").write_text(text.replace("task: chat", "task: sing"))
    with pytest.raises(StudioError):
        worker.run(run.id)
    assert "task" in runs.status(run).message.render()


def test_a_plan_written_by_a_run_trains_again(finished, tmp_path):
    run = finished("lora")
    again = plan.load(run.folder / "plan.yaml", ("training.epochs=0.5",), (methods.find_plan_problems,))
    assert runs.status(started(again)).state == "done"


def test_a_loss_that_is_no_number_ends_the_run_with_a_sentence(make_plan):
    run = runs.create(make_plan(learning_rate=1.0, epochs=20, settings={"alpha": 1024, "rank": 1}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "studio.data.collate._mean_cross_entropy",
            lambda logits, labels, count: logits.sum() * float("nan"),
        )
        with pytest.raises(StudioError, match="stopped being a number"):
            worker.run(run.id)
    status = runs.status(run)
    assert (status.state, status.hint.render().startswith("Lower the learning rate")) == ("failed", True)


def test_a_run_that_breaks_off_keeps_what_its_best_validation_had_learned(make_plan, monkeypatch):
    from studio.models import trainable

    real, seen = trainable.save, []

    def save_then_break(model, folder):
        real(model, folder)
        seen.append(folder.name)
        if seen.count("train") == 2:
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
    found = runs.report(run)
    assert found["after"]["loss"] < found["before"]["loss"]


def test_a_run_stopped_before_training_says_that_nothing_was_learned(make_plan):
    run = runs.create(make_plan())
    run.stop_file.touch()
    worker.run(run.id)
    assert runs.status(run).state == "stopped"
    assert not runs.is_usable(run)


def test_every_method_is_compared_with_the_same_base(way, finished):
    method, task = way
    if (
        methods.get(method).weights == "nf4"
        or methods.get(method).generate_rows
        or task not in methods.get("lora").tasks
    ):
        pytest.skip("its base is a rounded one, or its examples are others than LoRA's")
    same = runs.report(finished("lora", task))
    assert runs.report(finished(method, task))["before"]["loss"] == pytest.approx(
        same["before"]["loss"], abs=1e-5
    )


@pytest.mark.parametrize("kind", ["prompt_tuning", "p_tuning"])
@pytest.mark.parametrize("task", ["chat", "classify"])
def test_virtual_words_are_compared_with_the_base_too(kind, task, finished, make_plan):
    run = runs.create(make_plan("peft", task, {"type": kind}, epochs=1))
    worker.run(run.id)
    assert runs.report(run)["before"]["loss"] == pytest.approx(
        runs.report(finished("lora", task))["before"]["loss"], abs=1e-5
    )


def test_the_verdict_is_measured_on_a_part_that_nothing_was_chosen_by(make_plan):
    plan = make_plan("full", "classify", epochs=2)
    run = started(plan.model_copy(update={"data": plan.data.model_copy(update={"test_share": 0.2})}))
    report = runs.report(run)
    parts = {
        name: [
            json.loads(line)["text"]
            for line in (run.folder / "data" / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
        ]
        for name in ("train", "validation", "test")
    }
    assert report["measured_on"] == "test"
    assert [report["data"][name] for name in parts] == [len(part) for part in parts.values()]
    assert len(parts["test"]) == 12  # a fifth of each of three classes of 20
    assert not set(parts["test"]) & {*parts["train"], *parts["validation"]}
    measured = [point for point in runs.read_points(run) if "test_loss" in point]
    assert [point["test_loss"] for point in measured] == [pytest.approx(report["after"]["loss"], abs=1e-5)]
    assert min(
        point["eval_loss"] for point in runs.read_points(run) if "eval_loss" in point
    ) != pytest.approx(report["after"]["loss"], abs=1e-6)


def test_a_test_set_of_its_own_is_what_is_measured_on(make_plan, classify_csv, tmp_path):
    plan = make_plan("full", "classify", epochs=1)
    rows = classify_csv.read_text(encoding="utf-8").splitlines()
    own = tmp_path / "judge.csv"
    own.write_text("\n".join([rows[0], *rows[1::5]]) + "\n", encoding="utf-8")
    report = runs.report(
        started(plan.model_copy(update={"data": plan.data.model_copy(update={"test": str(own)})}))
    )
    assert (report["measured_on"], report["data"]["test"], report["data"]["test_name"]) == (
        "test",
        12,
        "judge.csv",
    )
    assert report["data"]["train"] + report["data"]["validation"] == 60


def test_a_test_set_with_a_class_that_is_never_learned_is_refused(make_plan, tmp_path):
    plan = make_plan("full", "classify")
    own = tmp_path / "judge.csv"
    own.write_text(
        "text,label\n" + "".join(f"some text {n},unheard of\nother {n},also new\n" for n in range(8)),
        encoding="utf-8",
    )
    run = runs.create(plan.model_copy(update={"data": plan.data.model_copy(update={"test": str(own)})}))
    with pytest.raises(StudioError, match="classes that are never learned: also new, unheard of"):
        worker.run(run.id)
    assert runs.status(run).state == "failed"
