"""Limits for visitors of a page that strangers share: one run each, and so many rows, minutes, megabytes."""

import hashlib
import hmac
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address, ip_network
from pathlib import Path

import gradio as gr
from filelock import FileLock

from studio import runs, space
from studio.data import store
from studio.data.store import Dataset
from studio.errors import BadData, NotPossible
from studio.hub import account
from studio.i18n import Message
from studio.plan import Plan
from studio.runs import Run
from studio.storage import home, write_text

PUBLIC_ENV = "STUDIO_PUBLIC"
MAX_ROWS, MAX_MINUTES, MAX_DISK_MB = 5_000, 30.0, 2_000
# In each folder that a visitor filled: whose it is, as a number that tells nothing of them.
VISITOR_FILE = "visitor"
SALT_FILE = "visitors-salt"
FOLDERS = ("runs", "datasets", "sheets")
# The networks that a provider gives to one household.
IPV6_HOUSEHOLD_BITS = 64
DUPLICATE = Message("For more, duplicate this Space for private work: {address}")
ONE_RUN = Message("On this public page everyone has one run at a time, and “{name}” has not ended.")
WAIT_OR_STOP = Message("Wait for it or stop it. {duplicate}")
ONE_AT_A_TIME = Message("On this public page several runs at once cannot be started.")
MAX_SHOWN_CHARS = 80
NOT_LISTED = Message("On this public page only listed models can be trained, and “{model}” is not listed.")
TAKE_LISTED = Message("Choose one from the list. {duplicate}")
TOO_MANY_ROWS = Message("On this public page a data set may have {limit:,} rows; “{name}” has {count:,}.")
USE_FEWER_ROWS = Message("Take fewer rows. {duplicate}")
TOO_MUCH_DISK = Message("Your data and runs take {used:,.0f} MB; on this public page {limit:,} MB are yours.")
DELETE_SOME = Message("Delete some of them. {duplicate}")


def is_public() -> bool:
    """Whether strangers share this page; decided when it is launched."""
    return os.environ.get(PUBLIC_ENV) == "1"


def is_for_strangers(has_password: bool) -> bool:
    """Whether the page that is being launched is one that strangers will share.

    That is a Space that everyone sees; STUDIO_PUBLIC says it for any other page, or that a Space is none.

    Args:
        has_password: Whether visitors must know a password.
    """
    if os.environ.get(PUBLIC_ENV):
        return os.environ[PUBLIC_ENV] == "1"
    is_own = has_password or not space.space_id()
    return not is_own and account.is_visible_to_all(space.space_id(), "space")


def identify(request: gr.Request) -> str:
    """A number for the visitor, by the address they come from."""
    return hmac.new(_salt(), _address(request).encode(), hashlib.sha256).hexdigest()[:32]


def _address(request: gr.Request) -> str:
    """Where a request comes from; of a household with IPv6 addresses without end, its network.

    Behind proxies it is the last address in the world that they added; their own are none, and what others
    say of it was removed (security.py).
    """
    forwarded = str(getattr(request, "headers", {}).get("x-forwarded-for", ""))
    named = [text.strip() for text in forwarded.split(",") if text.strip()]
    client = str(getattr(getattr(request, "client", None), "host", ""))
    in_the_world = [text for text in named if _is_global(text)]
    text = (in_the_world or named or [client])[-1]
    try:
        address = ip_address(text)
    except ValueError:
        return text
    if isinstance(address, IPv6Address):
        return str(ip_network((address, IPV6_HOUSEHOLD_BITS), strict=False))
    return text


def _is_global(text: str) -> bool:
    try:
        return ip_address(text).is_global
    except ValueError:
        return False


def _salt() -> bytes:
    """What makes the numbers of visitors tell nothing of their addresses; made once for this home."""
    path = home() / SALT_FILE
    with FileLock(path.with_name(f".{SALT_FILE}.lock")):
        if not path.is_file():
            write_text(path, secrets.token_hex(32))
    return path.read_bytes()


