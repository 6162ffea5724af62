"""The live view of a run and what came out of it, as the server sends them to the browser."""

import json
import os

import pytest

from studio import methods, runs
from studio.data.quality import surface_rules
from studio.estimate import history
from studio.i18n import Message
from studio.launchers import follower
from studio.plan import REQUIRED_ROLES, Data, MethodChoice
from studio.training import queue as run_queue
from studio.training.stage_titles import STAGE_TITLES
from studio.ui.train import curves, live_view
from studio.ui.train import results as run_results


def test_the_live_view_sends_only_what_is_new(finished):
    run = finished()
    first = live_view.poll([run.id, 0, "en"])
    assert first["kind"] == "done"
    assert first["offset"] == run.metrics_path.stat().st_size
    assert any("eval_loss" in measured for _, _, measured in first["points"])
    assert live_view.poll([run.id, first["offset"], "en"])["points"] == []
    with run.metrics_path.open("ab") as file:
        file.write(json.dumps({"stage": "train", "step": 99, "loss": 1.0}).encode())
    assert live_view.poll([run.id, first["offset"], "en"])["points"] == []
    with run.metrics_path.open("ab") as file:
        file.write(b"\n")
    assert live_view.poll([run.id, first["offset"], "en"])["points"] == [["train", 99, {"loss": 1.0}]]


@pytest.mark.parametrize(
    "sent", [None, [], ["../../etc", 0, "en"], ["a" * 32, 0, "en"], [{}, "x", 3], [1], "text"]
)
def test_the_live_view_trusts_nothing_a_browser_sends(sent):
    assert live_view.poll(sent) == {"gone": True}


def test_the_live_view_speaks_the_browser_s_language(finished):
    run = finished()
    assert live_view.poll([run.id, 0, "en"])["state"] == "Done"
    assert live_view.poll([run.id, 0, "zh"])["state"] == "已完成"


def test_a_failure_is_told_in_the_visitors_language(make_plan):
    run = runs.create(make_plan())
    runs.set_status(
        run,
        "failed",
        message=Message("The disk is full.", translations={"zh": "磁盘已满。"}),
        hint=Message("Free some space.", translations={"zh": "请腾出空间。"}),
    )
    assert live_view.poll([run.id, 0, "en"])["fault"] == "The disk is full. Free some space."
    assert live_view.poll([run.id, 0, "zh"])["fault"] == "磁盘已满。请腾出空间。"


@pytest.mark.parametrize("state", ["done", "stopped"])
def test_what_a_run_has_left_at_another_machine_is_said_when_it_has_ended(make_plan, state):
    run = runs.create(make_plan())
    left = follower.NOT_REMOVED.format(machine="box", why="cut")
    runs.set_status(run, state, "after", message=left)
    assert live_view.poll([run.id, 0, "en"])["line"] == left.render("en")


def test_a_run_stopped_before_it_learned_does_not_say_that_it_kept_anything(make_plan):
    run = runs.create(make_plan())
    runs.set_status(run, "stopped", "before")
    view = live_view.poll([run.id, 0, "en"])
    assert view["state"] == live_view.STATE_NAMES["unlearned"].text
    assert (view["parts"], view["stop"]) == ([], "")


STAGED = (
    {"stage": "sft", "step": 1, "loss": 2.0},
    {"stage": "reward", "step": 1, "eval_accuracy": 0.5},
    {"stage": "rl", "step": 1, "kl": 0.1},
)


def staged(make_plan, name="rlhf", task="prefer", settings=None):
    """A run of several stages, as its worker would have written it."""
    plan = make_plan("lora", "chat")
    columns = {role: role for role in REQUIRED_ROLES[task]}
    choice = MethodChoice(name=name, settings=settings or {})
    run = runs.create(
        plan.model_copy(
            update={"task": task, "method": choice, "data": Data(source="x.csv", columns=columns)}
        )
    )
    for point in STAGED:
        runs.add_point(run, epoch=0.0, **point)
    return run


