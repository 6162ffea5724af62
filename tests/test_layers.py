"""The house holds: who imports whom, what the page's process carries, how long a file may be."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
STUDIO = ROOT / "studio"
FILES = sorted(STUDIO.rglob("*.py"))
HEAVY = {"torch", "transformers", "trl", "peft", "bitsandbytes", "datasets", "safetensors", "accelerate", "torchao", "compressed_tensors"}
# Files that only a worker or another child process imports; everywhere else heavy imports stand inside the function that needs them.
WORKER_SIDE = {
    "data/batch.py",
    "estimate/calibrate.py",
    "estimate/kernels.py",
    "estimate/rehearse.py",
    "estimate/trace.py",
    "evaluate/answers.py",
    "evaluate/held_out.py",
    "export/merge.py",
    "methods/_bottleneck.py",
    "methods/_bottom.py",
    "methods/_low_bits.py",
    "methods/_peft_build.py",
    "methods/_policy.py",
    "methods/_preference.py",
    "methods/_reward_model.py",
    "methods/_stage.py",
    "methods/_openings.py",
    "methods/_prefix.py",
    "methods/_supervised.py",
    "models/load.py",
    "models/trained.py",
    "models/unpack.py",
    "playground/serve.py",
    "train/report.py",
}
# Package or module -> what of the studio it may import. A name stands for itself and everything below it.
EVERYONE = {"words", "errors", "home", "child"}
MAY = {
    "words": set(),
    "errors": {"words"},
    "home": {"words", "errors"},
    "child": set(),
    "plan": set(),
    "runs": {"plan"},
    "presets": {"plan"},
    "guard": set(),
    "tongue": {"presets", "guard"},
    "doctor": {"presets", "runs", "models"},
    "data": {"presets", "plan"},
    "models": {"presets", "plan"},
    "methods": {"presets", "plan", "models", "data", "evaluate"},
    "evaluate": {"plan", "data"},
    "estimate": {"presets", "plan", "runs", "models", "methods", "data"},
    "help": {"presets", "plan", "methods"},
    "wizard": {"presets", "plan", "data", "models", "methods", "estimate"},
    "choose": {"wizard", "presets", "plan", "estimate"},
    "train": {"runs", "plan", "data", "models", "methods", "evaluate", "presets", "estimate"},
    "playground": {"runs", "plan", "data", "models", "methods", "train"},
    "export": {"runs", "plan", "presets", "data", "models", "methods", "train"},
    "tabs": {
        "presets",
        "plan",
        "runs",
        "data",
        "models",
        "methods",
        "train",
        "playground",
        "export",
        "guard",
        "estimate",
        "wizard",
        "help",
    },
    "app": {"presets", "export", "guard", "tongue", "tabs", "__main__"},
    "__main__": {"app", "runs", "methods", "train", "playground", "export", "doctor", "estimate", "data", "plan", "choose"},
}


def name(path: Path) -> str:
    return str(path.relative_to(STUDIO))


def imports(tree: ast.AST) -> set[str]:
    """Dotted names of everything imported below a node; `from studio import runs` counts as studio.runs."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def at_module_level(path: Path) -> set[str]:
    body = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return imports(ast.Module(body, []))


@pytest.mark.parametrize("path", FILES, ids=name)
def test_only_the_page_knows_gradio(path):
    if name(path) != "app.py" and not name(path).startswith("tabs/"):
        assert not {found for found in imports(ast.parse(path.read_text())) if found.split(".")[0] == "gradio"}


@pytest.mark.parametrize("path", FILES, ids=name)
def test_heavy_libraries_stay_out_of_what_the_page_imports(path):
    heavy = {found.split(".")[0] for found in at_module_level(path)} & HEAVY
    assert not heavy or name(path) in WORKER_SIDE


@pytest.mark.parametrize("path", FILES, ids=name)
def test_a_layer_imports_only_what_it_may(path):
    own = name(path).removesuffix(".py").split("/")[0]
    if own == "__init__":
        return
    used = {found.split(".")[1] for found in imports(ast.parse(path.read_text())) if found.startswith("studio.")} - {"__version__"}
    assert used <= MAY[own] | EVERYONE | {own}


def test_opening_the_page_leaves_torch_out_of_its_process():
    code = "import sys; from studio import app; app.build(); print(sorted({'torch', 'transformers', 'trl', 'peft'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("path", FILES, ids=name)
def test_files_and_functions_stay_short(path):
    text = path.read_text()
    long = [
        node.name
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno - node.lineno + 1 > 60
    ]
    assert text.count("\n") <= 300
    assert long == []
