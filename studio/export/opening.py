"""Opens exports for a replay; the runtimes themselves are loaded on use, since they load torch."""

from pathlib import Path

from studio import runs
from studio.export import fetched_tools
from studio.export.runtime import Runtime
from studio.export.spec import ExportFormat, ExportOptions
from studio.runs import Run

LOG_NAME = ".llama.cpp.log"


def open_in_transformers(run: Run, form: ExportFormat, folder: Path, options: ExportOptions) -> Runtime:
    """An export that transformers opens, by the lines of its card."""
    from studio.export.replay.transformers_runtime import TransformersRuntime  # noqa: PLC0415 - loads torch

    return TransformersRuntime(run, form, folder)


def open_in_onnx_runtime(run: Run, form: ExportFormat, folder: Path, options: ExportOptions) -> Runtime:
    """The ONNX file of an export, in ONNX Runtime."""
    from studio.export.replay.onnx_runtime import OnnxRuntime  # noqa: PLC0415 - loads torch

    (file,) = folder.glob("*.onnx")
    return OnnxRuntime(run, fetched_tools.fetch(fetched_tools.ONNX), file)


def open_in_llama_cpp(run: Run, form: ExportFormat, folder: Path, options: ExportOptions) -> Runtime:
    """The GGUF file of an export, in llama.cpp."""
    from studio.export.replay.llama_runtime import LlamaRuntime  # noqa: PLC0415 - loads torch

    (file,) = folder.glob("*.gguf")
    max_length = runs.report(run)["texts"]["max_length"]
    return LlamaRuntime(run, file, max_length, folder / LOG_NAME)
