"""Machines that a person has added on the page; those written by hand stand in `machines.yaml`, as ever."""

import re
from typing import Any

import yaml
from pydantic import ValidationError

from studio.errors import NotPossible
from studio.estimate.machines import catalogue
from studio.estimate.machines.catalogue import ADDED_FILE, Machine, MachineEntry
from studio.i18n import Message
from studio.storage import home, write_text

MAX_ID_CHARS = 40
WRONG_FIELD = Message("{field}: “{value}” cannot be used.")
# What is wrong with a field of a machine, by the field.
FIELDS_TO_DO: dict[str, Message] = {
    "ssh": Message("Type what you would type behind `ssh`: a name of your SSH config, or user@host."),
    "ray": Message("Type the address of the cluster's dashboard, such as http://localhost:8265."),
    "python": Message("Type the name or the path of a program, such as python3.12 or /opt/env/bin/python."),
    "storage": Message("Type the path of a folder that all nodes share, such as /shared/studio."),
    "cards": Message("Type how many GPUs train one run together, 1 to 64."),
    "card": Message("Choose the hardware in the list."),
}
FIELD_NAMES: dict[str, Message] = {
    "ssh": Message("Address"),
    "ray": Message("Address"),
    "python": Message("Python"),
    "storage": Message("Shared folder"),
    "cards": Message("GPUs"),
    "card": Message("Hardware"),
}
CHECK_FIELDS = Message("Check what you typed.")
UNKNOWN = Message("There is no machine “{name}” that was added on the page.")
BY_HAND = Message("One that stands in machines.yaml is changed there.")


def build_entry(values: dict[str, Any]) -> MachineEntry:
    """A machine as it was typed in.

    Args:
        values: The fields of a MachineEntry.

    Raises:
        NotPossible: A field cannot be used; says which and what it takes.
    """
    try:
        return MachineEntry.model_validate(values)
    except ValidationError as error:
        field = str(error.errors()[0]["loc"][0])
        name = FIELD_NAMES.get(field, Message(field))
        hint = FIELDS_TO_DO.get(field, CHECK_FIELDS)
        raise NotPossible(WRONG_FIELD, hint, field=name, value=str(values.get(field))[:80]) from None


def build_machine(machine_id: str, entry: MachineEntry) -> Machine:
    """The machine that an entry stands for; raises NotPossible where its hardware is not known."""
    machine = catalogue.build_own_machine(machine_id, entry)
    if not machine:
        raise NotPossible(WRONG_FIELD, FIELDS_TO_DO["card"], field=FIELD_NAMES["card"], value=entry.card)
    return machine


def choose_id(name: str) -> str:
    """An id for a machine of this name, under which no other is listed."""
    taken = {*catalogue.load_machines(), catalogue.LOCAL_ID}
    plain = re.sub(r"[^a-z0-9]+", "-", name.casefold()).strip("-")[:MAX_ID_CHARS] or "machine"
    candidates = (plain, *(f"{plain}-{number}" for number in range(2, len(taken) + 3)))
    return next(candidate for candidate in candidates if candidate not in taken)


def add(machine_id: str, entry: MachineEntry) -> Machine:
    """Add a machine to the list, or bring back one that was removed."""
    machine = build_machine(machine_id, entry)
    _write({**catalogue.read_added(), machine_id: entry})
    return machine


def remove(machine_id: str) -> MachineEntry:
    """Take a machine off the list; returns it as `add` takes it.

    Raises:
        NotPossible: It was not added on the page.
    """
    entries = catalogue.read_added()
    if machine_id not in entries:
        raise NotPossible(UNKNOWN, BY_HAND, name=machine_id[:MAX_ID_CHARS])
    entry = entries.pop(machine_id)
    _write(entries)
    return entry


def _write(entries: dict[str, MachineEntry]) -> None:
    rows = {
        machine_id: entry.model_dump(mode="json", exclude_defaults=True)
        for machine_id, entry in entries.items()
    }
    write_text(home() / ADDED_FILE, yaml.safe_dump({"machines": rows}, allow_unicode=True))
