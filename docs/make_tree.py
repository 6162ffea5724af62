"""Writes docs/tree.md: every module with the first line of its docstring; `--check` only compares."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
TREE = ROOT / "docs" / "tree.md"
HEAD = """# The tree

One line per module: the first line of its docstring. Written by `python docs/make_tree.py`; a test compares
it with the disk. `presets/` holds the words and figures the studio ships, `assets/` its look, and `tests/`
mirrors `studio/`.
"""


def first_sentence(path: Path) -> str:
    """The first line of a module's docstring, empty where it has none."""
    docstring = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return docstring.partition("\n")[0].strip()


def render_tree() -> str:
    """The text of docs/tree.md: a heading for each package, a row for each module."""
    parts = [HEAD]
    modules = sorted((ROOT / "studio").rglob("*.py"))
    for folder in sorted({path.parent for path in modules}):
        parts.append(
            f"\n## {folder.relative_to(ROOT).as_posix()}\n\n| module | what it is for |\n|---|---|\n"
        )
        for path in modules:
            if path.parent == folder:
                parts.append(f"| `{path.name}` | {first_sentence(path)} |\n")
    return "".join(parts)


def main() -> int:
    """Write the tree, or with `--check` compare it; returns the exit code."""
    tree = render_tree()
    if "--check" in sys.argv:
        return 0 if TREE.is_file() and TREE.read_text(encoding="utf-8") == tree else 1
    TREE.write_text(tree, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
