"""The documents keep their word.

Paths exist, the tree is the disk's, commands explain themselves, pictures are there.
"""

import importlib.util
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted(
    path for pattern in ("*.md", "docs/*.md", "tests/bench/*.md") for path in ROOT.glob(pattern)
)
# What names a file of the repository: a path below one of its folders, or a document beside the README.
PATH = re.compile(
    r"(?<![\w/.~-])((?:studio|tests|docs|presets|assets)/[\w./-]*\w/?|[A-Z][A-Z_]+(?:\.zh)?\.md|pyproject\.toml|justfile)(?![\w<*{])"
)
# Names of what a run or a build makes, and of a file that a recipe invents.
NOT_IN_THE_REPOSITORY = re.compile(r"studio/_shipped|/(?:my_|<)")


def missing_paths(text: str) -> set[str]:
    """The paths in a text that name nothing on the disk."""
    named = {path.rstrip("/.") for path in PATH.findall(text) if not NOT_IN_THE_REPOSITORY.search(path)}
    return {path for path in named if not (ROOT / path).exists()}


def test_every_path_that_a_document_names_exists():
    missing = {
        path.relative_to(ROOT).as_posix(): names
        for path in DOCUMENTS
        if path.name != "CHANGELOG.md" and (names := missing_paths(path.read_text(encoding="utf-8")))
    }
    assert missing == {}


def test_every_document_that_code_cites_is_in_the_repository():
    sources = [*ROOT.glob("studio/**/*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("presets/**/*.yaml")]
    missing = {}
    for path in sources:
        text = path.read_text(encoding="utf-8")
        cited = set(re.findall(r"(?<![\w./])((?:docs|design|brief|tests/bench)/[\w./-]+?\.md)", text))
        if absent := {name for name in cited if not (ROOT / name).is_file()}:
            missing[path.relative_to(ROOT).as_posix()] = absent
    assert missing == {}


def test_every_heading_that_code_cites_is_in_its_document():
    headings: dict[str, set[str]] = {}
    for path in ROOT.glob("docs/*.md"):
        titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
        anchors = {re.sub(r"[^\w\- ]", "", title.lower()).strip().replace(" ", "-") for title in titles}
        headings[f"docs/{path.name}"] = anchors
    missing = {}
    for path in [*ROOT.glob("studio/**/*.py"), *ROOT.glob("presets/**/*.yaml")]:
        cited = re.findall(r"(docs/[\w-]+\.md)#([\w-]+)", path.read_text(encoding="utf-8"))
        if absent := {f"{name}#{anchor}" for name, anchor in cited if anchor not in headings.get(name, ())}:
            missing[path.relative_to(ROOT).as_posix()] = absent
    assert missing == {}


def test_the_tree_is_up_to_date():
    spec = importlib.util.spec_from_file_location("make_tree", ROOT / "docs" / "make_tree.py")
    make_tree = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(make_tree)
    written = (ROOT / "docs" / "tree.md").read_text(encoding="utf-8")
    assert written == make_tree.render_tree(), "run: python docs/make_tree.py"


def test_every_module_says_in_one_sentence_what_it_is_for():
    silent = [
        path.relative_to(ROOT).as_posix()
        for path in ROOT.glob("studio/**/*.py")
        if not re.match(r'"""\S[^\n]*\.(?:"""|\n)', path.read_text(encoding="utf-8"))
    ]
    assert silent == []


def test_the_pictures_are_there():
    for document in (README, (ROOT / "README.zh.md").read_text(encoding="utf-8")):
        pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", document)
        assert len(pictures) == 5, "one for each tab"
        assert all((ROOT / picture).stat().st_size > 10_000 for picture in pictures)


def test_the_readme_can_be_read_in_one_sitting():
    assert len(README.encode()) < 12_000


def test_the_test_command_is_the_one_ci_runs():
    assert 'pip install -e ".[test]" && pytest' in README
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert '-e ".[test]"' in script
    assert "\npytest" in script


COMMANDS = "data|choose|train|estimate|baselines|measure|methods|runs|learning-curve|ask|export|doctor"


@pytest.mark.parametrize("command", sorted(set(re.findall(rf"studio ({COMMANDS})", README))))
def test_every_command_the_readme_names_explains_itself(command, capsys):
    from studio.cli import main

    with pytest.raises(SystemExit) as ended:
        main.main([command, "--help"])
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith(f"usage: studio {command}")


def test_every_setting_the_readme_lists_is_real():
    from studio import methods

    settings = {setting.name for method in methods.METHODS for setting in method.settings}
    assert set(re.findall(r"method\.settings\.(\w+)", README)) <= settings
