"""`studio export` writes a result into a folder, or says why it cannot."""

from studio import export
from studio.cli.main import main


def test_an_export_prints_its_folder_and_its_card_is_in_the_language_asked_for(finished, tmp_path, capsys):
    run = finished("lora")
    assert main(["export", run.id[:8], "--to", "adapter", str(tmp_path / "out"), "--language", "zh"]) == 0
    assert "## 数据" in (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out.splitlines()[0] == str(tmp_path / "out")
    assert (tmp_path / "out" / "adapter_model.safetensors").is_file()


def test_an_export_in_a_form_there_is_not_ends_with_one(finished, tmp_path, capsys):
    run = finished("lora")
    assert main(["export", "last", "--to", "pickle", str(tmp_path / "out")]) == 1
    assert export.OFFERED_FORMATS.render(offered=export.available_formats(run)) in capsys.readouterr().err


def test_an_export_says_how_it_scores_on_held_out_rows_unless_none_are_asked_for(finished, tmp_path, capsys):
    run = finished("lora")
    assert main(["export", run.id, "--to", "adapter", str(tmp_path / "out"), "--rows", "4"]) == 0
    assert "Checked in transformers on 4 held-out rows: loss " in capsys.readouterr().out
    assert main(["export", run.id, "--to", "adapter", str(tmp_path / "other"), "--rows", "0"]) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'other'}\n"
