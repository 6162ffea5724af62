"""Tries a plan's settings before its run: a child process attaches the method to a model without weights.

Only for methods whose library may refuse settings that are each in range. It takes a few seconds and hardly
any memory.
"""

import json
import subprocess
import sys
from functools import lru_cache
from pathlib import Path
from typing import Any

from studio import methods, presets, processes
from studio.errors import StudioError
from studio.i18n import Message
from studio.methods.spec import Settings
from studio.models import fetch, shape
from studio.plan import Plan, Task

# Longer than it takes on a busy machine. A check that takes longer finds nothing, and the run itself will.
TIMEOUT_SECONDS = 60


def find_problem(plan: Plan) -> Message | None:
    """Why the method's library refuses a plan's settings; None where it does not or cannot tell yet."""
    method = methods.get(plan.method.name)
    if not method.needs_settings_check:
        return None
    card, cached_model = presets.models().get(plan.model), fetch.find_cached(plan.model)
    if not card and not cached_model:
        return None
    request = {
        "method": method.name,
        "settings": method.resolve_settings(plan.method.settings),
        "task": plan.task,
        "folder": str(cached_model.folder) if cached_model else "",
        "config": dict(card.config) if card else {},
    }
    reply = _run_check(json.dumps(request, sort_keys=True))
    return Message.from_json(reply) if reply else None


@lru_cache(maxsize=256)
def _run_check(request: str) -> dict[str, Any]:
    """The child process's reply to a request in JSON: a message in JSON, or {} for none; raises nothing."""
    try:
        process = processes.run_module(
            "studio.methods.settings_check", input_text=request, timeout=TIMEOUT_SECONDS
        )
        return dict(json.loads(process.stdout.splitlines()[-1])) if process.returncode == 0 else {}
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return {}


def attach_on_meta(
    method_name: str, settings: Settings, task: Task, folder: str, config: dict[str, Any]
) -> None:
    """Attach a method to a model without weights; raises what the library says.

    Args:
        method_name: the method.
        settings: its resolved settings.
        task: the task.
        folder: the base model's folder; "" where it is not here.
        config: the base model's config, used where there is no folder.
    """
    import torch  # noqa: PLC0415 - only the child process
    from transformers import AutoConfig  # noqa: PLC0415

    from studio.models import load  # noqa: PLC0415

    if folder:
        model_config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    else:
        model_config = AutoConfig.for_model(**config)
    model_class = load.model_class(task, shape.read_config(Path(folder)) if folder else config)
    with torch.device("meta"):
        model = model_class.from_config(model_config)
    model.config.name_or_path = model.name_or_path = folder
    methods.get(method_name).attach(model, settings, task)


def answer_request(request: dict[str, Any]) -> dict[str, Any]:
    """The refusal of a request's settings as a message in JSON; {} where they are accepted."""
    try:
        attach_on_meta(
            request["method"], request["settings"], request["task"], request["folder"], request["config"]
        )
    except StudioError as error:
        return error.to_message().to_json()
    return {}


def main() -> int:
    """The child process: a request as JSON on stdin, the refusal (a message, or {}) as JSON on stdout."""
    reply = answer_request(json.loads(sys.stdin.read()))
    sys.stdout.write(json.dumps(reply) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