def test_each_stage_has_its_charts_in_order(make_plan):
    run = staged(make_plan)
    view = live_view.poll([run.id, 0, "en"])
    assert [point[0] for point in view["points"]] == ["sft", "reward", "rl"]
    if "rlhf" not in {item.name for item in methods.METHODS}:
        pytest.skip("RLHF is not built yet")
    charts = [(chart["stage"], [curve["key"] for curve in chart["curves"]]) for chart in view["charts"]]
    assert charts[:6] == [
        ("sft", ["loss", "eval_loss"]),
        ("reward", ["loss", "eval_loss"]),
        ("reward", ["eval_accuracy"]),
        ("rl", ["reward"]),
        ("rl", ["kl"]),
        ("rl", ["completion_length"]),
    ]
    titles = [chart["title"] for chart in view["charts"]]
    assert titles[:4] == [STAGE_TITLES[name].text for name in ("sft", "reward")] + [
        "",
        STAGE_TITLES["rl"].text,
    ]


def test_a_stage_that_is_switched_off_is_neither_drawn_nor_announced(make_plan):
    run = staged(make_plan, settings={"sft": False, "algorithm": "dpo"})
    view = live_view.poll([run.id, 0, "en"])
    assert [chart["id"] for chart in view["charts"]] == ["dpo-loss", "dpo-pairs"]
    names = [part["name"] for part in view["parts"]]
    assert names == [live_view.PREPARE.text, STAGE_TITLES["dpo"].text, live_view.EVALUATE.text]


def test_a_chart_of_shares_has_lines_for_what_guessing_gives(make_plan, finished):
    pairs = live_view.poll([staged(make_plan).id, 0, "en"])["charts"][2]
    assert pairs["share"]
    assert pairs["lines"] == [{"name": curves.GUESSING.render("en", share=0.5), "value": 0.5}]
    run = runs.create(make_plan("lora", "classify"))
    folder = run.folder / "data"
    folder.mkdir()
    write_labels(folder / "train.jsonl", "aab")
    write_labels(folder / "validation.jsonl", "abba")
    accuracy = live_view.poll([run.id, 0, "en"])["charts"][1]
    assert accuracy["lines"] == [{"name": curves.LARGEST_CLASS.render("en", share=0.5), "value": 0.5}]


def write_labels(path, labels):
    path.write_text("".join(json.dumps({"text": "t", "label": label}) + "\n" for label in labels))


def test_only_a_run_with_others_ahead_of_it_waits_for_its_turn(make_plan):
    run = runs.create(make_plan())
    runs.claim(run, os.getpid())
    assert live_view.poll([run.id, 0, "en"])["kind"] == "starting"
    message = run_queue.BEHIND.format(position=2, name="A")
    runs.set_status(run, "waiting", "queue", steps=2, message=message)
    view = live_view.poll([run.id, 0, "en"])
    assert (view["kind"], view["stop"]) == ("waiting", live_view.STOP_MESSAGES["waiting"].text)
    assert view["line"] == message.render()


def test_the_time_left_is_that_of_the_whole_run_where_the_estimate_knows_it(make_plan, monkeypatch):
    run = staged(make_plan)
    runs.claim(run, os.getpid())
    runs.set_status(run, "training", "sft", step=1, steps=9, seconds_left=90.0)
    assert "about 1 min 30 s left in this stage" in live_view.poll([run.id, 0, "en"])["line"]
    stretches = {"sft": 1.0, "reward": 1.0, "rl": 1.0}
    monkeypatch.setattr(history, "load_estimate", lambda run: {"stretches": stretches})
    line = live_view.poll([run.id, 0, "en"])["line"]
    assert "about 1 min 30 s left" in line
    assert "stage" not in line


def test_one_stage_needs_no_title_and_classes_have_an_accuracy(finished):
    assert [
        (chart["id"], chart["title"]) for chart in live_view.poll([finished().id, 0, "en"])["charts"]
    ] == [("train-loss", "")]
    view = live_view.poll([finished("lora", "classify").id, 0, "zh"])
    assert [chart["id"] for chart in view["charts"]] == ["train-loss", "train-accuracy"]
    assert any("eval_accuracy" in measured for _, _, measured in view["points"])


def test_a_run_that_goes_on_is_sent_anew(make_plan):
    run = runs.create(make_plan())
    for step in range(6):
        runs.add_point(run, "train", step, 0.0, loss=float(step))
    first = live_view.poll([run.id, 0, "en", "", 0])
    assert not first["restart"]
    runs.rewind(run, "train", 2)
    for step in (3, 4, 5, 6):
        runs.add_point(run, "train", step, 0.0, loss=float(step))
    again = live_view.poll([run.id, first["offset"], "en", first["file"], 0])
    assert again["restart"]
    assert [point[1] for point in again["points"]] == [0, 1, 2, 3, 4, 5, 6]
    after = live_view.poll([run.id, again["offset"], "en", again["file"], 0])
    assert (after["restart"], after["points"]) == (False, [])


