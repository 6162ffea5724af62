"""The command line as a whole.

Its commands, its help and its exit codes (0 done, 1 failed, 2 the plan or the call is wrong).
"""

import importlib
import subprocess
import sys
from typing import get_args

import pytest

from studio import __version__, chooser, presets
from studio.cli.arguments import list_names
from studio.cli.main import COMMANDS, main
from studio.export import registry
from studio.i18n import format_value, languages, spell_number
from studio.plan import Task


def test_an_unknown_command_ends_with_two():
    with pytest.raises(SystemExit) as caught:
        main(["dance"])
    assert caught.value.code == 2


@pytest.mark.thorough
def test_it_is_a_command_of_its_own_and_its_errors_go_to_stderr(tmp_path):
    def call(*arguments):
        return subprocess.run(
            [sys.executable, "-m", "studio", *arguments], capture_output=True, text=True, timeout=60
        )

    assert call("--version").stdout.strip() == f"studio {__version__}"
    (tmp_path / "plan.yaml").write_text("task: chat\n")
    invalid = call("train", str(tmp_path / "plan.yaml"))
    assert (invalid.returncode, invalid.stdout) == (2, "")
    assert "Problems in the plan: 3" in invalid.stderr
    failed = call("export", "last", "--to", "adapter", str(tmp_path / "out"))
    assert (failed.returncode, failed.stdout) == (1, "")
    assert "No run is called" in failed.stderr


def test_only_the_command_that_is_called_is_imported(studio_home):
    code = (
        "import sys\nfrom studio.cli.main import main\n"
        "assert main(['runs']) == 0\n"
        "heavy = {'gradio', 'torch', 'pandas', 'studio.data.store', 'studio.estimate', 'studio.ui'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


def test_every_command_has_a_module_and_stands_in_the_help_with_counts_as_words(capsys):
    for command in COMMANDS:
        module = importlib.import_module(command.module)
        assert callable(module.add_arguments)
        assert callable(module.run)
    with pytest.raises(SystemExit):
        main(["--help"])
    help_text = " ".join(capsys.readouterr().out.split())
    for command in COMMANDS:
        assert f" {command.name} " in help_text
    n_methods = format_value(presets.spelled_method_count(), "en")
    n_questions = format_value(spell_number(len(chooser.QUESTIONS)), "en")
    assert f"list the {n_methods} methods" in help_text
    assert f"ask {n_questions} questions and say" in help_text
    assert "{" not in help_text


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("data", get_args(Task)),
        ("export", [export_format.name for export_format in registry.EXPORT_FORMATS]),
        ("export", languages()),
    ],
    ids=["tasks", "forms", "languages"],
)
def test_names_in_the_help_come_from_where_they_are_defined(command, names, capsys):
    with pytest.raises(SystemExit):
        main([command, "--help"])
    help_text = capsys.readouterr().out
    assert [name for name in names if name not in help_text] == []


@pytest.mark.parametrize(
    ("names", "text"), [(["a"], "a"), (["a", "b"], "a or b"), (["a", "b", "c"], "a, b or c")]
)
def test_names_are_listed_as_a_person_lists_them(names, text):
    assert list_names(names) == text
