"""The layers hold: who imports whom, what the page's process carries, and where the page can be imported at
all.
"""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

STUDIO = Path(__file__).parent.parent / "studio"
FILES = sorted(STUDIO.rglob("*.py"))
HEAVY = {
    "torch",
    "transformers",
    "trl",
    "peft",
    "bitsandbytes",
    "datasets",
    "safetensors",
    "accelerate",
    "torchao",
    "compressed_tensors",
}
# Files that only a worker or another child process imports; everywhere else heavy imports stand inside the
# function that needs them.
WORKER_SIDE = {
    "apply/model.py",
    "data/collate.py",
    "data/packed_texts.py",
    "data/vocabulary_loss.py",
    "meaning/encoder.py",
    "estimate/benchmark/calibrate.py",
    "estimate/tracing/kernels.py",
    "estimate/tracing/meta_step.py",
    "estimate/tracing/trace.py",
    "evaluate/answers.py",
    "evaluate/held_out.py",
    "evaluate/retention/scoring.py",
    "export/merge.py",
    "export/replay/classify.py",
    "export/replay/transformers_runtime.py",
    "methods/training/activation_cache.py",
    "methods/training/bottleneck.py",
    "methods/training/fake_quantization.py",
    "methods/training/linear_head.py",
    "methods/training/lora_layers.py",
    "methods/training/loftq.py",
    "methods/training/peft_build.py",
    "methods/training/prefix_vectors.py",
    "methods/training/self_prefixes.py",
    "methods/training/step_graphs.py",
    "methods/training/supervised.py",
    "methods/rlhf_stages/direct.py",
    "methods/rlhf_stages/pair_logits.py",
    "methods/rlhf_stages/pipeline.py",
    "methods/rlhf_stages/policy.py",
    "methods/rlhf_stages/reward_model.py",
    "methods/rlhf_stages/stage.py",
    "models/counted_shape.py",
    "models/cpu_attention.py",
    "models/decoding.py",
    "models/device_sums.py",
    "models/disk_offload.py",
    "models/offloaded_nf4.py",
    "models/own_passes.py",
    "models/fused_norms.py",
    "models/head.py",
    "models/load.py",
    "models/pooled_classifier.py",
    "models/sharding.py",
    "models/template_bounds.py",
    "models/thin_copy.py",
    "models/tokenizer.py",
    "models/trainable.py",
    "models/wheel.py",
    "playground/server.py",
    "playground/shared_batch.py",
    "training/callback.py",
    "training/ranked_monitor.py",
}
# Package or module -> what of the studio it may import. A name stands for itself and everything below it.
EVERYONE = {"i18n", "errors", "storage", "processes", "cgroups", "space", "credentials"}
BELOW_THE_PAGE = {
    *("presets", "plan", "runs", "run_index", "run_comparison", "data", "models", "methods", "evaluate"),
    *("training", "playground", "export", "estimate", "chooser", "apply", "hub", "launchers", "meaning"),
}
MAY_IMPORT = {
    "i18n": set(),
    "errors": set(),
    "storage": set(),
    "space": set(),
    "processes": set(),
    "cgroups": set(),
    "credentials": set(),
    "quiet": set(),
    "quick_imports": set(),
    "plan": set(),
    "run_format": {"plan"},
    "runs": {"plan", "run_format"},
    "run_index": {"plan", "runs", "evaluate", "estimate"},
    "run_comparison": {"plan", "runs", "run_index", "methods", "evaluate", "training"},
    "presets": {"plan"},
    "data": {"presets", "plan"},
    "models": {"presets", "plan", "data"},
    "methods": {"presets", "plan", "models", "data", "evaluate"},
    "evaluate": {"presets", "plan", "data", "models"},
    "estimate": {"presets", "plan", "runs", "models", "methods", "data"},
    "chooser": {"presets", "plan", "data", "models", "methods", "evaluate", "estimate"},
    "training": {"runs", "plan", "data", "models", "methods", "evaluate", "presets", "estimate"},
    "meaning": {"presets", "plan", "data", "models", "methods", "evaluate", "training"},
    "playground": {"runs", "plan", "data", "models", "methods", "evaluate", "training"},
    "apply": {"runs", "plan", "data", "models", "methods", "evaluate", "training", "playground"},
    "export": {
        *("runs", "plan", "presets", "data", "models", "methods", "evaluate", "training", "estimate"),
    },
    "hub": {"runs", "plan", "presets", "models", "methods", "export", "estimate"},
    "launchers": {
        *("runs", "plan", "presets", "data", "models", "methods", "evaluate", "estimate", "training"),
        *("export", "hub", "run_index"),
    },
    "ui": BELOW_THE_PAGE,
    "cli": BELOW_THE_PAGE | {"ui"},
    "app": {"cli"},
    "__main__": {"cli"},
}
# What the page's process must do without, where an operating system has none of it.
MISSING_ON_WINDOWS = ("resource", "fcntl", "pwd", "grp", "termios")
# Libraries such as psutil choose by sys.platform, so only the studio's own files are refused them.
BLOCK_IMPORTS = f"""
import builtins
real_import = builtins.__import__
def guarded_import(name, globals=None, *others, **named):
    if name in {MISSING_ON_WINDOWS!r} and (globals or {{}}).get("__name__", "").startswith("studio"):
        raise ModuleNotFoundError(name)
    return real_import(name, globals, *others, **named)
builtins.__import__ = guarded_import
"""


