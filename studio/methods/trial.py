"""Try a plan's settings before its run: a child process attaches the method to a model without weights and says what the library says.

Only for methods whose library may refuse settings that are each in range; takes a few seconds and no memory to speak of.
"""

import json
import os
import subprocess
import sys
from functools import lru_cache
from typing import Any

from studio import child, methods, presets
from studio.errors import StudioError, explain
from studio.methods.base import Settings
from studio.models import fetch
from studio.plan import Plan, Task

# Longer than it takes on a busy machine; a trial that takes longer says nothing, and the run itself will.
SECONDS = 60


def refusal(plan: Plan, language: str = "en") -> str:
    """What stands against a plan's settings, in sentences; empty where nothing does or nobody can know before the run."""
    method = methods.get(plan.method.name)
    if not method.refusable:
        return ""
    card, here = presets.models().get(plan.model), fetch.cached(plan.model)
    if not card and not here:
        return ""
    asked = {
        "method": method.name,
        "settings": method.settle(plan.method.settings),
        "task": plan.task,
        "folder": str(here.folder) if here else "",
        "config": dict(card.config) if card else {},
    }
    return _tried(json.dumps(asked, sort_keys=True)).get(language, "")


@lru_cache(maxsize=256)
def _tried(asked: str) -> dict[str, str]:
    """The answer of the child process; raises nothing."""
    try:
        done = subprocess.run(
            [sys.executable, "-m", "studio.methods.trial"],
            input=asked,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            env=child.environment(os.environ),
            check=False,
        )
        found = json.loads(done.stdout.splitlines()[-1]) if done.returncode == 0 else {}
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return {}
    return {str(name): str(said) for name, said in found.items()}


def attach(name: str, settings: Settings, task: Task, folder: str, config: dict[str, Any]) -> None:
    """Attach a method to a model of which only the shapes are there; raises what the library says."""
    import torch  # noqa: PLC0415 - only the child process
    from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification  # noqa: PLC0415

    found = AutoConfig.from_pretrained(folder, trust_remote_code=False) if folder else AutoConfig.for_model(**config)
    kind = AutoModelForSequenceClassification if task == "classify" else AutoModelForCausalLM
    with torch.device("meta"):
        model = kind.from_config(found)
    model.config.name_or_path = model.name_or_path = folder
    methods.get(name).attach(model, settings, task)


def main() -> int:
    """The child process: a question as JSON on stdin, what stands against it in both languages as JSON on stdout."""
    asked = json.loads(sys.stdin.read())
    said: dict[str, str] = {}
    try:
        attach(asked["method"], asked["settings"], asked["task"], asked["folder"], asked["config"])
    except StudioError as error:
        said = {language: explain(error).say(language) for language in ("en", "zh")}
    sys.stdout.write(json.dumps(said) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
