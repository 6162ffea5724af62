"""ONNX: a classifier that ONNX Runtime opens gives the labels and numbers that it gave in the studio."""

import subprocess
import sys

import pytest
from export_cases import Case

from studio import export
from studio.errors import NotPossible
from studio.export import fetched_tools, registry, snippets
from studio.export.spec import ExportOptions

ROWS = 12


@pytest.fixture
def tools(monkeypatch, tmp_path_factory):
    """The tools of ONNX, fetched once for all tests."""
    folder, fetch = tmp_path_factory.getbasetemp() / "onnx", fetched_tools.fetch

    def fetch_once(toolset, on_progress=None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STUDIO_HOME", str(folder))
            return fetch(toolset)

    monkeypatch.setattr(fetched_tools, "fetch", fetch_once)
    return fetch_once(fetched_tools.ONNX)


@pytest.mark.exhaustive
@pytest.mark.parametrize(
    "case",
    [
        Case("full", "classify"),
        Case("lora", "classify", base="tiny-sentence"),
        Case("lora", "classify", base="tiny-chat"),
        Case("lora", "classify", target="labels"),
        Case("lora", "classify", target="rating"),
        Case("qat", "classify"),
    ],
    ids=str,
)
def test_a_classifier_scores_as_it_did_and_its_lines_run_without_torch(case, finished_case, tools, tmp_path):
    run = finished_case(case)
    folder = export.save_result(run, "onnx", tmp_path / "out", ExportOptions(rows=ROWS))
    replay = export.read_check(folder).replay
    assert (replay.runtime, replay.n) == ("ONNX Runtime", ROWS)
    assert replay.after.value == pytest.approx(replay.before.value, rel=1e-3)
    assert list(folder.glob("*.safetensors")) == []
    (snippet,) = snippets.list_snippets(run, "onnx")
    code = f"import sys; sys.path.insert(0, {str(tools)!r}); sys.modules['torch'] = None\n{snippet.code}"
    ended = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()


def test_a_model_that_writes_is_sent_to_gguf(make_plan, finished, tmp_path):
    refusal = registry.get("onnx").find_refusal(make_plan("lora"))
    assert "GGUF" in refusal.alternative.render()
    with pytest.raises(NotPossible, match="Take GGUF home"):
        export.save_result(finished("lora"), "onnx", tmp_path / "out")