def mark(folder: Path, request: gr.Request) -> None:
    """Note in a run's or a data set's folder whose it is."""
    if is_public():
        write_text(folder / VISITOR_FILE, identify(request))


def folders_of(visitor: str) -> Iterator[Path]:
    """What a visitor has filled: runs, data sets and sheets."""
    for name in FOLDERS:
        for path in (home() / name).glob(f"*/{VISITOR_FILE}"):
            if path.read_text(encoding="utf-8") == visitor:
                yield path.parent


@contextmanager
def one_at_a_time() -> Iterator[None]:
    """Let no two visitors pass a check in the block at once: each would see the state before the other."""
    if not is_public():
        yield
        return
    with FileLock(home() / ".visitors.lock"):
        yield


def check_run(request: gr.Request) -> None:
    """Refuse one more run of a visitor who has one, or whose disk is full; raises NotPossible."""
    if not is_public():
        return
    check_disk(request)
    unfinished = _unfinished_runs(identify(request))
    if unfinished:
        name = unfinished[0].plan.name
        raise NotPossible(ONE_RUN, WAIT_OR_STOP, name=name, duplicate=duplicate_hint())


def _unfinished_runs(visitor: str) -> list[Run]:
    names = {path.name for path in folders_of(visitor) if path.parent == runs.folder()}
    theirs = [run for run in runs.all_runs() if run.id in names]  # one that was deleted is none
    return [run for run in theirs if runs.status(run).state not in runs.ENDED_STATES]


def check_listed(model: str) -> None:
    """Refuse a model that is not on the list, which this machine would have to fetch; raises NotPossible."""
    if is_public():
        raise NotPossible(NOT_LISTED, TAKE_LISTED, model=model[:MAX_SHOWN_CHARS], duplicate=duplicate_hint())


def check_several() -> None:
    """Refuse what starts several runs at once; raises NotPossible."""
    if is_public():
        raise NotPossible(ONE_AT_A_TIME, DUPLICATE, address=space.duplicate_address())


def check_disk(request: gr.Request) -> None:
    """Refuse more to a visitor who has filled their share of the disk; raises NotPossible."""
    if not is_public():
        return
    used = sum(
        path.stat().st_size
        for folder in folders_of(identify(request))
        for path in folder.rglob("*")
        if path.is_file()
    )
    if used > MAX_DISK_MB * 1e6:
        raise NotPossible(
            TOO_MUCH_DISK, DELETE_SOME, used=used / 1e6, limit=MAX_DISK_MB, duplicate=duplicate_hint()
        )


def check_rows(dataset: Dataset) -> None:
    """Refuse a data set with more rows than a visitor may bring; raises BadData."""
    count = int(dataset.card.get("rows", 0)) if is_public() and dataset.is_editable else 0
    if count > MAX_ROWS:
        raise BadData(
            TOO_MANY_ROWS,
            USE_FEWER_ROWS,
            limit=MAX_ROWS,
            name=dataset.name,
            count=count,
            duplicate=duplicate_hint(),
        )


def accept(dataset: Dataset, request: gr.Request) -> None:
    """Note whose a new data set is; one with too many rows is removed, and BadData raised."""
    try:
        check_rows(dataset)
    except BadData:
        store.delete(dataset)
        raise
    mark(dataset.folder, request)


def limit_minutes(plan: Plan) -> Plan:
    """A plan that stops after the minutes a visitor has; the same plan on any other page."""
    if not is_public():
        return plan
    minutes = min(plan.training.max_minutes or MAX_MINUTES, MAX_MINUTES)
    return plan.model_copy(update={"training": plan.training.model_copy(update={"max_minutes": minutes})})


def duplicate_hint() -> Message | str:
    """How to get around the limits: with a copy of the Space; "" where this is none."""
    return DUPLICATE.format(address=space.duplicate_address()) if space.space_id() else ""
