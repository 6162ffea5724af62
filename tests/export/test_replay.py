"""The held-out rows once more on the export: the same score of the same model, and a warning of another."""

import json
from dataclasses import replace

import pytest

from studio import export
from studio.evaluate.paired import Difference, Estimate
from studio.export import registry
from studio.export.replay import result, run_replay
from studio.export.replay.result import Checked, PromptCheck, Replay
from studio.export.spec import ExportOptions

OPTIONS = ExportOptions(rows=6)
SAME = Difference(0.0, -0.1, 0.1, False, False, 1, 1, 0.2)
WORSE = replace(SAME, value=-0.3, is_worse=True, n_better=0, n_worse=9)
SCORE = Estimate(0.8, 0.7, 0.9)
HITS = Replay("llama.cpp", "accuracy", "hits", "test", 30, 30, SCORE, SCORE, SAME)


@pytest.mark.parametrize(
    ("method", "task", "form", "measure"),
    [
        ("lora", "chat", "adapter", "loss"),
        ("lora", "classify", "adapter", "accuracy"),
        ("full", "classify", "merged", "accuracy"),
        ("full", "complete", "merged", "loss"),
    ],
)
def test_an_export_scores_as_the_model_in_the_studio(method, task, form, measure, finished, tmp_path):
    folder = export.save_result(finished(method, task), form, tmp_path / "out", OPTIONS)
    replay = export.read_check(folder).replay
    assert (replay.measure, replay.n, replay.runtime) == (measure, 6, "transformers")
    assert replay.after.value == pytest.approx(replay.before.value, abs=2e-4)
    assert not replay.is_drop
    for sample in replay.samples:
        assert sample.file == sample.studio
    assert len(replay.samples) == (3 if task == "chat" else 0)


@pytest.mark.parametrize(
    "way",
    [
        pytest.param(("rlhf", "prefer"), marks=pytest.mark.thorough),
        pytest.param(("upft", "prompts"), marks=pytest.mark.thorough),
        *(
            pytest.param(way, marks=pytest.mark.exhaustive)
            for way in (("rlhf", "prompts"), ("qat", "classify"), ("qlora", "chat"))
        ),
    ],
)
def test_every_kind_of_run_can_be_replayed(way, finished, tmp_path):
    run = finished(*way)
    for form in set(export.available_formats(run)) - {"gguf", "browser", "onnx"}:
        folder = export.save_result(run, form, tmp_path / form, OPTIONS)
        replay = export.read_check(folder).replay
        assert replay.after.value == pytest.approx(replay.before.value, abs=1e-3)


def test_weights_that_were_lost_on_the_way_are_a_drop(finished, tmp_path):
    from safetensors.torch import load_file, save_file

    run = finished("full", "classify")
    folder = export.save_result(run, "merged", tmp_path / "out")
    path = folder / "model.safetensors"
    tensors = load_file(path)
    save_file({name: 0 * tensor for name, tensor in tensors.items()}, path, metadata={"format": "pt"})
    checked = run_replay.replay(run, registry.get("merged"), folder, ExportOptions(rows=12))
    assert checked.replay.after.value < checked.replay.before.value
    assert checked.replay.is_drop
    assert "scores worse" in checked.replay.warnings(has_precisions=False)[0].render()


def test_an_export_that_cannot_be_opened_stands_and_says_so(finished, tmp_path, monkeypatch):
    def fail(*arguments):
        raise OSError("no such library")

    broken = replace(registry.get("merged"), open_runtime=fail)
    monkeypatch.setattr(registry, "get", lambda name: broken)
    folder = export.save_result(finished("full", "classify"), "merged", tmp_path / "out", OPTIONS)
    headline, *_ = export.read_check(folder).sentences(False)
    assert headline.render().startswith("Not checked on held-out rows:")
    assert (folder / "model.safetensors").is_file()


def test_time_that_runs_out_ends_the_replay(finished, tmp_path):
    options = ExportOptions(rows=6, seconds=-1)
    folder = export.save_result(finished("lora"), "adapter", tmp_path / "out", options)
    assert "none was answered within" in export.read_check(folder).why_not.render()


def test_the_path_of_the_base_is_in_no_file_of_a_replayed_export(finished, tmp_path):
    run = finished("lora")
    folder = export.save_result(run, "adapter", tmp_path / "out", OPTIONS)
    texts = [path for path in folder.iterdir() if path.suffix in (".md", ".json", ".py")]
    assert [path.name for path in texts if run.plan.model in path.read_text(encoding="utf-8")] == []


@pytest.mark.parametrize(
    ("changed", "is_drop"),
    [
        (HITS, False),
        (replace(HITS, difference=WORSE, after=Estimate(0.5, 0.4, 0.6)), True),
        (replace(HITS, difference=replace(SAME, value=-0.15), after=Estimate(0.65, 0.5, 0.8)), True),
        (replace(HITS, difference=replace(SAME, value=0.15), after=Estimate(0.95, 0.9, 1)), False),
        # A loss that is a thousandth worse is sure, and means nothing.
        (replace(HITS, kind="loss", difference=replace(WORSE, value=-0.001)), False),
        (replace(HITS, kind="loss", difference=WORSE, after=Estimate(1.1, 1, 1.2)), True),
        (
            replace(HITS, kind="errors", difference=replace(SAME, value=-0.3), after=Estimate(1.1, 1, 1.2)),
            True,
        ),
    ],
)
def test_a_drop_is_what_the_paired_test_or_the_interval_shows(changed, is_drop):
    assert changed.is_drop is is_drop
    assert bool(changed.warnings(has_precisions=True)) is is_drop


def test_other_prompts_and_stop_words_are_warned_of():
    checks = (PromptCheck("llama.cpp", 5, 5, ("<end>",)), PromptCheck("Ollama", 5, 3))
    sentences = [message.render() for message in replace(HITS, prompts=checks).warnings(False)]
    assert sentences == [
        "In llama.cpp, <end> do not end an answer: answers there may run on.",
        "In Ollama, 2 of 5 prompts are not what the model was trained on: answers there may differ.",
    ]


def test_a_result_survives_its_file(tmp_path):
    checked = Checked(replace(HITS, prompts=(PromptCheck("Ollama", 1, 1, ("a",)),)))
    result.write(checked, tmp_path, form="gguf")
    assert result.read(tmp_path / result.REPLAY_FILE) == checked
    assert json.loads((tmp_path / result.REPLAY_FILE).read_text())["form"] == "gguf"


def test_a_damaged_result_is_none(tmp_path):
    (tmp_path / result.REPLAY_FILE).write_text("{")
    assert result.read(tmp_path / result.REPLAY_FILE) is None
