"""A large library is imported and left without a search for unused objects; all else is as Python does it."""

import gc
import importlib
import subprocess
import sys

import pytest

from studio import quick_imports


@pytest.fixture
def import_library(tmp_path, monkeypatch):
    """`import_library(large, code)`: imports a library of two modules, whose inner one runs this code."""

    def run(is_large, code="", name="toy_library"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "__init__.py").write_text(
            f"import gc\nfrom {name} import inner\nwas_searched = gc.isenabled()\n"
        )
        (folder / "inner.py").write_text(f"import gc\nwas_searched = gc.isenabled()\n{code}\n")
        monkeypatch.syspath_prepend(tmp_path)
        if is_large:
            monkeypatch.setattr(quick_imports, "LARGE_LIBRARIES", {name})
        for module in (name, f"{name}.inner"):
            monkeypatch.delitem(sys.modules, module, raising=False)
        return importlib.import_module(name)

    return run


@pytest.mark.parametrize("is_large", [True, False])
def test_only_a_large_library_is_imported_without_a_search(import_library, is_large):
    library = import_library(is_large)
    assert (library.was_searched, library.inner.was_searched) == (not is_large, not is_large)
    assert gc.isenabled()


def test_a_library_that_cannot_be_imported_leaves_the_search_on(import_library):
    with pytest.raises(ZeroDivisionError):
        import_library(True, code="1 / 0")
    assert gc.isenabled()


def test_what_switched_the_search_off_itself_finds_it_off(import_library):
    gc.disable()
    try:
        import_library(True)
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_a_process_ends_without_a_search():
    """An object that refers to itself says when it is found to be unused."""
    code = """
class Found:
    def __init__(self):
        self.itself = self
    def __del__(self):
        print("found")
{imports}
kept = Found()
"""

    def say(imports):
        command = [sys.executable, "-c", code.format(imports=imports)]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    assert say("import gc") == "found"
    assert say("import studio") == ""


@pytest.mark.skipif(sys.platform == "darwin", reason="an Apple GPU takes what is compiled")
def test_bitsandbytes_is_imported_without_torch_s_compiler():
    code = "import os, sys, studio, bitsandbytes; print('torch._inductor.compile_fx' in sys.modules)"
    code += f"; print({quick_imports.COMPILER_SWITCH!r} in os.environ)"
    command = [sys.executable, "-c", code]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "False\nFalse\n"
