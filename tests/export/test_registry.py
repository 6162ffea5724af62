"""A new export format is one file and one entry: page, command line and card know it at once."""

import re
import zipfile
from types import SimpleNamespace

import pytest
import yaml

from studio import export, methods, processes, runs
from studio.cli.main import main
from studio.export import card, process, registry
from studio.export.spec import NOT_OF_THIS_METHOD, ExportFormat, copy_model
from studio.i18n import Message
from studio.methods import compatibility
from studio.ui.share import tab as share_tab

REQUEST = SimpleNamespace(headers={}, query_params={}, session_hash="one")


# What every export has beside it.
WRITTEN = ("README.md", "plan.yaml", "export.json")


def write_text_only(run, folder, options):
    folder.mkdir(exist_ok=True)
    (folder / "weights.txt").write_text(runs.report(run)["tuned"]["checksum"])


FOURTH = ExportFormat(
    name="checksum",
    label=Message("The checksum alone"),
    write=write_text_only,
    source="merged",
    library="toy",
    import_lines=lambda usage: [f"import toy  # {usage.method.name} {usage.language}"],
    load_lines=lambda usage: [f'model = toy.load("{usage.base}")'],
)


@pytest.fixture
def fourth(monkeypatch):
    """A fourth format in the registry, also for what a child process would do: it runs here instead."""
    monkeypatch.setattr(registry, "EXPORT_FORMATS", (*registry.EXPORT_FORMATS, FOURTH))
    monkeypatch.setattr(registry, "NAMES", (*registry.NAMES, FOURTH.name))

    def run_here(module, request, *others):
        assert module == "studio.export.process"
        process.answer(request)
        yield from ()

    monkeypatch.setattr(processes, "stream_replies", run_here)
    return FOURTH.name


def test_a_fourth_format_is_listed_after_the_others(fourth, finished, make_plan):
    assert export.available_formats(finished("lora")) == ("adapter", "merged", "gguf", "browser", fourth)
    unmergeable = runs.create(make_plan("prefix"))
    assert export.available_formats(unmergeable) == ("adapter",)


def test_the_page_offers_a_fourth_format_and_prepares_its_download(fourth, finished):
    run = finished("lora")
    _, dropdown, *_ = share_tab.show_run(run.id, REQUEST)
    assert (FOURTH.label.render(), fourth) in dropdown["choices"]
    *_, (_, download, _) = share_tab.prepare_download(run.id, fourth, None, REQUEST)
    with zipfile.ZipFile(download["value"]) as archive:
        assert archive.read("weights.txt").decode() == runs.report(run)["tuned"]["checksum"]
        assert {"README.md", "plan.yaml"} <= set(archive.namelist())


def test_the_command_line_writes_a_fourth_format_and_names_it_in_its_help(fourth, finished, tmp_path, capsys):
    assert main(["export", finished("lora").id, "--to", fourth, str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {*WRITTEN, "weights.txt"}
    capsys.readouterr()
    with pytest.raises(SystemExit):
        main(["export", "--help"])
    help_text = " ".join(capsys.readouterr().out.split())
    assert (
        "a form such as adapter, browser, checksum, gguf, merged, onnx or packed, and a new folder"
        in help_text
    )


def test_the_card_of_a_fourth_format_says_how_it_is_opened(fourth, finished):
    run = finished("lora")
    text = card.render_card(run, fourth)
    assert yaml.safe_load(text.split("---")[1])["library_name"] == "toy"
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert "import toy  # lora en\n" in code
    assert f'model = toy.load("{runs.report(run)["base"]["name"]}")' in code


def test_every_format_a_method_names_is_in_the_registry():
    names = {export_format.name for export_format in registry.EXPORT_FORMATS}
    assert {name for method in methods.METHODS for name in method.exports} <= names


def test_a_format_is_offered_as_the_method_says(make_plan):
    plain = ExportFormat(name="adapter", label=Message("A plain one"), write=copy_model)
    assert plain.find_refusal(make_plan("lora")) is None
    assert plain.find_refusal(make_plan("full")) is NOT_OF_THIS_METHOD


def test_what_cannot_be_merged_is_refused_for_the_reason_that_its_card_gives(make_plan):
    refusal = registry.get("gguf").find_refusal(make_plan("prefix"))
    assert refusal == compatibility.find_export_incompatibility("prefix", "merged")
    assert "LoRA" in refusal.alternative.render()


@pytest.mark.parametrize("form", ["gguf", "browser"])
def test_a_classifier_is_not_offered_where_only_texts_are_written(form, make_plan):
    refusal = registry.get(form).find_refusal(make_plan("full", "classify"))
    assert "no classifiers" in refusal.reason.render()
    assert registry.get(form).find_refusal(make_plan("full", "chat")) is None
