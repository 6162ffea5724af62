"""“The same again, but …”: the plan of a run with some of its values changed."""

from collections.abc import Mapping
from typing import Any

from studio import methods
from studio import plan as plans
from studio.plan import Plan


def vary(plan: Plan, changes: Mapping[str, Any]) -> Plan:
    """A plan with these values instead of its own.

    Args:
        plan: The plan to start from.
        changes: The new values by key, such as `training.epochs`.

    Raises:
        BadPlan: The changed plan is none.
    """
    raw = plan.model_dump(mode="json")
    for key, value in changes.items():
        *parents, last_key = key.split(".")
        section = raw
        for name in parents:
            section = section[name]
        section[last_key] = value
    return plans.parse(raw, plan.name, (methods.find_plan_problems,))
