"""What a person agrees to before a run leaves this machine: where to, how long, how much, and the data."""

import math
from dataclasses import dataclass

from studio import credentials
from studio.errors import NotPossible
from studio.estimate.estimate_one import minutes_before_start
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import Machine
from studio.estimate.types import Estimate, Range
from studio.hub import account
from studio.i18n import Message
from studio.launchers import bundle, hub_jobs, ray_jobs, record, ssh
from studio.plan import Plan
from studio.runs import Run

DURATION = Message("“{name}” trains at {machine}: {low:.0f} to {high:.0f} min by estimate.")
SHORT_DURATION = Message("“{name}” trains at {machine}: under a minute by estimate.")
UNKNOWN_DURATION = Message("“{name}” trains at {machine}; how long is not known.")
SETUP = Message(
    "Starting the machine, installing the studio and fetching the model take about {minutes:.0f} min more, "
    "which are paid too (assumed)."
)
COST = Message(
    "It costs {low:.2f} to {high:.2f} {currency} with that, at {per_hour:.2f} an hour ({source}, {date})."
)
PRICE_ONLY = Message("An hour costs {per_hour:.2f} {currency} ({source}, {date}).")
CAP = Message(
    "It is ended after {minutes:.0f} min at the latest, and costs no more than {most:.2f} {currency}. The "
    "training ends itself {before:.0f} min before that, with its best state."
)
JOB_DATA = Message(
    "Your rows, the plan and the studio go to a private repository of “{account}” at Hugging Face. The job "
    "gets your token as a secret, to read it and to put the result there."
)
JOB_NEEDS_TOKEN = Message("“{machine}” is rented with a token of your Hugging Face account.")
TYPE_TOKEN = Message(
    "Type one under “Your own machines” on the Method tab, or run `hf auth login`; it needs write access."
)
BOX_DATA = Message("Your rows, the plan and the studio are copied to {address}, into the folder ~/{folder}.")
CLUSTER_DATA = Message(
    "Your rows, the plan and the studio are copied to the Ray cluster at {address}, into the folder {folder}."
)
SEVERAL_GPUS = Message(
    "{count} GPUs train it together, a batch of the plan shared among them. If one is lost, all go on from "
    "the last checkpoint."
)
SHARED_WEIGHTS = Message(
    "One of them cannot hold the training, so each holds its share of the weights (FSDP). The first one "
    "holds the whole model in 16 bits while it evaluates, before and after."
)
SEVERAL_NEED_RAY = Message(
    "“{machine}” has cards: {count}, and several GPUs train one run together at a Ray cluster alone."
)
START_CLUSTER = Message(
    "Write cards: 1, or start a cluster there with `studio cluster start` and name it (ray:)."
)
READABLE_ON_THE_WAY = Message(
    "The way there is not encrypted (http): others on this network can read rows and token. A tunnel is "
    "safe: `ssh -L 8265:localhost:8265 HOST`, and ray: http://localhost:8265."
)
BASE_TRAVELS = Message("So is the base model's folder, since it is one of this machine.")
INSTALLS = Message(
    "What the studio needs is missing there: it is installed into that folder first, up to {gb:.0f} GB and "
    "some minutes. Nothing else there is changed."
)
RESULT = Message("The result comes back to this machine, into the run.")
DELETED = Message("Then the rows and the result are deleted there.")
KEPT = Message("The rows and the result stay there.")


@dataclass(frozen=True)
class Consent:
    """What a person agrees to.

    Attributes:
        machine: The machine, at today's price.
        account: The account that rents it; empty at a machine of the person's own.
        max_minutes: After how many minutes the machine ends the job; 0 at a box, which is the person's own.
        lines: What it comes to, in sentences.
    """

    machine: Machine
    account: str
    max_minutes: float
    lines: tuple[Message, ...]


def current_machine(machine: Machine) -> Machine:
    """The machine at the price that is asked for it today, where its service says so."""
    return hub_jobs.current_price(machine) if machine.job else machine