def name(path: Path) -> str:
    return path.relative_to(STUDIO).as_posix()


def dotted(path: Path) -> str:
    return ".".join(("studio", *path.relative_to(STUDIO).with_suffix("").parts)).removesuffix(".__init__")


def imports(tree: ast.AST) -> set[str]:
    """Dotted names of everything imported below a node; `from studio import runs` counts as studio.runs."""
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    return imported


@cache
def parse(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


def module_level_imports(path: Path) -> set[str]:
    statements = [node for node in parse(path).body if isinstance(node, ast.Import | ast.ImportFrom)]
    return imports(ast.Module(statements, []))


def test_only_the_page_knows_gradio():
    knows = {
        name(path)
        for path in FILES
        if any(module.split(".")[0] == "gradio" for module in imports(parse(path)))
    }
    assert {path for path in knows if not path.startswith("ui/")} == set()


def test_heavy_libraries_stay_out_of_what_the_page_imports():
    heavy = {
        name(path)
        for path in FILES
        if {module.split(".")[0] for module in module_level_imports(path)} & HEAVY
    }
    assert heavy - WORKER_SIDE == set()
    assert WORKER_SIDE - {name(path) for path in FILES} == set(), "these are gone"


def test_a_layer_imports_only_what_it_may():
    wrong = {}
    for path in FILES:
        layer = name(path).removesuffix(".py").split("/")[0]
        if layer == "__init__":
            continue
        used = {module.split(".")[1] for module in imports(parse(path)) if module.startswith("studio.")} - {
            "__version__"
        }
        if used - MAY_IMPORT[layer] - EVERYONE - {layer}:
            wrong[name(path)] = used - MAY_IMPORT[layer] - EVERYONE - {layer}
    assert wrong == {}


def test_there_is_no_circle_of_imports():
    """Not even one that a lazy import inside a function would hide from Python."""
    modules = {dotted(path): path for path in FILES}
    edges = {}
    for module, path in modules.items():
        imported = imports(parse(path))
        targets = {entry if entry in modules else entry.rpartition(".")[0] for entry in imported}
        edges[module] = {target for target in targets if target in modules} - {module}
    finished: set[str] = set()

    def visit(module: str, trail: tuple[str, ...]) -> None:
        assert module not in trail, " -> ".join((*trail[trail.index(module) :], module))
        if module in finished:
            return
        for target in sorted(edges[module]):
            visit(target, (*trail, module))
        finished.add(module)

    for module in sorted(edges):
        visit(module, ())


def test_opening_the_page_leaves_torch_out_of_its_process_and_works_where_unix_modules_are_missing():
    code = (
        f"{BLOCK_IMPORTS}\n"
        "import sys\n"
        "from studio.ui import app\n"
        "import studio.cli.main\n"
        "app.build_page()\n"
        "print(sorted({'torch', 'transformers', 'trl', 'peft'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "[]"
