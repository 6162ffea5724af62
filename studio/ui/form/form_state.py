"""What the fields of the Data and Method tabs hold at one moment: read once, then passed on as one value."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from studio import methods
from studio.methods.spec import Method
from studio.plan import Task, Value
from studio.ui.form import packing
from studio.ui.form.training_fields import TRAINING_FIELDS


@dataclass(frozen=True)
class FormState:
    """The values of the fields as a browser sent them; `plan_form.build_plan` checks them.

    Attributes:
        source: The data set, "" where there is none.
        task: What the model is to learn.
        columns: Role -> column.
        model: Catalogue id, hub id or folder of the base model, "" where none is chosen.
        method: Name of the chosen method.
        machine: Id of the machine the run is priced for.
        run_name: What the person calls the run, "" for a name made from method and model.
        test_source: A separate data set for the final test, "" for a part of `source`.
        training: The values of the training fields (TRAINING_FIELDS) that were sent, by name.
        settings: Method name -> setting -> value, without settings that have no effect under the others.
        edited: The suggested values that a person has changed for this data set, by field name.
    """

    source: str
    task: Task
    columns: Mapping[str, str]
    model: str = ""
    method: str = ""
    machine: str = ""
    run_name: str = ""
    test_source: str = ""
    training: Mapping[str, Any] = field(default_factory=dict)
    settings: Mapping[str, dict[str, Value]] = field(default_factory=dict)
    edited: tuple[str, ...] = ()

    @property
    def max_length(self) -> int:
        """The longest example in tokens, as it was entered; 0 where the field is empty."""
        return int(self.training.get("max_length") or 0)


def read_form(fields: Mapping[str, Any]) -> FormState:
    """Read the form from what Gradio hands to a handler.

    Args:
        fields: Values by field name: source, task, columns, model, method, machine, name, test, edited, the
            training fields by their names in a plan and settings as METHOD_SETTING, both single or packed
            (packing.pack_fields). All but source, task and columns may be missing.
    """
    values = packing.unpack_fields(fields)
    source = str(values["source"] or "")
    return FormState(
        source=source,
        task=values["task"],
        columns=packing.unpack_mapping(values["columns"]),
        model=str(values.get("model") or ""),
        method=str(values.get("method") or ""),
        machine=str(values.get("machine") or ""),
        run_name=str(values.get("name") or ""),
        test_source=str(values.get("test") or ""),
        training={name: values[name] for name in TRAINING_FIELDS if name in values},
        settings={
            method.name: read_method_settings(method, values, values["task"]) for method in methods.METHODS
        },
        edited=read_edited_fields(source, values.get("edited")),
    )


def read_method_settings(method: Method, values: Mapping[str, Value], task: Task) -> dict[str, Value]:
    """The settings of one method out of all fields (METHOD_SETTING), without those that have no effect."""
    all_values = {setting.name: values[f"{method.name}_{setting.name}"] for setting in method.settings}
    return {
        setting.name: all_values[setting.name]
        for setting in method.settings
        if setting.has_effect(all_values, task)
    }


def read_edited_fields(source: str, state: object) -> tuple[str, ...]:
    """Which suggested values a person has changed for this data set; a browser may send anything."""
    names = read_state_part(source, state, "names")
    return tuple(str(name) for name in names) if isinstance(names, list) else ()


def read_state_part(source: str, state: object, key: str) -> object:
    """One part of a state that a browser saved for this data set; None where there is none for it."""
    if not source or not isinstance(state, dict) or state.get("source") != source:
        return None
    return state.get(key)
