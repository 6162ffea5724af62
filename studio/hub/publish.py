"""Publishes a result as a Space: in the visitor's own browser, or with base and tuned model side by side."""

import importlib.metadata
import json
import shutil
from pathlib import Path
from typing import Any

import yaml

from studio import presets, runs
from studio.errors import NotPossible
from studio.export import card, registry
from studio.export.card import sanitize_line
from studio.export.usage import Usage, build_usage
from studio.hub import push, space_bundle
from studio.hub.account import Account
from studio.hub.push import Upload
from studio.i18n import Message, label
from studio.models import fetch
from studio.runs import Run

STATIC, GRADIO = "static", "gradio"
KIND_LABELS = {
    STATIC: label("Static Space: the model runs in the visitor's own browser, free for every account"),
    GRADIO: label("Gradio Space: base and tuned model side by side, on ZeroGPU"),
}
BROWSER_FORM = "browser"
# What the tuned model is loaded from: a whole model where there is one, for it is what was trained.
RESULT_FORMS = ("merged", "packed", "adapter")
RESULT_FOLDER = "result"
APP_FILE = presets.FOLDER / "spaces" / "result_app.py"
# Of the project's requirements, what the app of a Gradio Space needs.
APP_REQUIREMENTS = ("accelerate", "bitsandbytes", "compressed-tensors", "peft", "safetensors", "transformers")
NO_STATIC = Message("A static Space of “{name}” is not possible: its result cannot run in a browser.")
TAKE_GRADIO = Message("Publish it as a Gradio Space.")
UNKNOWN_KIND = Message("There is no Space of the kind “{kind}”.")
KINDS = Message("Available: {offered}.")
TEXTS = {
    "question": Message("Your question", context="result space"),
    "send": Message("Ask both", context="result space"),
    "base": Message("Before: {base}"),
    "tuned": Message("After: {name}"),
    "about": Message("{base}, before and after it was tuned with {method}. Both answer the same question."),
    "empty": Message("Type something first."),
}
CLASSIFIER_TEXTS = {
    "question": Message("Your text", context="result space"),
    "send": Message("Classify", context="result space"),
    "about": Message("{base}, tuned with {method}. Type a text to see how it is judged."),
}


def available_kinds(run: Run) -> tuple[str, ...]:
    """What kinds of Space a run's result can be published as."""
    is_for_browsers = BROWSER_FORM in registry.available_formats(run)
    return (STATIC, GRADIO) if is_for_browsers else (GRADIO,)


def prepare(run: Run, kind: str, repo: str, account: Account, language: str = "en") -> Upload:
    """Write the Space into a folder, once for each state of the result.

    Args:
        run: The run; it has a result.
        kind: STATIC or GRADIO.
        repo: What it is to be called: a name, or `owner/name`.
        account: Whose Space it will be.
        language: The language of its page.

    Raises:
        HubRefused: The name cannot be one on the hub.
        NotPossible: There is no such kind, or not for this result.
        StudioError: The folder could not be written.
    """
    _require_kind(run, kind)
    full_name = account.full_name(repo)
    folder = push.uploads_folder(run) / f"space-{kind}-{language}"
    write = _write_static if kind == STATIC else _write_gradio
    push.write_once(run, folder, lambda draft: write(run, draft, language))
    hardware = space_bundle.HARDWARE if kind == GRADIO else ""
    return Upload(
        folder,
        KIND_LABELS[kind],
        full_name,
        "space",
        warning=_check_warning(run, kind, folder),
        sdk=kind,
        hardware=hardware,
    )


def _result_form(run: Run) -> str:
    """The form that the app of a Gradio Space opens."""
    return next(name for name in RESULT_FORMS if name in registry.available_formats(run))


def _check_warning(run: Run, kind: str, folder: Path) -> Message | None:
    """What the check of the result warns of."""
    if kind == STATIC:
        return push.check_warning(folder, BROWSER_FORM)
    return push.check_warning(folder / RESULT_FOLDER, _result_form(run))