def test_an_answer_stays_small(finished):
    run = finished("lora", "classify")
    first = live_view.poll([run.id, 0, "en", "", 0])
    later = live_view.poll([run.id, first["offset"], "en", first["file"], first["sampled"]])
    assert len(json.dumps(later)) < 4000  # a confusion matrix of three classes is among it


def test_the_latest_answers_of_practice_are_sent_once_and_shortened(make_plan):
    run = staged(make_plan)
    (run.folder / "stages").mkdir()
    rows = [
        {"step": step, "question": "<b>q</b>", "answer": "a" * 999, "reward": step / 3}
        for step in (1, 1, 2, 2, 2, 2, 2)
    ]
    (run.folder / "stages" / "samples.jsonl").write_text(
        "".join(json.dumps(row) + "\n" for row in rows) + '{"step": 3, "ans', encoding="utf-8"
    )
    view = live_view.poll([run.id, 0, "en", "", 0])
    assert len(view["samples"]) == run_results.MAX_SAMPLES
    assert view["samples"][0] == {
        "question": "<b>q</b>",
        "answer": "a" * run_results.MAX_SAMPLE_CHARS + "…",
        "reward": "0.67",
    }
    assert live_view.poll([run.id, 0, "en", "", view["sampled"]])["samples"] is None


NOTES = {
    "reward_model": {
        "pairs": {"held_out": 10},
        "before": {"accuracy": 0.5},
        "after": {"accuracy": 0.9},
        "the_longer_one_is_better": 0.1,
        "surface": {
            "rule": surface_rules.COUNTS["characters"][2].to_json(),
            "share": 0.85,
            "low": 0.5,
            "high": 0.97,
            "n": 10,
        },
    },
    "rl": {
        "questions": {"held_out": 8},
        "before": {"reward": -0.25},
        "after": {"reward": 1.5},
        "samples": [{"question": "q", "before": "b", "after": "<a>", "reward": 1.234}],
    },
    "dpo": {"pairs": {"held_out": 10}, "before": {"preferred": 0.4}, "after": {"preferred": 0.8}},
    "quantisation": {
        "full_precision": {"loss": 1.0, "bytes": 500_000_000},
        "quantised_afterwards": None,
        "quantised_while_training": {"loss": 1.25, "bytes": 100_000_000},
    },
}


def test_what_came_out_is_said_in_sentences_and_tables(make_plan):
    run = staged(make_plan)
    report = {
        "before": {"loss": 2.0, "answer_accuracy": 0.25},
        "after": {"loss": 2.5, "answer_accuracy": 0.5, "n_questions": 8.0},
        "seconds": 65,
        "method": NOTES,
    }
    text = run_results.describe_results(run, report, "en")
    for sentence in (
        "50% of 8 held-out questions answered correctly (95% interval 22% to 78%); by the base model, 25% "
        "(7% to 59%).",
        "Of 10 held-out pairs the reward model ranks 9 as people did; its first guess (a linear fit) 5, "
        "guessing half.",
        "Always picking the shorter answer: 9.",
        "taking the shorter answer: 8 (95% interval 50% to 97%)",
        "score 1.5 on average; before practice, -0.25.",
        "Of 10 held-out pairs it prefers the better answer in 8; before, in 4.",
    ):
        assert sentence in text
    assert "loss" not in text  # practice does not aim at it
    rounded, answers = run_results.build_tables(report, "en")
    assert rounded["heads"] == ["", "full precision", "rounded while training"]
    assert rounded["rows"] == [
        ["validation loss", "1.000", "1.250"],
        ["size of the file", "500.0 MB", "100.0 MB"],
    ]
    assert answers["rows"] == [["q", "b", "<a>", "1.23"]]


def test_upft_says_first_how_many_answers_are_right_and_then_what_its_perplexity_means(make_plan):
    run = runs.create(make_plan("upft", "prompts"))
    before = {"loss": 0.7, "perplexity": 2.0, "answer_accuracy": 0.25}
    after = {"loss": 0.4, "perplexity": 1.5, "answer_accuracy": 0.5, "n_questions": 8.0}
    report = {"before": before, "after": after, "seconds": 65}
    text = run_results.describe_results(run, report, "en")
    assert text.startswith("50% of 8 held-out questions answered correctly")
    assert "perplexity of its own openings went from 2.00 to 1.50. That does not measure quality" in text
    assert "loss" not in text


