"""Plans as a person would keep them in files."""

import pytest
import yaml
from hub_fixture import hub, no_login

__all__ = ["hub", "no_login"]


@pytest.fixture(autouse=True)
def start_at_once(untraced_start):
    """Runs start without a trace."""


@pytest.fixture
def plan_file(make_plan, tmp_path):
    """A plan on the tiny model, as a person would keep it in a file."""

    def write(**parts):
        raw = make_plan("lora", "chat", epochs=2).model_dump(mode="json")
        file = tmp_path / "plan.yaml"
        file.write_text(yaml.safe_dump({**raw, **parts}), encoding="utf-8")
        return str(file)

    return write
