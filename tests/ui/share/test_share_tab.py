"""The Share tab, called as plain functions."""

import json

from form_fields import ENGLISH

from studio import runs
from studio.export import card_messages
from studio.ui.playground import tab as playground_tab
from studio.ui.share import tab as share_tab


def test_code_and_card_are_those_of_the_chosen_format(finished):
    run = finished("lora")
    _, formats, _, panel, code, shown, text = share_tab.show_run(run.id, ENGLISH)
    assert formats["value"] == "adapter"
    assert panel["visible"]
    assert code in text
    assert code not in shown
    assert "PeftModel" in code
    assert not shown.startswith("---")
    assert "#### lora on toys" in shown
    _, _, merged_code, *_ = share_tab.show_format(run.id, "merged", "", ENGLISH)
    assert "PeftModel" not in merged_code
    _, panel, *_ = share_tab.show_format(run.id, "../etc", "", ENGLISH)
    assert not panel["visible"]


def test_code_and_card_name_the_file_of_the_chosen_precision(finished):
    run = finished("lora")
    for precision, named in (("", "model-q8_0.gguf"), ("f16", "model-f16.gguf")):
        download, _, code, _, text = share_tab.show_format(run.id, "gguf", precision, ENGLISH)
        assert named in code
        assert named in text
        assert not download["visible"], "it was of another precision"


def test_a_stopped_run_says_so(finished):
    run = finished("lora")
    notice, *_ = share_tab.show_run(run.id, ENGLISH)
    report = {**runs.report(run), "stopped_early": False, "stopped": True}
    (run.folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    notice, *_, text = share_tab.show_run(run.id, ENGLISH)
    assert notice["text"] == card_messages.STOPPED.render()
    assert notice["text"] in text


def test_headings_stand_three_levels_deeper():
    card = "# Title\n\nsome # text\n\n## Part"
    assert share_tab.demote_headings(card) == "#### Title\n\nsome # text\n\n##### Part"


def test_without_a_run_it_says_what_to_do():
    notice, formats, *_ = share_tab.show_run(None, ENGLISH)
    assert notice["text"] == playground_tab.NO_FINISHED_RUN.render()
    assert not formats["visible"]
