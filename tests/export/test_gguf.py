"""GGUF: converted by llama.cpp's own converter, asked in llama.cpp, compared with the model in the studio."""

import ast
import json
import subprocess
import sys

import pytest

from studio import export, processes
from studio.errors import NotPossible
from studio.export import fetched_tools, gguf, snippets, wllama
from studio.export.llama_cpp import client, convert
from studio.export.spec import ExportOptions

NOBODY = "http://127.0.0.1:9/"
EXHAUSTIVE = pytest.mark.exhaustive
ROWS = 8


def write_tokenizer(path, pre_tokenizer, normalizer=None):
    path.write_text(json.dumps({"pre_tokenizer": pre_tokenizer, "normalizer": normalizer}), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("pre_tokenizer", "name"),
    [
        (convert.BYTE_LEVEL, "gpt-2"),
        ({"type": "Sequence", "pretokenizers": [convert.DIGITS, convert.BYTE_LEVEL]}, "smollm"),
        ({**convert.BYTE_LEVEL, "add_prefix_space": True}, ""),
        ({"type": "Sequence", "pretokenizers": [{"type": "Split"}, convert.BYTE_LEVEL]}, ""),
        ({"type": "Whitespace"}, ""),
        (None, ""),
    ],
)
def test_a_tokenizer_that_no_list_names_is_known_by_its_parts(pre_tokenizer, name, tmp_path):
    assert convert.name_pre_tokenizer(write_tokenizer(tmp_path / "t.json", pre_tokenizer)) == name


def test_a_tokenizer_that_changes_its_text_is_known_by_no_parts(tmp_path):
    path = write_tokenizer(tmp_path / "t.json", convert.BYTE_LEVEL, {"type": "Lowercase"})
    assert convert.name_pre_tokenizer(path) == ""