def describe(
    plan: Plan,
    machine: Machine,
    estimate: Estimate | None,
    keep: bool = False,
    used_minutes: float = 0.0,
) -> Consent:
    """What a run elsewhere comes to.

    Args:
        plan: The plan.
        machine: Where it would train, at today's price.
        estimate: What it would take there; None where that is not known.
        keep: Whether what lies there stays once the result is here.
        used_minutes: How long the run has trained so far, which counts where its plan has a cap.

    Raises:
        StudioError: The machine cannot be reached, refuses this person, or cannot train the plan.
    """
    if machine.cards > 1 and not machine.ray:
        raise NotPossible(SEVERAL_NEED_RAY, START_CLUSTER, machine=machine.name, count=machine.cards)
    minutes = estimate.minutes if estimate else None
    lines = [_describe_duration(plan, machine, minutes)]
    max_minutes, owner = 0.0, ""
    if machine.job:
        longest_minutes = minutes.high if minutes else None
        max_minutes = hub_jobs.choose_max_minutes(plan, longest_minutes, machine, used_minutes)
        owner = _find_account(machine)
        lines += _describe_job(machine, estimate, max_minutes)
        lines.append(JOB_DATA.format(account=owner))
    elif machine.ray:
        lines += _describe_cluster(plan, machine, estimate)
    else:
        lines += _describe_box(plan, machine)
    return Consent(machine, owner, max_minutes, (*lines, RESULT, KEPT if keep else DELETED))


def record_agreement(run: Run, agreement: Consent, keep: bool) -> None:
    """Write beside a run what a person has agreed to: nothing leaves this machine without it."""
    machine = agreement.machine
    agreed = {"agreed": True, "keep": keep, "max_minutes": agreement.max_minutes}
    price = bundle.price_of(machine)
    record.read(run).write(run, machine=machine.name, account=agreement.account, price=price, **agreed)


def _describe_duration(plan: Plan, machine: Machine, minutes: Range | None) -> Message:
    if not minutes:
        return UNKNOWN_DURATION.format(name=plan.name, machine=machine.name)
    if minutes.high < 1:
        return SHORT_DURATION.format(name=plan.name, machine=machine.name)
    return DURATION.format(name=plan.name, machine=machine.name, low=minutes.low, high=minutes.high)


def _find_account(machine: Machine) -> str:
    """The name of the account that rents a machine."""
    token = credentials.hub_token()
    if not token:
        raise NotPossible(JOB_NEEDS_TOKEN, TYPE_TOKEN, machine=machine.name)
    return account.sign_in(token).name


def _describe_job(machine: Machine, estimate: Estimate | None, max_minutes: float) -> list[Message]:
    setup_minutes = estimate.startup_minutes if estimate else minutes_before_start(machine)
    lines = [SETUP.format(minutes=setup_minutes)]
    source = machine.price_source
    if machine.price_per_hour is not None and source:
        price = {
            "per_hour": machine.price_per_hour,
            "currency": machine.currency,
            "source": source.said,
            "date": str(source.date),
        }
        message = PRICE_ONLY.format(**price)
        if estimate and estimate.minutes:
            ends = (estimate.minutes.low, estimate.minutes.high)
            low, high = (round_up_cost(machine, setup_minutes + minutes) for minutes in ends)
            message = COST.format(low=low, high=high, **price)
        most = round_up_cost(machine, max_minutes)
        before = hub_jobs.upload_minutes(max_minutes)
        cap = CAP.format(minutes=max_minutes, most=most, currency=machine.currency, before=before)
        lines += [message, cap]
    return lines


def round_up_cost(machine: Machine, minutes: float) -> float:
    """What so many minutes cost, rounded up to the cent."""
    return math.ceil(round((catalogue.cost_of_minutes(machine, minutes) or 0.0) * 100, 6)) / 100


def _describe_box(plan: Plan, machine: Machine) -> list[Message]:
    box = ssh.SshLauncher(machine).look()
    lines = [BOX_DATA.format(address=machine.ssh, folder=ssh.ROOT)]
    if bundle.is_base_local(plan):
        lines.append(BASE_TRAVELS)
    if not box.has_libraries:
        lines.append(INSTALLS.format(gb=ssh.INSTALL_GB))
    return lines


def _describe_cluster(plan: Plan, machine: Machine, estimate: Estimate | None) -> list[Message]:
    launcher = ray_jobs.RayLauncher(machine)
    launcher.look()
    lines = [CLUSTER_DATA.format(address=machine.ray, folder=launcher.root)]
    if machine.cards > 1:
        lines.append(SEVERAL_GPUS.format(count=machine.cards))
    if estimate and estimate.is_sharded:
        lines.append(SHARED_WEIGHTS)
    if bundle.is_base_local(plan):
        lines.append(BASE_TRAVELS)
    if launcher.is_readable_on_the_way:
        lines.append(READABLE_ON_THE_WAY)
    return lines
