"""A folder of plain files whose page runs the tuned model in the visitor's own browser, without a server."""

import hashlib
import json
import shutil
from pathlib import Path

from studio import presets
from studio.errors import NotPossible
from studio.export import gguf, modelfile, wllama
from studio.export.opening import open_in_llama_cpp
from studio.export.spec import ExportFormat, ExportOptions, Snippet
from studio.export.usage import Usage, method_name
from studio.i18n import Message, label
from studio.models import fetch, shape
from studio.runs import Run

PAGE_FOLDER = presets.ASSETS / "browser_export"
# A browser holds no larger file in one piece.
MAX_BYTES = 2_000_000_000
MAX_CONTEXT = 4096
MAX_ANSWER_TOKENS = 400
TOO_LARGE = Message("The model has {gigabytes:.1f} GB at {precision}; a browser opens files of at most 2 GB.")
CHOOSE_SMALLER = Message("Choose a smaller precision such as q4_0, or take GGUF home for Ollama.")
# The sentences of the page, by the names its script has for them.
PAGE_TEXTS = {
    "note": Message("Runs in your browser. Nothing you type leaves this device."),
    "loading": Message("Loading the model: {percent}%"),
    "starting": Message("Starting the model…"),
    "failed": Message(
        "This browser could not open the model: {why}. Try a current Chrome, Edge, Firefox or Safari."
    ),
    "question": Message("Your question"),
    "text": Message("The beginning of a text"),
    "send": Message("Send", context="browser page"),
    "stop": Message("Stop", context="browser page"),
    "clear": Message("New conversation"),
    "you": Message("You", context="browser page"),
    "model": Message("Model", context="browser page"),
    "base": Message("Tuned from {base} with {method}."),
}
SERVE = """python -m http.server 8000
# then open http://localhost:8000"""
ASK_CHAT = 'createChatCompletion({ messages: [{ role: "user", content: "…" }], temperature: 0 })'
ASK_COMPLETION = 'createCompletion({ prompt: "…", temperature: 0, max_tokens: 120 })'
IN_A_PAGE = """import { Wllama } from "./wllama/wllama.js";
const wllama = new Wllama({ default: new URL("wllama/wllama.wasm", location.href).href });
await wllama.loadModelFromUrl(new URL("FILE", location.href).href);
const reply = await wllama.CALL;
console.log(reply.choices[0]);"""


def write(run: Run, folder: Path, options: ExportOptions) -> None:
    """Write the model, the page, and what runs the one in the other."""
    write_browser_folder(run, folder, options)


def write_browser_folder(run: Run, folder: Path, options: ExportOptions) -> None:
    """Write a folder that any web server, or a static Space, can serve: `index.html` asks the model.

    Args:
        run: The run; it has a result that writes texts and can be merged.
        folder: A new or empty folder.
        options: The precision of the model, and the language of the page.

    Raises:
        NotPossible: The model is too large for a browser, or a tool cannot be fetched.
    """
    runtime = wllama.fetch(options.on_progress)
    precision = gguf.choose_precision(options)
    model = folder / gguf.name_file(precision)
    gguf.write_model(run, model, options)
    if model.stat().st_size > MAX_BYTES:
        gigabytes = model.stat().st_size / 1e9
        shutil.rmtree(folder)
        raise NotPossible(TOO_LARGE, CHOOSE_SMALLER, gigabytes=gigabytes, precision=precision)
    shutil.copytree(runtime, folder / "wllama")
    shutil.copytree(PAGE_FOLDER, folder, dirs_exist_ok=True)
    settings = json.dumps(build_settings(run, model, options.language), ensure_ascii=False, indent=1)
    (folder / "settings.json").write_text(settings, encoding="utf-8")


def build_settings(run: Run, model: Path, language: str) -> dict[str, object]:
    """What the page has to know: the model, how it is asked, and its own sentences.

    Args:
        run: The run.
        model: Its GGUF file.
        language: The language of the page.
    """
    with model.open("rb") as file:
        version = hashlib.file_digest(file, "sha256").hexdigest()[:16]
    base = fetch.fetch(run.plan.model)
    context = shape.from_config(shape.read_config(base.folder), base.name).context
    # What the page fills in itself stays as it is.
    values = {"base": base.name, "method": method_name(run.plan), "percent": "{percent}", "why": "{why}"}
    return {
        "title": run.plan.name,
        "language": language,
        "model": f"{model.name}?v={version}",
        "system": modelfile.describe_for_ollama(run).system,
        "is_chat": run.plan.task != "complete",
        "context": min(context, MAX_CONTEXT),
        "max_tokens": min(context // 2, MAX_ANSWER_TOKENS),
        "texts": {name: text.render(language, **values) for name, text in PAGE_TEXTS.items()},
    }


def list_snippets(usage: Usage, precision: str) -> tuple[Snippet, ...]:
    """What serves the folder, and what asks its model on a page of one's own."""
    call = ASK_COMPLETION if usage.task == "complete" else ASK_CHAT
    script = IN_A_PAGE.replace("FILE", gguf.name_file(precision)).replace("CALL", call)
    return (
        Snippet("Any web server, such as Python's", "bash", SERVE),
        Snippet("On a page of your own", "js", script),
    )


FORMAT = ExportFormat(
    name="browser",
    label=label("Browser folder: a page that runs the model, no server needed"),
    write=write,
    relation="quantized",
    source="merged",
    tasks=gguf.TEXT_TASKS,
    wrong_task=gguf.NO_CLASSIFIERS,
    precisions=gguf.PRECISIONS,
    library="gguf",
    runtime="llama.cpp",
    open_runtime=open_in_llama_cpp,
    snippets=list_snippets,
)