@pytest.mark.parametrize(
    "report",
    [
        {},
        {"before": {}, "after": {}},
        {"before": None, "after": {"loss": "x"}, "method": "none", "texts": []},
        {
            "method": {
                "rl": {"samples": [None, {"question": {"a": 1}}], "before": 3},
                "quantisation": {"full_precision": {}},
                "openings": [1],
            }
        },
    ],
)
def test_a_report_may_lack_anything(make_plan, report):
    run = runs.create(make_plan())
    assert isinstance(run_results.describe_results(run, report, "zh"), str)
    assert isinstance(run_results.build_tables(report, "zh"), list)


def test_what_a_method_finds_out_on_the_way_is_shown_while_the_run_goes_on_and_afterwards(
    make_job, make_plan
):
    run = runs.create(make_plan())
    job = make_job("lora", "chat", rows=4, folder=run.folder)
    assert live_view.poll([run.id, 0, "en"])["more"] == ""
    job.add_note(
        "first", 1, Message("One.", translations={"zh": "一。"}), Message("Two.", translations={"zh": "二。"})
    )
    job.add_note("second", 2, Message("Three.", translations={"zh": "三。"}))
    assert live_view.poll([run.id, 0, "zh"])["more"] == "一。二。三。"
    job.add_note("first", 3)
    assert live_view.poll([run.id, 0, "en"])["more"] == "Three."
    assert (job.notes["first"], job.notes["second"]) == (3, 2)
    assert run_results.describe_results(run, {}, "en") == "Three."


@pytest.mark.parametrize("state", ["preparing", "training", "evaluating"])
@pytest.mark.parametrize(
    "stage",
    [
        "alike",
        "openings",
        "bottom",
        "asking",
        "sft",
        "reward",
        "rl",
        "dpo",
        "kto",
        "simpo",
        "orpo",
        "full_precision",
        "train",
        "unheard of",
        "",
    ],
)
def test_every_stage_of_a_run_is_said(make_plan, state, stage):
    run = runs.create(make_plan())
    runs.add_point(run, stage, 2, 0.5, loss=1.0, tokens_per_second=10.0, memory_gb=1.0)
    runs.claim(run, os.getpid())
    for step, steps in ((0, 0), (0, 9), (2, 9)):
        runs.set_status(run, state, stage, step=step, steps=steps, seconds_left=5.0)
        for lang in ("en", "zh"):
            line = live_view.poll([run.id, 0, lang])["line"]
            assert "{" not in line
            if step and (state == "training" or stage in live_view.STAGE_MESSAGES):
                assert "2" in line


def test_the_coach_speaks_while_a_run_trains_in_the_visitors_language_and_not_afterwards(make_plan):
    run = runs.create(make_plan())
    for step, loss in enumerate((3.0, 2.0, 1.5)):
        runs.add_point(run, "train", 10 * step, 0.0, eval_loss=loss, best_step=10 * step)
    assert live_view.poll([run.id, 0, "en"])["coach"] == ""
    runs.set_status(run, "training", "train", step=20, steps=30)
    runs.claim(run, os.getpid())
    said = "Learning: validation loss fell from 3.000 to 1.500 by step 20."
    assert live_view.poll([run.id, 0, "en"])["coach"] == said
    assert live_view.poll([run.id, 0, "zh"])["coach"].startswith("正在学习：")
    runs.set_status(run, "done", "after")
    assert live_view.poll([run.id, 0, "en"])["coach"] == ""


def test_the_coach_reads_a_long_curve_again_only_when_it_has_grown_by_a_share(make_plan, monkeypatch):
    run = runs.create(make_plan())
    sizes = []
    monkeypatch.setattr(live_view.coach, "read_curve", lambda points: sizes.append(len([*points])))
    for _ in range(200):
        runs.add_point(run, "train", len(sizes), 0.0, loss=1.0)
        live_view._read_curve(run, runs.Status("training"), "en")
    assert sizes[:3] == [1, 2, 3]
    # From 100 points on, one point is less than a hundredth.
    assert len(sizes) < 180
    assert sizes[-1] >= 198
