"""GGUF: the whole model in one file for llama.cpp and Ollama, with the Modelfile that Ollama needs."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from studio import methods, processes
from studio.errors import NotPossible
from studio.export import fetched_tools, modelfile
from studio.export.fetched_tools import LLAMA_CPP
from studio.export.opening import open_in_llama_cpp
from studio.export.spec import ExportFormat, ExportOptions, Snippet
from studio.export.usage import Usage
from studio.i18n import Message, label
from studio.methods.compatibility import Incompatibility
from studio.plan import Task
from studio.runs import Run
from studio.storage import require_disk_space

TEXT_TASKS: tuple[Task, ...] = ("chat", "complete", "prefer", "prompts")
NO_CLASSIFIERS = Incompatibility(
    reason=Message("llama.cpp and Ollama write texts; they have no classifiers."),
    alternative=Message("Take the whole model home, or ONNX, which runs without Python."),
)
# Bits for each weight, with the scales of their blocks.
PRECISIONS = (
    ("q8_0", label("q8_0: 8 bits, hardly any loss")),
    ("f16", label("f16: 16 bits, the largest")),
    ("q5_1", label("q5_1: 6 bits")),
    ("q4_0", label("q4_0: 4 bits, the smallest")),
)
FETCHING = Message("Fetching {tool}, once: {done:.0f} of {total:.0f} MB")
MERGING = Message("Merging what was learned into the base model…")
CONVERTING = Message("Converting to GGUF ({precision})…")
NOT_CONVERTED = Message("llama.cpp's converter does not take this model: {why}")
WHOLE_MODEL_INSTEAD = Message("Take the whole model home instead, which transformers and vLLM open.")
CHAT_IN_LLAMA_CPP = """llama-cli -m {file} --jinja --temp 0 -p "…"
# or a server with OpenAI's interface, on http://localhost:8080/v1
llama-server -m {file} --jinja"""
COMPLETION_IN_LLAMA_CPP = 'llama-cli -m {file} -no-cnv --temp 0 -n 120 -p "…"'
OPEN_IN_PYTHON = """import xllamacpp

params = xllamacpp.CommonParams()
params.model.path = "FILE"
server = xllamacpp.Server(params)
"""
CHAT_IN_PYTHON = (
    OPEN_IN_PYTHON
    + """messages = [{"role": "user", "content": "…"}]
reply = server.handle_chat_completions({"messages": messages, "temperature": 0, "max_tokens": 120})
print(reply["choices"][0]["message"]["content"])"""
)
COMPLETION_IN_PYTHON = (
    OPEN_IN_PYTHON
    + """reply = server.handle_completions({"prompt": "…", "temperature": 0, "max_tokens": 120})
print(reply["choices"][0]["text"])"""
)
IN_OLLAMA = """ollama create my-model -f Modelfile
ollama run my-model "…\""""


def write(run: Run, folder: Path, options: ExportOptions) -> None:
    """Convert the whole model, and write the Modelfile beside it."""
    file_name = name_file(choose_precision(options))
    write_model(run, folder / file_name, options)
    write_modelfile(run, folder, file_name)


def choose_precision(options: ExportOptions) -> str:
    """The precision that was asked for; without one the first."""
    return options.precision or PRECISIONS[0][0]


def name_file(precision: str) -> str:
    """The name of the file in a precision."""
    return f"model-{precision}.gguf"


def write_model(run: Run, file: Path, options: ExportOptions) -> None:
    """Write the result of a run as one GGUF file, whose folder is made.

    Raises:
        NotPossible: The converter cannot be fetched, or does not know this kind of model.
        OutOfDiskSpace: The disk has not enough space.
    """
    precision = choose_precision(options)

    def report_megabytes(done: float, total: float) -> None:
        options.on_progress(FETCHING.format(tool=LLAMA_CPP.label, done=done, total=total))

    tools = fetched_tools.fetch(LLAMA_CPP, report_megabytes)
    file.parent.mkdir(parents=True, exist_ok=True)
    with _open_whole_model(run, file.parent / ".whole", options) as model:
        options.on_progress(CONVERTING.format(precision=precision))
        require_disk_space(file.parent, sum(path.stat().st_size for path in model.glob("*.safetensors")))
        converted = processes.run_module(
            "studio.export.llama_cpp.convert", str(tools), str(model), str(file), precision
        )
    if converted.returncode != 0 or not file.is_file():
        reason = converted.stderr.strip().splitlines()[-1:] or ["it gave no reason"]
        raise NotPossible(NOT_CONVERTED, WHOLE_MODEL_INSTEAD, why=reason[0][:200])


@contextmanager
def _open_whole_model(run: Run, draft: Path, options: ExportOptions) -> Iterator[Path]:
    """The folder of the whole model; where it is merged first, it is there as long as the block runs."""
    if methods.get(run.plan.method.name).exports == ("merged",):
        yield run.model
        return
    from studio.export import merge  # noqa: PLC0415 - loads torch

    options.on_progress(MERGING)
    try:
        merge.save_merged_model(run, draft)
        yield draft
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def write_modelfile(run: Run, folder: Path, file_name: str) -> None:
    """Write the Modelfile for a GGUF file in the same folder."""
    text = modelfile.describe_for_ollama(run).to_modelfile(file_name)
    (folder / modelfile.MODELFILE).write_text(text, encoding="utf-8")


def list_snippets(usage: Usage, precision: str) -> tuple[Snippet, ...]:
    """What opens the file in llama.cpp, in Python and in Ollama."""
    file_name = name_file(precision)
    python = COMPLETION_IN_PYTHON if usage.task == "complete" else CHAT_IN_PYTHON
    terminal = COMPLETION_IN_LLAMA_CPP if usage.task == "complete" else CHAT_IN_LLAMA_CPP
    return (
        Snippet("llama.cpp (brew or winget install llama.cpp)", "bash", terminal.format(file=file_name)),
        Snippet("Python (pip install xllamacpp)", "python", python.replace("FILE", file_name)),
        Snippet("Ollama (ollama.com)", "bash", IN_OLLAMA),
    )


FORMAT = ExportFormat(
    name="gguf",
    label=label("GGUF: one file for llama.cpp and Ollama"),
    write=write,
    relation="quantized",
    source="merged",
    tasks=TEXT_TASKS,
    wrong_task=NO_CLASSIFIERS,
    precisions=PRECISIONS,
    library="gguf",
    runtime="llama.cpp",
    open_runtime=open_in_llama_cpp,
    snippets=list_snippets,
)
