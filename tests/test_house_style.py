"""The house rules that a tool can count: names that say something, and plain expressions."""

import ast
import builtins
import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
SOURCES = sorted(ROOT.glob("studio/**/*.py"))
# Words that stood as names for anything: they say nothing of the value (the list of the redesign, 2026-11).
ARCHAIC = {
    *("found", "said", "told", "one", "given", "asked", "made", "kept", "known", "some", "those", "whole"),
    *("rest", "mine", "own", "every", "both", "stand", "place", "beside", "apart", "round", "rounds"),
    *("portion", "portions", "reach", "room", "numbers", "foretold", "settled", "heard", "shown", "looked"),
    *("meant", "left", "worth"),
}
MAX_ARCHAIC_SHARE = 0.0015


def names(tree: ast.AST) -> list[str]:
    """All names that a module chose: variables at each use, functions, classes and parameters once."""
    collected = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and not hasattr(builtins, node.id):
            collected.append(node.id)
        elif isinstance(node, ast.arg):
            collected.append(node.arg)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            collected.append(node.name)
    return collected


def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def place_of(path: Path, node: ast.AST) -> str:
    return f"{path.relative_to(ROOT).as_posix()}:{node.lineno}"


def test_names_say_what_they_stand_for():
    counted, total = Counter(), 0
    for path in SOURCES:
        module_names = names(parse(path))
        total += len(module_names)
        counted.update(f"{path.name}: {name}" for name in module_names if name in ARCHAIC)
    assert sum(counted.values()) <= MAX_ARCHAIC_SHARE * total, counted.most_common(20)


def test_a_generator_closes_the_child_whose_replies_it_passes_on():
    """Python up to 3.12.3 keeps what a closed generator holds (cpython gh-118272): the child would stay."""
    streams = {"stream_replies", "_stream_replies", "_stream", "stream"}
    functions = [
        (path, node)
        for path in SOURCES
        for node in ast.walk(parse(path))
        if isinstance(node, ast.FunctionDef)
    ]
    unclosed = [
        place_of(path, loop)
        for path, function in functions
        if any(isinstance(node, ast.Yield) for node in ast.walk(function))
        for loop in ast.walk(function)
        if isinstance(loop, ast.For) and isinstance(loop.iter, ast.Call)
        if getattr(loop.iter.func, "attr", getattr(loop.iter.func, "id", "")) in streams
    ]
    assert unclosed == []


def test_no_conditional_expression_stands_inside_another():
    nested = [
        place_of(path, node)
        for path in SOURCES
        for node in ast.walk(parse(path))
        if isinstance(node, ast.IfExp)
        and any(isinstance(inner, ast.IfExp) for inner in ast.walk(node) if inner is not node)
    ]
    assert nested == []


def test_no_error_is_swallowed_and_nothing_is_left_for_later():
    leftover = re.compile(
        r"\b(TODO|FIXME|XXX)\b|raise NotImplementedError|except\s*:|except "
        r"Exception\s*:\s*(pass|continue)?\s*$"
    )
    lines = [
        f"{path.relative_to(ROOT).as_posix()}:{number}"
        for path in SOURCES
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if leftover.search(line)
    ]
    assert lines == []


def test_every_test_can_fail():
    silent = []
    for path in sorted((ROOT / "tests").rglob("test_*.py")):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                source = ast.dump(node)
                if not any(word in source for word in ("Assert", "assert_", "raises", "expect", "warns")):
                    silent.append(place_of(path, node))
    assert silent == []
