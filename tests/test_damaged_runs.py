"""A damaged file of a run costs what it holds: every view still opens, or says what is wrong."""

import shutil

import pytest
from damages import DAMAGES, list_files, suits
from form_fields import CHINESE, ENGLISH

from studio import run_comparison, run_index, runs
from studio.cli.main import main
from studio.errors import StudioError
from studio.export.meeting import page as meeting_page
from studio.ui import progress_strip
from studio.ui.playground import blind_vote
from studio.ui.playground import tab as playground_tab
from studio.ui.share import tab as share_tab
from studio.ui.train import curves, live_view, more_data, runs_table

VIEWS = {
    "list": lambda run: run_index.summarize_all(),
    "table": lambda run: runs_table.list_runs([run.id], ENGLISH),
    "live view": lambda run: live_view.poll([run.id, 0, "en"]),
    "strip": lambda run: progress_strip.read_run_stages(run.id, [run.id]),
    "more data": lambda run: more_data.look(run.id, ENGLISH),
    "playground": lambda run: playground_tab.show_run(run.id, CHINESE),
    "vote": lambda run: blind_vote.update_choices(run.id, [run.id], ENGLISH),
    "share": lambda run: share_tab.show_run(run.id, ENGLISH),
    "meeting": lambda run: meeting_page.render_page(run, "zh"),
    "comparison": lambda run: run_comparison.compare(runs.all_runs()),
    "`studio runs`": lambda run: main(["runs"]),
    "`studio verdict`": lambda run: main(["verdict", run.id]),
    "`studio report`": lambda run: main(["report", run.id, "--out", str(run.folder.parent / "report.html")]),
}


WAYS = ("lora-classify", "rlhf-prefer", "upft-chat")
SAMPLED = (("lora-classify", "truncated"), ("lora-classify", "other types"), ("rlhf-prefer", "deleted"))
EXHAUSTIVE = [(way, damage) for way in WAYS for damage in DAMAGES if (way, damage) not in SAMPLED]
CASES = [
    *(pytest.param(*case, marks=pytest.mark.thorough) for case in SAMPLED),
    *(pytest.param(*case, marks=pytest.mark.exhaustive) for case in EXHAUSTIVE),
]


@pytest.mark.parametrize(("way", "damage"), CASES)
def test_a_damaged_file_of_a_run_spoils_no_view(way, damage, finished, tmp_path, capsys):
    run = finished(*way.split("-"))
    runs.create(run.plan)  # beside another one
    whole = tmp_path / "whole"
    shutil.copytree(run.folder, whole)
    problems = []
    for file in list_files(whole):
        if not suits(file, damage):
            continue
        shutil.rmtree(run.folder)
        shutil.copytree(whole, run.folder)
        problems += open_all_views(run, file, damage)
    assert not problems, "\n".join(problems)
    output = capsys.readouterr()
    assert "Traceback" not in output.out + output.err


def open_all_views(run, file, damage):
    """Damage a file, and return the views that did not open."""
    DAMAGES[damage](run.folder / file)
    curves._largest_class_share.cache_clear()
    problems = []
    for name, view in VIEWS.items():
        try:
            view(run)
        except StudioError:  # a sentence
            continue
        except Exception as error:
            problems.append(f"{file} {damage}: {name}: {type(error).__name__}: {error}"[:200])
    return problems
