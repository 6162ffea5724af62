"""Going on from a run: what it learned becomes the base model of the next training."""

from studio import methods, runs
from studio.errors import NotPossible
from studio.i18n import Message
from studio.plan import Plan
from studio.runs import Run
from studio.training import variations

NOTHING_LEARNED = Message("“{name}” has no result to go on from.")
NOTHING_LEARNED_TO_DO = Message("Wait until it has ended, or resume it.")
NOT_MERGEABLE = Message(
    "What “{name}” learned ({method}) cannot become part of the base model's matrices, so no training goes on"
    " from it."
)
NOT_MERGEABLE_TO_DO = Message("Run the same plan for more epochs, or train a LoRA, from which one can go on.")
NAME_OF_NEXT = Message("{name}, continued")


def build_plan(run: Run, plan: Plan | None = None) -> Plan:
    """A plan whose base model is what a run learned.

    Args:
        run: The run to go on from.
        plan: What to train; the run's own plan where it is None.

    Raises:
        NotPossible: The run has no result, or one that no training can start from.
        BadPlan: The plan's method or settings do not suit the model.
    """
    require_continuable(run)
    changes = {"model": str(run.folder), "where": "local"}
    if plan is None:
        plan, changes["name"] = run.plan, NAME_OF_NEXT.render(name=run.plan.name)[:120]
    return variations.vary(plan, changes)


def require_continuable(run: Run) -> None:
    """Raise NotPossible where no training can start from what a run learned."""
    if not runs.is_usable(run):
        raise NotPossible(NOTHING_LEARNED, NOTHING_LEARNED_TO_DO, name=run.plan.name)
    method = methods.get(run.plan.method.name)
    settings = method.resolve_settings(run.plan.method.settings)
    if "merged" not in method.exports or not method.can_merge(settings):
        raise NotPossible(NOT_MERGEABLE, NOT_MERGEABLE_TO_DO, name=run.plan.name, method=method.name)


def can_continue(run: Run) -> bool:
    """Whether a training can start from what a run learned."""
    try:
        require_continuable(run)
    except NotPossible:
        return False
    return True
