"""What a visitor may see and name: on a page that others can reach, only what is their own."""

import os
from pathlib import Path

from studio import presets, runs
from studio.data import store
from studio.data.store import Dataset
from studio.errors import BadData, NotPossible, StudioError
from studio.estimate import all_methods as costs
from studio.i18n import Message
from studio.models import fetch
from studio.runs import Run

OPEN_TO_OTHERS_ENV = "STUDIO_OPEN"
MAX_UNFINISHED_RUNS = 10


def is_open_to_others() -> bool:
    """Whether the page listens beyond this machine, as on a Space; decided when it is launched."""
    return os.environ.get(OPEN_TO_OTHERS_ENV) == "1"


def check_owner() -> None:
    """Refuse what concerns the machine, where others can reach the page."""
    if is_open_to_others():
        raise NotPossible(
            Message("On a page that others can reach, the machine is not measured from the page."),
            Message("Whoever runs the studio can: `studio measure`."),
        )


def visible_runs(stored_ids: object) -> list[Run]:
    """The runs to list: all of them on a page of one's own, else those this browser has started (`mine`, a list of ids)."""
    known_ids = read_run_ids(stored_ids)
    return [run for run in runs.all_runs() if run.id in known_ids or not is_open_to_others()]


def read_run_ids(stored_ids: object) -> list[str]:
    """What a browser remembers as its runs, as far as it can be ids."""
    return (
        [item for item in stored_ids if isinstance(item, str) and runs.RUN_ID.fullmatch(item)][-500:]
        if isinstance(stored_ids, list)
        else []
    )


def find_dataset(source: str) -> Dataset:
    """The data set a browser names: a sample or one kept under an id nobody can guess, never a path of this machine."""
    if not isinstance(source, str) or source.partition(":")[0] not in ("sample", "dataset"):
        raise BadData(
            Message("The page was asked for a data set it does not keep."),
            Message("Upload your file again, or use a sample."),
        )
    return store.find(source)


def visible_datasets(stored_sources: object) -> list[Dataset]:
    """The data sets to list: all of them on a page of one's own, else those this browser has brought (`mine`, a list of sources)."""
    known_sources = (
        {item for item in stored_sources if isinstance(item, str)}
        if isinstance(stored_sources, list)
        else set()
    )
    return [
        listed_dataset
        for listed_dataset in store.list_datasets()
        if listed_dataset.source in known_sources or not is_open_to_others()
    ]


def find_own_dataset(source: str, stored_sources: object) -> Dataset:
    """A data set that this visitor may change or delete: one that is listed for them."""
    candidate = find_dataset(source)
    if candidate.is_editable and candidate.source not in {
        listed_dataset.source for listed_dataset in visible_datasets(stored_sources)
    }:
        raise BadData(
            Message("This data set was brought by someone else."),
            Message("Upload your own copy to change it."),
        )
    return candidate


def check_queue() -> None:
    """Refuse one more run where others can reach the page and MOST_WAITING runs have not ended yet."""
    unfinished = (
        sum(runs.status(run).state not in runs.ENDED_STATES for run in runs.all_runs())
        if is_open_to_others()
        else 0
    )
    if unfinished >= MAX_UNFINISHED_RUNS:
        raise NotPossible(
            Message("{count} runs are waiting or training already."),
            Message("Come back when some have ended, or duplicate the studio for yourself."),
            count=unfinished,
        )


def find_base(model: str) -> costs.BaseModelInfo | None:
    """The base model a browser names; None where it names none, or one it may not name (check_model)."""
    if not model:
        return None
    try:
        check_model(str(model))
    except StudioError:
        return None
    return costs.find_base_model(str(model))


def check_model(model: str) -> None:
    """Refuse what can be no model, and a folder of this machine where others can reach the page."""
    is_known = model in presets.models() or fetch.HUB_ID_PATTERN.fullmatch(model)
    if not is_known and not (is_open_to_others() or Path(model).is_dir()):
        raise fetch.unknown_model(model)
    if (
        is_open_to_others()
        and model not in presets.models()
        and not (fetch.HUB_ID_PATTERN.fullmatch(model) and not Path(model).exists())
    ):
        raise NotPossible(
            Message("On a page that others can reach, a model cannot be a folder of the machine: “{model}”."),
            Message("Choose one from the list, or type a hub id (owner/name)."),
            model=model[:80],
        )
