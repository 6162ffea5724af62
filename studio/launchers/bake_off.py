"""A bake-off at another machine: what a person agrees to, and its runs, which train there side by side."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from studio.errors import NotPossible
from studio.estimate.machines.catalogue import Machine
from studio.estimate.types import Estimate
from studio.i18n import Message
from studio.launchers import consent, resumption
from studio.launchers.consent import Consent
from studio.plan import Plan
from studio.runs import Run
from studio.training import before_start, pause
from studio.training.bake_off import record
from studio.training.bake_off.record import BakeOff

TO_THEIR_END = Message(
    "{count} runs go to {machine}, as many at once as it has room for. Each trains to its end, or for its "
    "share of the time, {share:.0f} min: none is dropped on the way, as on this machine. They are compared "
    "then."
)
COST_OF_ALL = Message("All of them together cost no more than {most:.2f} {currency}.")
TOO_LITTLE_TIME = Message(
    "“{name}” takes at least {low:.0f} min at {machine} by estimate, and its share of {cap:g} min is "
    "{share:.0f}."
)
MORE_TIME = Message("Allow more minutes, or leave a contender out.")


@dataclass(frozen=True)
class _Contender:
    """A contender: its plan with its share of the time, what it would take, and what is agreed to.

    One that goes on has its run.
    """

    name: str
    plan: Plan
    estimate: Estimate | None
    agreement: Consent
    run: Run | None = None


@dataclass(frozen=True)
class Agreement:
    """What a person agrees to before a bake-off leaves this machine; `lines` is all of it in sentences."""

    machine: Machine
    cap_minutes: float
    contenders: tuple[_Contender, ...]
    lines: tuple[Message, ...]


def describe(
    named_plans: Sequence[tuple[str, Plan]], cap_minutes: float, machine: Machine, keep: bool = False
) -> Agreement:
    """What a bake-off elsewhere comes to.

    Args:
        named_plans: The contenders, each with its name.
        cap_minutes: How long all of them may train together; each has an equal share.
        machine: Where they would train, at today's price.
        keep: Whether what lies there stays once the results are here.

    Raises:
        StudioError: These plans cannot be compared, or one of them cannot train there in its time; or the
            machine cannot be reached or refuses this person.
    """
    record.require_comparable(named_plans, cap_minutes)
    share = cap_minutes / len(named_plans)
    contenders = tuple(_describe_contender(each, share, machine, keep) for each in named_plans)
    for each in contenders:
        _require_time(each, cap_minutes, share, machine)
    return Agreement(machine, cap_minutes, contenders, _join_lines(contenders, share, machine))


def describe_again(bake_off: BakeOff, machine: Machine, keep: bool = False) -> Agreement | None:
    """What it comes to that a bake-off elsewhere goes on; None where no run would be sent anew.

    Args:
        bake_off: The bake-off.
        machine: Where it trains, at today's price.
        keep: Whether what lies there stays once the results are here.

    Raises:
        StudioError: The machine cannot be reached, refuses this person, or cannot train a plan.
    """
    contenders = tuple(
        _Contender(each.name, each.plan, None, resumption.describe(run, machine, keep), run)
        for each in bake_off.remaining
        if (run := each.run) and resumption.needs_agreement(run)
    )
    if not contenders:
        return None
    share = bake_off.cap_minutes / len(bake_off.contenders)
    return Agreement(machine, bake_off.cap_minutes, contenders, _join_lines(contenders, share, machine))


def _join_lines(contenders: Sequence[_Contender], share: float, machine: Machine) -> tuple[Message, ...]:
    """What is agreed to in sentences: those of one contender, and once what holds for all."""
    lines = [TO_THEIR_END.format(count=len(contenders), machine=machine.name, share=share)]
    all_lines = [each.agreement.lines for each in contenders]
    lines += [line for own in all_lines for line in own if any(line not in other for other in all_lines)]
    max_minutes = [each.agreement.max_minutes for each in contenders]
    if machine.price_per_hour is not None and all(max_minutes):
        most = sum(consent.round_up_cost(machine, minutes) for minutes in max_minutes)
        lines.append(COST_OF_ALL.format(most=most, currency=machine.currency))
    lines += [line for line in all_lines[0] if all(line in other for other in all_lines)]
    return tuple(lines)


def _describe_contender(
    named_plan: tuple[str, Plan], share: float, machine: Machine, keep: bool
) -> _Contender:
    """A contender with its share of the minutes as its cap, unless its plan has a smaller one."""
    name, plan = named_plan
    max_minutes = min(share, plan.training.max_minutes or share)
    training = plan.training.model_copy(update={"max_minutes": max_minutes})
    capped = plan.model_copy(update={"training": training})
    estimate = before_start.check_contender(name, capped, machine)
    return _Contender(name, capped, estimate, consent.describe(capped, machine, estimate, keep))


def _require_time(contender: _Contender, cap_minutes: float, share: float, machine: Machine) -> None:
    """Raise NotPossible where a contender does not fit into its share of the time."""
    estimate = contender.estimate
    if estimate and estimate.minutes and estimate.minutes.low > share:
        raise NotPossible(
            TOO_LITTLE_TIME,
            MORE_TIME,
            name=contender.name,
            machine=machine.name,
            low=estimate.minutes.low,
            cap=cap_minutes,
            share=share,
        )


def record_agreement(agreement: Agreement, keep: bool = False) -> None:
    """Write beside the runs of a bake-off that goes on what a person has agreed to."""
    for each in agreement.contenders:
        if each.run:
            consent.record_agreement(each.run, each.agreement, keep)


def create(agreement: Agreement, keep: bool = False) -> BakeOff:
    """A bake-off that a person has agreed to, with a run of each contender; nothing trains yet.

    Args:
        agreement: What it comes to.
        keep: Whether what lies there stays once the results are here.
    """
    named_plans = [(each.name, each.plan) for each in agreement.contenders]
    bake_off = record.create(named_plans, agreement.cap_minutes, n_looks=1)
    for agreed, contender in zip(agreement.contenders, bake_off.contenders, strict=True):
        run = before_start.create(agreed.plan, agreed.estimate, agreement.machine)
        pause.mark_contender(run)
        consent.record_agreement(run, agreed.agreement, keep)
        bake_off = bake_off.with_contender(replace(contender, run_id=run.id))
    record.save(bake_off)
    return bake_off