def test_without_a_package_index_a_sentence_says_so(monkeypatch, studio_home):
    for name in ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL"):
        monkeypatch.setenv(name, NOBODY)
    monkeypatch.setenv("PIP_RETRIES", "0")
    monkeypatch.setenv("PIP_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("PIP_FIND_LINKS", "")
    with pytest.raises(NotPossible, match=r"llama\.cpp could not be fetched .* take the whole model home"):
        fetched_tools.fetch(fetched_tools.LLAMA_CPP)
    # What was begun is no toolset: the next time it is fetched again.
    assert [path.name for path in (studio_home / "tools").iterdir() if not path.name.startswith(".")] == []


def test_without_an_npm_registry_a_sentence_says_so(monkeypatch):
    monkeypatch.setenv("NPM_CONFIG_REGISTRY", NOBODY)
    with pytest.raises(NotPossible, match=r"wllama, .* could not be fetched from http://127\.0\.0\.1:9"):
        wllama.fetch(lambda message: None)


def test_a_package_with_another_hash_is_not_unpacked(monkeypatch, studio_home):
    import httpx

    def reply(url, **options):
        return httpx.Response(200, content=b"another package", request=httpx.Request("GET", url))

    monkeypatch.setattr(httpx, "get", reply)
    with pytest.raises(NotPossible, match="its hash is another"):
        wllama.fetch(lambda message: None)
    assert not (studio_home / "tools" / f"wllama-{wllama.VERSION}").exists()


def test_a_precision_that_there_is_not_is_refused_with_those_there_are(finished, tmp_path):
    with pytest.raises(NotPossible, match=r"no precision “q2”.*q8_0, f16, q5_1"):
        export.save_result(finished("lora"), "gguf", tmp_path / "out", ExportOptions(precision="q2"))
    with pytest.raises(NotPossible, match="one precision"):
        export.save_result(finished("lora"), "adapter", tmp_path / "out", ExportOptions(precision="f16"))


@pytest.fixture
def tools(monkeypatch, tmp_path_factory):
    """The tools of llama.cpp, fetched once for all tests."""
    folder = tmp_path_factory.getbasetemp() / "llama-cpp"
    fetch = fetched_tools.fetch

    def fetch_once(toolset, on_progress=None):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("STUDIO_HOME", str(folder))
            return fetch(toolset)

    monkeypatch.setattr(fetched_tools, "fetch", fetch_once)
    return fetch_once(fetched_tools.LLAMA_CPP)


def save_gguf(run, folder, precision=""):
    options = ExportOptions(precision=precision, rows=ROWS)
    return export.read_check(export.save_result(run, "gguf", folder, options)).replay


@EXHAUSTIVE
@pytest.mark.parametrize("precision", [name for name, _ in gguf.PRECISIONS])
def test_the_file_scores_as_the_model_in_the_studio_does(precision, finished, tools, tmp_path):
    replay = save_gguf(finished("lora"), tmp_path / "out", precision)
    assert replay.runtime == "llama.cpp"
    assert replay.n == ROWS
    if precision != "q4_0":  # so narrow a model has no bits to spare
        assert not replay.is_drop
    assert replay.after.value == pytest.approx(replay.before.value, rel=0.2)
    assert [(check.runtime, check.n_same) for check in replay.prompts] == [
        ("llama.cpp", ROWS),
        ("Ollama", ROWS),
    ]
    assert all("Thanks for asking about the" in sample.file for sample in replay.samples)


@EXHAUSTIVE
@pytest.mark.parametrize(
    "way", [("full", "complete"), ("rlhf", "prefer"), ("upft", "prompts"), ("qat", "chat")]
)
def test_the_other_tasks_and_methods_score_as_they_did(way, finished, tools, tmp_path):
    replay = save_gguf(finished(*way), tmp_path / "out")
    assert not replay.is_drop
    assert replay.n > 0


@EXHAUSTIVE
def test_a_damaged_file_is_seen_as_a_drop(finished, tools, tmp_path):
    from studio.export.replay import run_replay

    folder = export.save_result(finished("lora"), "gguf", tmp_path / "out", ExportOptions(precision="f16"))
    (file,) = folder.glob("*.gguf")
    content = bytearray(file.read_bytes())
    # The weights lie at the end: a third of them is set to zero.
    content[-len(content) // 3 :] = bytes(len(content) - (len(content) - len(content) // 3 - 1))[
        : len(content)
    ]
    file.write_bytes(content[: file.stat().st_size])
    checked = run_replay.replay(
        finished("lora"), export.registry.get("gguf"), folder, ExportOptions(rows=ROWS)
    )
    assert checked.replay.is_drop
    assert "scores worse" in checked.replay.warnings(has_precisions=True)[0].render()


@EXHAUSTIVE
def test_the_lines_for_python_run_where_there_is_no_studio(finished, tools, tmp_path):
    run = finished("lora")
    folder = export.save_result(run, "gguf", tmp_path / "out")
    (snippet,) = [item for item in snippets.list_snippets(run, "gguf") if item.language == "python"]
    ast.parse(snippet.code)
    code = f"import sys; sys.path.insert(0, {str(tools)!r})\n{snippet.code}"
    ended = subprocess.run(
        [sys.executable, "-I", "-c", code], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.strip()


@EXHAUSTIVE
def test_what_is_no_gguf_file_is_a_sentence(tools, tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"nothing")
    with (
        client.open_file(tools, tmp_path / "a.gguf", 256, tmp_path / "log") as opened,
        pytest.raises(Exception, match=r"llama\.cpp could not use a\.gguf: .*Take the whole model home"),
    ):
        opened.ask("tokenize", text="a")


def test_a_converter_that_refuses_a_model_leaves_a_sentence(finished, monkeypatch, tmp_path):
    refused = subprocess.CompletedProcess(
        [], 1, "", "Trace\nNotImplementedError: Architecture 'X' not supported!"
    )
    monkeypatch.setattr(fetched_tools, "fetch", lambda *arguments: tmp_path)
    monkeypatch.setattr(processes, "run_module", lambda *arguments: refused)
    with pytest.raises(NotPossible, match=r"Architecture 'X' not supported!.*whole model home"):
        export.save_result(finished("full"), "gguf", tmp_path / "out")


def test_a_method_that_cannot_be_merged_is_refused_with_one_that_can(finished, tmp_path):
    with pytest.raises(NotPossible, match="LoRA"):
        export.save_result(finished("prefix"), "gguf", tmp_path / "out")
