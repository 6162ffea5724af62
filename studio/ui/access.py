"""What a visitor may see and name: on a page that others can reach, only what is the visitor's own."""

import os
from pathlib import Path

import gradio as gr

from studio import presets, runs
from studio.data import store
from studio.data.store import Dataset
from studio.errors import BadData, NotPossible, StudioError
from studio.estimate import all_methods
from studio.estimate.all_methods import BaseModelInfo
from studio.i18n import Message
from studio.models import fetch
from studio.runs import Run
from studio.ui import visitors

OPEN_TO_OTHERS_ENV = "STUDIO_OPEN"
MAX_UNFINISHED_RUNS = 10
# A browser that sends more run ids than this has only its latest ones read.
MAX_SAVED_RUNS = 500
DATASET_SCHEMES = ("sample", "dataset")
MAX_MODEL_NAME_CHARS = 80
SOMEONE_ELSES_RUN = Message("another run")


def is_open_to_others() -> bool:
    """Whether the page listens beyond this machine, as on a Space; decided when it is launched."""
    return os.environ.get(OPEN_TO_OTHERS_ENV) == "1"


def hide_others(message: Message) -> Message:
    """A message that may name a run, without the name where others reach the page."""
    return message.format(name=SOMEONE_ELSES_RUN) if is_open_to_others() else message


def check_owner() -> None:
    """Refuse what concerns the machine; raises NotPossible where others can reach the page."""
    if is_open_to_others():
        raise NotPossible(
            Message("On a page that others can reach, the machine is not measured from the page."),
            Message("Whoever runs the studio can: `studio measure`."),
        )


def visible_runs(stored_ids: object) -> list[Run]:
    """The runs to list: all of them on a private page, else those this browser has started.

    Args:
        stored_ids: The ids of these, as the browser sends them.
    """
    if not is_open_to_others():
        return runs.all_runs()
    started_ids = read_run_ids(stored_ids)
    return [run for run in runs.all_runs() if run.id in started_ids]


def read_run_ids(stored_ids: object) -> list[str]:
    """The run ids a browser has saved, without what cannot be an id."""
    if not isinstance(stored_ids, list):
        return []
    run_ids = [item for item in stored_ids if isinstance(item, str) and runs.RUN_ID.fullmatch(item)]
    return run_ids[-MAX_SAVED_RUNS:]


def find_dataset(source: str) -> Dataset:
    """The data set a browser names: a sample, or one stored under an id that cannot be guessed.

    Raises:
        BadData: There is none, or the name is a path of this machine.
    """
    if not isinstance(source, str) or source.partition(":")[0] not in DATASET_SCHEMES:
        raise BadData(
            Message("The page was asked for a data set it does not keep."),
            Message("Upload your file again, or use a sample."),
        )
    return store.find(source)


def visible_datasets(stored_sources: object) -> list[Dataset]:
    """The data sets to list: all of them on a private page, else those this browser has brought.

    Args:
        stored_sources: The sources of these, as the browser sends them.
    """
    datasets = store.list_datasets()
    if not is_open_to_others():
        return datasets
    if not isinstance(stored_sources, list):
        return []
    brought = {item for item in stored_sources if isinstance(item, str)}
    return [dataset for dataset in datasets if dataset.source in brought]


def find_own_dataset(source: str, stored_sources: object) -> Dataset:
    """A data set that this visitor may change or delete: one that is listed for them, or a sample.

    Raises:
        BadData: There is none, or it was brought by someone else.
    """
    dataset = find_dataset(source)
    if not dataset.is_editable:
        return dataset
    if dataset.source not in {visible.source for visible in visible_datasets(stored_sources)}:
        raise BadData(
            Message("This data set was brought by someone else."),
            Message("Upload your own copy to change it."),
        )
    return dataset


def check_queue(request: gr.Request) -> None:
    """Refuse one more run where others can reach the page; raises NotPossible.

    That is where too many have not ended, or, on a page that strangers share, where this visitor has one.
    """
    if not is_open_to_others():
        return
    visitors.check_run(request)
    unfinished = sum(runs.status(run).state not in runs.ENDED_STATES for run in runs.all_runs())
    if unfinished >= MAX_UNFINISHED_RUNS:
        raise NotPossible(
            Message("{count} runs are waiting or training already."),
            Message("Come back when some have ended, or duplicate the studio for yourself."),
            count=unfinished,
        )


def find_base(model: str) -> BaseModelInfo | None:
    """The base model a browser names; None where it names none, or one it may not name (see check_model)."""
    if not model:
        return None
    try:
        check_model(str(model))
    except StudioError:
        return None
    return all_methods.find_base_model(str(model))


def check_model(model: str) -> None:
    """Refuse a name that can be no model, and a folder of this machine where others can reach the page.

    Where strangers share it, only models of the list are fetched: a few others would fill the disk.

    Raises:
        StudioError: The name is neither listed, nor a hub id, nor a folder that this visitor may name.
    """
    if model in presets.models():
        return
    visitors.check_listed(model)
    is_hub_id = fetch.HUB_ID_PATTERN.fullmatch(model) is not None
    if not is_open_to_others():
        if not is_hub_id and not Path(model).is_dir():
            raise fetch.unknown_model(model)
        return
    # A folder such as owner/name would pass for a hub id.
    if not is_hub_id or Path(model).exists():
        raise NotPossible(
            Message("On a page that others can reach, a model cannot be a folder of the machine: “{model}”."),
            Message("Choose one from the list, or type a hub id (owner/name)."),
            model=model[:MAX_MODEL_NAME_CHARS],
        )
