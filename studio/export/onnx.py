"""ONNX: a classifier in one file for ONNX Runtime, which runs it without torch, also in other languages."""

import shutil
from pathlib import Path

from studio import processes
from studio.errors import NotPossible
from studio.export import fetched_tools, merged
from studio.export.fetched_tools import ONNX
from studio.export.opening import open_in_onnx_runtime
from studio.export.spec import ExportFormat, ExportOptions, Snippet
from studio.export.usage import Usage
from studio.i18n import Message, label
from studio.methods.compatibility import Incompatibility
from studio.runs import Run
from studio.storage import require_disk_space

FILE_NAME = "model.onnx"
# One file of ONNX holds no more.
MAX_BYTES = 2_000_000_000
# What ONNX Runtime does not need.
WEIGHTS = "*.safetensors*"
ONLY_CLASSIFIERS = Incompatibility(
    reason=Message("A model that writes would recompute the whole text for each token in ONNX."),
    alternative=Message("Take GGUF home, which is made for writing."),
)
FETCHING = Message("Fetching {tool}, once: {done:.0f} of {total:.0f} MB")
MERGING = Message("Merging what was learned into the base model…")
CONVERTING = Message("Converting to ONNX…")
TOO_LARGE = Message("The model has {gigabytes:.1f} GB; one file of ONNX holds at most 2 GB.")
NOT_CONVERTED = Message("This model cannot be converted to ONNX: {why}")
WHOLE_MODEL_INSTEAD = Message("Take the whole model home instead, which transformers opens.")
SNIPPET = """import onnxruntime
from transformers import AutoConfig, AutoTokenizer

tokenizer, config = AutoTokenizer.from_pretrained("."), AutoConfig.from_pretrained(".")
session = onnxruntime.InferenceSession("model.onnx")
inputs = dict(tokenizer("…", truncation=True, return_tensors="np"))
scores = session.run(None, inputs)[0][0]
print(RESULT)"""
# What the scores mean, by the kind of problem.
RESULT_EXPRESSIONS = {
    "single_label_classification": "config.id2label[int(scores.argmax())]",
    "multi_label_classification": "[config.id2label[i] for i, score in enumerate(scores) if score >= 0]",
    "regression": "scores.item()",
}


def write(run: Run, folder: Path, options: ExportOptions) -> None:
    """Convert the whole model; tokenizer and config, with the names of the labels, lie beside it.

    Raises:
        NotPossible: The tools cannot be fetched, or the model is too large or of a kind they do not know.
        OutOfDiskSpace: The disk has not enough space.
    """

    def report_megabytes(done: float, total: float) -> None:
        options.on_progress(FETCHING.format(tool=ONNX.label, done=done, total=total))

    tools = fetched_tools.fetch(ONNX, report_megabytes)
    options.on_progress(MERGING)
    merged.write(run, folder, options)
    n_bytes = sum(path.stat().st_size for path in folder.glob(WEIGHTS))
    if n_bytes > MAX_BYTES:
        shutil.rmtree(folder)
        raise NotPossible(TOO_LARGE, WHOLE_MODEL_INSTEAD, gigabytes=n_bytes / 1e9)
    require_disk_space(folder, n_bytes)
    options.on_progress(CONVERTING)
    file = folder / FILE_NAME
    converted = processes.run_module("studio.export.to_onnx", str(tools), str(folder), str(file))
    if converted.returncode != 0 or not file.is_file():
        shutil.rmtree(folder)
        reason = converted.stderr.strip().splitlines()[-1:] or ["the converter gave no reason"]
        raise NotPossible(NOT_CONVERTED, WHOLE_MODEL_INSTEAD, why=reason[0][:200])
    for path in folder.glob(WEIGHTS):
        path.unlink()


def list_snippets(usage: Usage, precision: str) -> tuple[Snippet, ...]:
    """What opens the file in Python; torch is not needed."""
    result = RESULT_EXPRESSIONS[usage.problem_type]
    return (
        Snippet("Python (pip install onnxruntime transformers)", "python", SNIPPET.replace("RESULT", result)),
    )


FORMAT = ExportFormat(
    name="onnx",
    label=label("ONNX: one file for classifiers, runs without torch"),
    write=write,
    source="merged",
    tasks=("classify",),
    wrong_task=ONLY_CLASSIFIERS,
    library="onnx",
    runtime="ONNX Runtime",
    open_runtime=open_in_onnx_runtime,
    snippets=list_snippets,
)
