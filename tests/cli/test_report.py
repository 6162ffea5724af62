"""`studio report` writes the page for the meeting into a file and says where it is."""

from studio.cli.main import main
from studio.export.meeting import messages


def test_the_page_is_written_in_the_language_asked_for(finished, tmp_path, monkeypatch, capsys):
    run = finished("lora", "classify")
    monkeypatch.chdir(tmp_path)
    assert main(["report", run.id[:8]]) == 0
    assert capsys.readouterr().out.strip() == f"report-{run.id[:8]}.html"
    assert run.plan.name in (tmp_path / f"report-{run.id[:8]}.html").read_text(encoding="utf-8")
    assert main(["report", "last", "--lang", "zh", "--out", "here/page.html"]) == 0
    text = (tmp_path / "here" / "page.html").read_text(encoding="utf-8")
    assert messages.DATA_HEADING.render("zh") in text


def test_a_run_there_is_not_has_no_page(studio_home, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", "last"]) == 1
    assert "No run is called" in capsys.readouterr().err
    assert list(tmp_path.glob("*.html")) == []