def _require_kind(run: Run, kind: str) -> None:
    runs.require_usable(run)
    if kind not in KIND_LABELS:
        raise NotPossible(UNKNOWN_KIND, KINDS, kind=kind, offered=available_kinds(run))
    if kind not in available_kinds(run):
        raise NotPossible(NO_STATIC, TAKE_GRADIO, name=run.plan.name)


def _write_static(run: Run, folder: Path, language: str) -> None:
    """The browser folder, with a card that tells the hub to serve it."""
    push.export_result(run, BROWSER_FORM, folder, language)
    front_matter = {"sdk": "static", "app_file": "index.html"}
    _write_card(run, BROWSER_FORM, folder, front_matter, language)


def _write_gradio(run: Run, folder: Path, language: str) -> None:
    """The result with its base where that is no model of the hub, and the app that asks both."""
    form = _result_form(run)
    folder.mkdir(parents=True)
    push.export_result(run, form, folder / RESULT_FOLDER, language)
    usage = build_usage(run.plan, runs.complete_report(run), language)
    if usage.is_base_local:
        shutil.copytree(fetch.fetch(run.plan.model).folder, folder / RESULT_FOLDER / usage.base)
    shutil.copyfile(APP_FILE, folder / "app.py")
    (folder / "load_model.py").write_text(_loading_code(form, usage), encoding="utf-8")
    settings = json.dumps(_settings(run, usage, language), ensure_ascii=False, indent=1)
    (folder / "settings.json").write_text(settings, encoding="utf-8")
    (folder / space_bundle.REQUIREMENTS_FILE).write_text("\n".join(_requirements()) + "\n", encoding="utf-8")
    front_matter = {
        "sdk": "gradio",
        "sdk_version": importlib.metadata.version("gradio"),
        "app_file": "app.py",
        "python_version": space_bundle.PYTHON_VERSION,
        "suggested_hardware": space_bundle.HARDWARE,
    }
    _write_card(run, form, folder, front_matter, language)


def _loading_code(form: str, usage: Usage) -> str:
    """A module whose `load_tuned` opens the result, with the lines of the model card."""
    export_format = registry.get(form)
    body = [f"    {line}" for line in export_format.load_lines(usage)]
    lines = [
        '"""Opens the tuned model."""',
        "",
        *export_format.import_lines(usage),
        "",
        "",
        "def load_tuned():",
        '    """The tuned model."""',
        *body,
        "    return model",
    ]
    return "\n".join(lines) + "\n"


def _settings(run: Run, usage: Usage, language: str) -> dict[str, Any]:
    """What the app has to know: how the model is asked, and its own sentences."""
    texts = {**TEXTS, **CLASSIFIER_TEXTS} if run.plan.task == "classify" else TEXTS
    values = {
        "base": sanitize_line(str(runs.report(run)["base"]["name"])),
        "name": sanitize_line(run.plan.name),
        "method": presets.methods()[run.plan.method.name].name,
    }
    return {
        "title": values["name"],
        "task": run.plan.task,
        "problem_type": usage.problem_type,
        "base": usage.base,
        "texts": {name: text.render(language, **values) for name, text in texts.items()},
    }


def _requirements() -> list[str]:
    """What the app installs, in the versions of the project."""
    needed = [line for line in space_bundle.requirements() if line.startswith(APP_REQUIREMENTS)]
    extras = space_bundle.read_project()[1]
    return sorted({*needed, *extras, space_bundle.ZERO_GPU_TORCH})


def _write_card(run: Run, form: str, folder: Path, front_matter: dict[str, Any], language: str) -> None:
    """The Space's card: what the hub has to know, then the model card as people read it."""
    full = {
        "title": sanitize_line(run.plan.name),
        "emoji": "💬",
        "colorFrom": "indigo",
        "colorTo": "gray",
        "pinned": False,
        "tags": ["training-studio"],
        **front_matter,
    }
    text = card.render_card(run, form, language, with_code=False)
    _, _, body = text.removeprefix("---\n").partition("\n---\n")
    header = yaml.safe_dump(full, sort_keys=False, allow_unicode=True)
    (folder / "README.md").write_text(f"---\n{header}---\n{body}", encoding="utf-8")
