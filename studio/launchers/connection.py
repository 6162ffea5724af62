"""What a machine of one's own says when it is asked for the first time; nothing is changed there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import FALLBACK_CPU, GIB, Host, Machine
from studio.hub import account
from studio.i18n import Message
from studio.launchers import consent, ssh
from studio.launchers.ray_jobs import RayLauncher
from studio.launchers.ssh import Box

BOX_ANSWERS = Message("“{machine}” answers, and has Python 3.11 or newer.")
BOX_HAS = Message("{cores} cores, {memory:.0f} GB of memory, {free:.0f} GB free on its disk.")
BOX_GPUS = Message("GPUs: {count} × {gpu}.")
NO_GPU = Message("It names no NVIDIA GPU, so runs train on its processor.")
ONE_GPU = Message("A run uses one of them. With a Ray cluster on it (`studio cluster start`) a run uses all.")
HAS_LIBRARIES = Message("torch, transformers, trl and peft are there.")
CLUSTER_ANSWERS = Message("A Ray {version} cluster answers.")
CLUSTER_HAS = Message("Nodes: {nodes}. Cores: {cores:.0f}. GPUs: {gpus:.0f}{kinds}.")
NODES_UNKNOWN = Message("What its nodes have it does not say.")
UNKNOWN_HARDWARE = Message(
    "The list of hardware has no “{gpu}”: choose what comes nearest, since the estimates rest on it."
)
HUB_ANSWERS = Message("Hugging Face knows this token: it is that of “{name}”, and may write.")
ACCELERATOR = "accelerator_type:"


@dataclass(frozen=True)
class Finding:
    """What was found.

    Attributes:
        lines: It, in sentences.
        card: The id of the hardware; empty where the list lacks it, or nobody says.
        host: Its processor and memory; None where nobody says.
    """

    lines: tuple[Message, ...]
    card: str = ""
    host: Host | None = None


def look_at_box(machine: Machine) -> Finding:
    """Ask a box over SSH; raises StudioError where it does not answer, refuses, or has no Python."""
    box = ssh.SshLauncher(machine).look()
    lines = [BOX_ANSWERS.format(machine=machine.name)]
    lines.append(BOX_HAS.format(cores=box.cores, memory=box.memory_gb, free=box.free_gb))
    card, host = FALLBACK_CPU, _describe_host(box)
    if box.gpu:
        card = catalogue.find_hardware(box.gpu)
        lines.append(BOX_GPUS.format(count=box.n_gpus, gpu=box.gpu))
    else:
        lines.append(NO_GPU)
    if box.n_gpus > 1:
        lines.append(ONE_GPU)
    if box.gpu and not card:
        lines.append(UNKNOWN_HARDWARE.format(gpu=box.gpu))
    lines.append(HAS_LIBRARIES if box.has_libraries else consent.INSTALLS.format(gb=ssh.INSTALL_GB))
    return Finding(tuple(lines), card, host)


def _describe_host(box: Box) -> Host | None:
    """A box's processor and memory; None where it does not say."""
    if not box.cores or not box.memory_gb:
        return None
    return Host(memory_gb=box.memory_gb, cores=box.cores)


def look_at_cluster(machine: Machine, token: str = "") -> Finding:
    """Ask a Ray cluster.

    Args:
        machine: The cluster.
        token: The token that was typed in for it; empty for the person's own, if there is one.

    Raises:
        StudioError: It does not answer, or refuses the token.
    """
    launcher = RayLauncher(machine, token)
    lines = [CLUSTER_ANSWERS.format(version=launcher.look())]
    nodes = [node.get("resources_total") or {} for node in launcher.list_nodes()]
    kinds = sorted({key.removeprefix(ACCELERATOR) for node in nodes for key in node if ACCELERATOR in key})
    n_gpus = _sum(nodes, "GPU")
    if nodes:
        named = f" ({', '.join(kinds)})" if kinds else ""
        lines.append(CLUSTER_HAS.format(nodes=len(nodes), cores=_sum(nodes, "CPU"), gpus=n_gpus, kinds=named))
    else:
        lines.append(NODES_UNKNOWN)
    card, host = "", None
    if nodes and not n_gpus:
        memory_gb = max(_read_number(node.get("memory")) for node in nodes) / GIB
        card, host = FALLBACK_CPU, Host(memory_gb=max(memory_gb, 0.1), cores=1)
    elif len(kinds) == 1:
        card = catalogue.find_hardware_of_kind(kinds[0])
    if n_gpus and not card:
        lines.append(UNKNOWN_HARDWARE.format(gpu=", ".join(kinds) or "?"))
    if launcher.is_readable_on_the_way:
        lines.append(consent.READABLE_ON_THE_WAY)
    return Finding(tuple(lines), card, host)


def _sum(nodes: Sequence[Mapping[str, Any]], resource: str) -> float:
    return sum(_read_number(node.get(resource)) for node in nodes)


def _read_number(value: object) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def look_at_hub(token: str) -> Finding:
    """Ask Hugging Face whose token it is; raises StudioError where it refuses it or does not answer."""
    return Finding((HUB_ANSWERS.format(name=account.sign_in(token, may_only_read=True).name),))
