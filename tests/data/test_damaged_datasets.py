"""A damaged file of a data set costs what it holds: every view still opens, or says what is wrong."""

import shutil
from pathlib import Path

import gradio as gr
import pytest
from damages import DAMAGES, list_files, suits
from form_fields import CHINESE, ENGLISH, form_fields
from sampling import sample

from studio.cli.main import main
from studio.data import store
from studio.data.quality.fixes import Change
from studio.errors import StudioError
from studio.ui.data import health, row_browser, saved_datasets
from studio.ui.data import tab as data_tab
from studio.ui.method import tab as method_tab

FIELDS = {"task": "chat", "columns": {"prompt": "prompt", "response": "response"}}
VIEWS = {
    "list": lambda source: store.list_datasets(),
    "saved": lambda source: saved_datasets.refresh_list(source, [source], CHINESE),
    "open": lambda source: data_tab.restore(source, ENGLISH),
    "rows": lambda source: row_browser.show_page(source, "", 1, ENGLISH),
    "examples": lambda source: row_browser.preview_examples(ENGLISH, **form_fields(source=source, **FIELDS)),
    "charts": lambda source: row_browser.draw_charts(ENGLISH, **form_fields(source=source, **FIELDS)),
    "undo": lambda source: health.undo_change(source, [source], 0, ENGLISH),
    "table": lambda source: method_tab.refresh(ENGLISH, **form_fields(source=source, **FIELDS)),
    "`studio data`": lambda source: main(["data", source]),
}


@pytest.mark.thorough
@pytest.mark.parametrize("damage", sample(DAMAGES, ["truncated", "deleted", "no text", "other types"]))
def test_a_damaged_file_of_a_data_set_spoils_no_view(damage, chat_csv, tmp_path, capsys):
    copy = shutil.copy(chat_csv, tmp_path / "other.csv")
    dataset, other = store.add(chat_csv, "questions.csv"), store.add(Path(copy), "other.csv")
    store.apply_change(dataset, Change("edit", cells=((0, "prompt", "What now?"),)))
    folder, whole = dataset.folder, tmp_path / "whole"
    shutil.copytree(folder, whole)
    problems = []
    for file in list_files(whole):
        if not suits(file, damage):
            continue
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
        problems += open_all_views(dataset.source, folder / file, damage)
        assert other.source in [each.source for each in store.list_datasets()]
    assert not problems, "\n".join(problems)
    output = capsys.readouterr()
    assert "Traceback" not in output.out + output.err


def open_all_views(source, path, damage):
    """Damage a file, and return the views that did not open."""
    DAMAGES[damage](path)
    problems = []
    for name, view in VIEWS.items():
        try:
            view(source)
        except (StudioError, gr.Error):  # a sentence
            continue
        except Exception as error:
            problems.append(f"{path.name} {damage}: {name}: {type(error).__name__}: {error}"[:200])
    return problems
