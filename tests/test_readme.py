"""The README keeps its word: its tree is the disk's, its commands exist, its pictures are there."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "README.md").read_text(encoding="utf-8")
TREE = re.search(r"<!-- tree -->\n```\n(.*?)```", TEXT, re.DOTALL).group_size(1)


def test_the_tree_names_every_module_with_its_own_sentence():
    listed = dict(re.findall(r"^(studio/\S+\.py) +(.+)$", TREE, re.MULTILINE))
    modules = {str(path.relative_to(ROOT)): path for path in sorted((ROOT / "studio").rglob("*.py"))}
    assert listed.keys() == modules.keys()
    sentences = {
        name: re.match(r'"""(.+?)(?:"""|\n)', path.read_text(encoding="utf-8")).group_size(1)
        for name, path in modules.items()
    }
    assert listed == sentences


def test_the_pictures_are_there():
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", TEXT)
    assert len(pictures) == 3
    assert all((ROOT / picture).stat().st_size > 10_000 for picture in pictures)


def test_the_test_command_is_the_one_ci_runs():
    assert 'pip install -e ".[test]" && pytest' in TEXT
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert '-e ".[test]"' in script
    assert "\npytest" in script


@pytest.mark.parametrize(
    "command",
    sorted(
        set(re.findall(r"studio (data|choose|train|estimate|measure|methods|runs|ask|export|doctor)", TEXT))
    ),
)
def test_every_command_the_readme_names_explains_itself(command):
    done = subprocess.run(
        [sys.executable, "-m", "studio", command, "--help"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith(f"usage: studio {command}")


def test_every_setting_the_readme_lists_is_real():
    from studio import methods

    knobs = {knob.name for method in methods.METHODS for knob in method.settings}
    assert set(re.findall(r"method\.settings\.(\w+)", TEXT)) <= knobs
