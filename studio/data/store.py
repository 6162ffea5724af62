"""Data sets as folders in the studio's home: the original file, the changes to it, and the current rows."""

import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Annotated, Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
from filelock import FileLock
from pydantic import AfterValidator, Field, TypeAdapter
from typing_extensions import TypedDict  # typing's own has no runtime form before Python 3.12

from studio import presets
from studio.data.quality import fixes
from studio.data.quality.fixes import Change
from studio.data.readers.read import Table, read_table
from studio.data.schema import infer_roles
from studio.errors import BadData, explain
from studio.i18n import Message
from studio.plan import Task
from studio.storage import (
    ProgressCallback,
    home,
    keep_valid,
    no_progress,
    read_json,
    require_disk_space,
    write_json,
)


class Choice(TypedDict, total=False):
    """The task that a person chose for a sheet, and its columns, role -> column."""

    task: Task | None
    columns: dict[str, str]


def _check_message(raw: dict[str, Any]) -> dict[str, Any]:
    Message.from_json(raw).render("en")
    return raw


def _check_bad_line(raw: list[Any]) -> list[Any]:
    number, why = raw
    if type(number) is not int:
        raise ValueError(f"expected a line's number, but got {number!r}")
    _check_message(why)
    return raw


SavedMessage = Annotated[dict[str, Any], AfterValidator(_check_message)]
BadLine = Annotated[list[Any], AfterValidator(_check_bad_line)]

# What a card holds, by key. A time is in seconds since 1970, and none after the year 2100 is one.
Count = Annotated[int, Field(ge=0)]
CARD_TYPES: dict[str, TypeAdapter[Any]] = {
    "name": TypeAdapter(Annotated[str, Field(min_length=1)]),
    "sha256": TypeAdapter(str),
    "source": TypeAdapter(str),
    "licence": TypeAdapter(str),
    "created": TypeAdapter(Annotated[float, Field(ge=0, lt=4.2e9)]),
    "rows": TypeAdapter(Count),
    "columns": TypeAdapter(list[str]),
    "sheet": TypeAdapter(str),
    "sheets": TypeAdapter(list[str]),
    "bad": TypeAdapter(list[BadLine]),
    "notes": TypeAdapter(list[SavedMessage]),
    "delimiter": TypeAdapter(str),
    "chosen": TypeAdapter(dict[str, Choice]),
}
DATASET_ID = re.compile(r"[0-9a-f]{32}")
CARD_FILE, PREPARED_FILE = "card.json", "prepared.parquet"
MAX_NAME_LENGTH, MAX_LICENCE_LENGTH = 120, 200  # characters
DRAFT_PREFIX = ".incoming"
# The name of a draft's folder holds the number of the process that makes it; an early version wrote none.
DRAFT_NAME = re.compile(rf"{re.escape(DRAFT_PREFIX)}(?:-(?P<pid>\d+)-\w+)?")
NO_ROW_LEFT = Message("This would leave no row of “{name}”.")
NOT_EDITABLE = Message("“{name}” is not a data set of your own.")
ROWS_MADE_AGAIN = Message("The saved rows could not be read, and were made again from the original file.")
CHANGE_DAMAGED = Message("An earlier change cannot be read, so that the rows before it are unknown: {file}.")
CHANGE_DAMAGED_TO_DO = Message("The rows stay as they are: edit them, or upload the file again.")
# The kind of a change that was undone although its own file was damaged.
DAMAGED_CHANGE = "damaged"
LOCK_FILE, LOCK_SECONDS = ".lock", 60.0
NO_SUCH_DATASET = Message("There is no data set “{source}”.")


@dataclass(frozen=True)
class Dataset:
    """A data set: a sample, a folder in the studio's home, or a file.

    Attributes:
        source: `sample:NAME`, `dataset:ID` or a path, as plans name it.
        name: What the person called it.
        path: Its original file.
        sheet: The sheet of a workbook; "" for other files.
    """

    source: str
    name: str
    path: Path
    sheet: str = ""

    @property
    def is_editable(self) -> bool:
        """Whether it is a folder in the studio's home, which can be changed, renamed and deleted."""
        return self.source.startswith("dataset:")

    @property
    def folder(self) -> Path:
        """The folder of its file; only an editable data set has it to itself."""
        return self.path.parent

    @property
    def version(self) -> int:
        """A number that changes with its rows, and with nothing else."""
        file = self.folder / PREPARED_FILE if self.is_editable else self.path
        # A file that replaces another one within a tick of the clock has another inode.
        return file.stat().st_mtime_ns + file.stat().st_ino if file.is_file() else 0

    @property
    def card(self) -> dict[str, Any]:
        """Its metadata (name, source, licence, created, rows, sheets, chosen …); empty if not editable.

        What is damaged is left out.
        """
        return _read_card(self.folder) if self.is_editable else {}

    @property
    def chosen(self) -> tuple[Task | None, dict[str, str]]:
        """The task and role -> column that the person chose for this sheet; None and {} for no choice."""
        choice = self.card.get("chosen", {}).get(self.sheet, {})
        return choice.get("task"), choice.get("columns", {})

    @property
    def licence(self) -> str:
        """Its licence; "" if unknown."""
        kind, _, name = self.source.partition(":")
        return presets.samples()[name].licence if kind == "sample" else str(self.card.get("licence", ""))

    @property
    def sha256(self) -> str:
        """The checksum of what a run would train on: the file, the sheet of several, and the changes."""
        file_digest = sha256(self.path.read_bytes()).hexdigest()
        extra_parts = [file.read_bytes() for file in _change_files(self)]
        if len(self.card.get("sheets", ())) > 1:
            extra_parts.insert(0, f"\0{self.sheet}\0".encode())
        if not extra_parts:
            return file_digest
        return sha256(b"".join([file_digest.encode(), *extra_parts])).hexdigest()

    def table(self) -> Table:
        """Its current rows."""
        return _read_table(self, self.version)

    def changes(self) -> list[Change]:
        """Its changes, the oldest first; damaged files are skipped."""
        contents = [read_json(file) for file in _change_files(self)]
        return [change for raw in contents if (change := _read_change(raw))]


def _read_card(folder: Path) -> dict[str, Any]:
    return keep_valid(read_json(folder / CARD_FILE), CARD_TYPES)


def _read_change(raw: dict[str, Any]) -> Change | None:
    """A change; None where its file is damaged."""
    try:
        return fixes.from_json(raw)
    except BadData:
        return None


def _require_change(file: Path) -> Change:
    change = _read_change(read_json(file))
    if not change:
        raise BadData(CHANGE_DAMAGED, CHANGE_DAMAGED_TO_DO, file=file.name)
    return change


@contextmanager
def _changing(dataset: Dataset) -> Iterator[None]:
    """Of several who change a data set at once, each waits until the one before it is done.

    Raises:
        BadData: It cannot be changed, or is gone.
        StudioError: Its files cannot be written.
    """
    _require_editable(dataset)
    find(dataset.source)
    try:
        with FileLock(dataset.folder / LOCK_FILE, timeout=LOCK_SECONDS):
            yield
    except OSError as error:
        raise explain(error) from error


def _changes_folder(dataset: Dataset) -> Path:
    """The folder of the changes; each sheet of a workbook has its own, which stays if another is chosen."""
    root = dataset.folder / "changes"
    if not dataset.sheet:
        return root
    return root / sha256(dataset.sheet.encode()).hexdigest()[:16]


def _change_files(dataset: Dataset) -> list[Path]:
    """The files of the changes, the oldest first.

    An earlier version stored those of the chosen sheet, the only ones it had, in `changes` itself.
    """
    if not dataset.is_editable:
        return []
    folders = {_changes_folder(dataset)}
    if dataset.card.get("sheet") == dataset.sheet:
        folders.add(dataset.folder / "changes")
    files = [file for folder in folders for file in folder.glob("*.json") if file.is_file()]
    return sorted(files, key=lambda file: file.name)


def _prepare_changes_folder(dataset: Dataset) -> None:
    """Create the folder of the changes, and move there what an earlier version stored outside.

    `dataset` is the data set with the sheet that was chosen so far.
    """
    folder = _changes_folder(dataset)
    folder.mkdir(parents=True, exist_ok=True)
    for file in _change_files(dataset):
        file.replace(folder / file.name)


@lru_cache(maxsize=4)
def _read_table(dataset: Dataset, version: int) -> Table:
    """The rows of a data set; cached for each version, since the page asks for them at every step."""
    prepared = dataset.folder / PREPARED_FILE
    if not dataset.is_editable:
        return read_table(dataset.path, dataset.name, dataset.sheet)
    try:
        with pq.ParquetFile(prepared) as file:
            table = file.read()
    except (OSError, pa.ArrowException):
        return _make_again(dataset)
    card = dataset.card
    values = [table.column(name).to_pylist() for name in table.column_names]
    return Table(
        dataset.name,
        columns=tuple(table.column_names),
        rows=tuple(dict(zip(table.column_names, row, strict=True)) for row in zip(*values, strict=True)),
        bad_lines=tuple((line, Message.from_json(why)) for line, why in card.get("bad", ())),
        sheets=tuple(map(str, card.get("sheets", ()))),
        sheet=dataset.sheet,
        delimiter=str(card.get("delimiter", "")),
        notes=tuple(map(Message.from_json, card.get("notes", ()))),
    )


def _make_again(dataset: Dataset) -> Table:
    """The rows of the original file with all changes, where the saved ones cannot be read."""
    table = fixes.apply(_read_original(dataset, dataset.sheet), dataset.changes())
    return replace(table, notes=(*table.notes, ROWS_MADE_AGAIN))


def _write_dataset(dataset: Dataset, table: Table, card: Mapping[str, Any]) -> None:
    """Write the current rows, whose file's time marks the new version, and the card."""
    temp_path = dataset.folder / ".prepared"
    columns = {name: pa.array([row[name] for row in table.rows], pa.string()) for name in table.columns}
    pq.write_table(pa.table(columns), temp_path)
    temp_path.replace(dataset.folder / PREPARED_FILE)
    table_fields = {
        "rows": len(table.rows),
        "columns": list(table.columns),
        "sheet": table.sheet,
        "sheets": list(table.sheets),
        "bad": [[line, why.to_json()] for line, why in table.bad_lines],
        "notes": [note.to_json() for note in table.notes],
    }
    if table.delimiter:
        table_fields["delimiter"] = table.delimiter
    write_json(dataset.folder / CARD_FILE, {**card, **table_fields})


@contextmanager
def open_draft() -> Iterator[Path]:
    """A temporary folder beside the data sets for one that is not complete yet.

    It is removed at the end, or at the next start of the studio (`remove_stale_drafts`).
    """
    folder = home() / "datasets" / f"{DRAFT_PREFIX}-{os.getpid()}-{uuid.uuid4().hex}"
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_stale_drafts() -> None:
    """Remove the drafts of processes that have ended; folders that are no drafts stay.

    This process must have no draft yet: its number may have been that of another one.
    """
    for folder in (home() / "datasets").glob(f"{DRAFT_PREFIX}*"):
        name = DRAFT_NAME.fullmatch(folder.name)
        if name and not _is_other_process(name["pid"]):
            shutil.rmtree(folder, ignore_errors=True)


def _is_other_process(pid: str | None) -> bool:
    """Whether another process with this number is running."""
    return pid is not None and int(pid) != os.getpid() and psutil.pid_exists(int(pid))


def add(
    upload: Path,
    name: str = "",
    sheet: str = "",
    origin: str = "upload",
    draft_path: Path | None = None,
    on_progress: ProgressCallback = no_progress,
) -> Dataset:
    """Add a copy of an upload as a data set.

    The upload itself is removed, readable or not, because anyone who knows its path could fetch it.

    Args:
        upload: The file.
        name: What the person calls it; "" for the name of the file.
        sheet: The sheet of a workbook; "" for the one with the most usable rows.
        origin: Where it came from: `upload`, `paste`, or `hub:OWNER/NAME`.
        draft_path: The draft in which the folder is made; None for a new one.
        on_progress: Called with the megabytes read and their total.

    Raises:
        BadData: Nothing in the file can be used.
        OutOfDiskSpace: The disk is full.
    """
    name = clean_name(name or upload.name)
    try:
        table = read_table(upload, name, sheet, on_progress)
        infer_roles.guess_roles(table)
        require_disk_space(home(), 3 * upload.stat().st_size)  # the file, its rows, and later changes
        with nullcontext(draft_path) if draft_path else open_draft() as parent:
            folder = parent / uuid.uuid4().hex
            folder.mkdir(mode=0o700)
            is_packed = Path(name).suffix.lower() == ".gz"
            # What is packed is read by its own ending.
            suffix = "".join(Path(name).suffixes[-2:]) if is_packed else Path(name).suffix or upload.suffix
            file = folder / f"original{suffix.lower()}"
            shutil.copyfile(upload, file)
            card = {
                "name": name,
                "sha256": sha256(file.read_bytes()).hexdigest(),
                "source": origin,
                "licence": "",
                "created": time.time(),
            }
            source = f"dataset:{folder.name}"
            _write_dataset(Dataset(source, name, file, table.sheet), table, card)
            folder.rename(home() / "datasets" / folder.name)
        return find(source)
    finally:
        upload.unlink(missing_ok=True)


def clean_name(name: str) -> str:
    """A name that is short and safe everywhere: no line ends, nothing that a page or a shell interprets."""
    return re.sub(r"[^\w .()-]+", "_", name).strip()[-MAX_NAME_LENGTH:] or "data"


def apply_change(dataset: Dataset, new_change: Change) -> None:
    """Change the rows; the original file stays as it is, and `undo` reverts the change.

    Raises:
        BadData: The data set is not editable, or the change would leave no row.
    """
    with _changing(dataset):
        files = _change_files(dataset)
        number = int(files[-1].stem) + 1 if files else 1
        table = fixes.apply(dataset.table(), [new_change])
        if not table.rows:
            raise BadData(
                NO_ROW_LEFT,
                Message("Change single rows instead, or use other data."),
                name=dataset.name,
            )
        _prepare_changes_folder(dataset)
        write_json(_changes_folder(dataset) / f"{number:04}.json", fixes.as_json(new_change))
        _write_dataset(dataset, table, dataset.card)


def undo(dataset: Dataset) -> Change | None:
    """Revert the last change, also one whose own file is damaged.

    Returns:
        The change, or None if there was none.

    Raises:
        BadData: The data set is not editable, or the rows before the change cannot be made again.
    """
    with _changing(dataset):
        files = _change_files(dataset)
        if not files:
            return None
        *earlier_files, last_file = files
        earlier = [_require_change(file) for file in earlier_files]
        _write_dataset(dataset, fixes.apply(_read_original(dataset, dataset.sheet), earlier), dataset.card)
        last = _read_change(read_json(last_file))
        last_file.unlink()
        return last or Change(DAMAGED_CHANGE)


def _read_original(dataset: Dataset, sheet: str) -> Table:
    """The rows of the original file.

    It is read under its own name, whose suffix says how: the data set may be called something else by now.
    """
    return read_table(dataset.path, dataset.path.name, sheet)


def choose_sheet(dataset: Dataset, sheet: str) -> Dataset:
    """Choose another sheet of the file, with its own earlier changes; the old sheet keeps its changes."""
    with _changing(dataset):
        table = _read_original(dataset, sheet)
        _prepare_changes_folder(dataset)
        other_dataset = Dataset(dataset.source, dataset.name, dataset.path, table.sheet)
        _write_dataset(other_dataset, fixes.apply(table, other_dataset.changes()), dataset.card)
        return other_dataset


def save_choice(dataset: Dataset, task: Task, roles: Mapping[str, str] | None = None) -> None:
    """Save the task that a person chose for a sheet, and the columns if chosen; nothing for a sample.

    Args:
        dataset: The data set.
        task: The task.
        roles: Role -> column; None if the columns were guessed.
    """
    if not dataset.is_editable:
        return
    choice = {"task": task, "columns": dict(roles or {})}
    with _changing(dataset):
        card = dataset.card
        choices = {**card.get("chosen", {}), dataset.sheet: choice}
        write_json(dataset.folder / CARD_FILE, {**card, "chosen": choices})


def update_card(dataset: Dataset, *, name: str | None = None, licence: str | None = None) -> Dataset:
    """Change the name or the licence of a data set; None and a blank name change nothing."""
    with _changing(dataset):
        card = dataset.card
        if name is not None and name.strip():
            card["name"] = clean_name(name)
        if licence is not None:
            card["licence"] = licence.strip()[:MAX_LICENCE_LENGTH]
        write_json(dataset.folder / CARD_FILE, card)
    return find(dataset.source)


def delete(dataset: Dataset) -> None:
    """Delete a data set with everything in it; runs have their own copy of what they used.

    Raises:
        BadData: The data set is a sample or a file.
    """
    _require_editable(dataset)
    shutil.rmtree(dataset.folder, ignore_errors=True)


def copy(dataset: Dataset) -> Dataset:
    """Add an editable copy of a sample."""
    with open_draft() as draft_path:
        file = Path(shutil.copy(dataset.path, draft_path))
        return add(file, dataset.name, dataset.sheet, dataset.source, draft_path)


def list_datasets() -> list[Dataset]:
    """All data sets in the studio's home, the newest first."""
    folder = home() / "datasets"
    if not folder.is_dir():
        return []
    datasets = []
    for path in folder.iterdir():
        try:
            datasets.append(find(f"dataset:{path.name}"))
        except BadData:
            continue
    return sorted(datasets, key=lambda dataset: -float(dataset.card.get("created", 0.0)))


def _require_editable(dataset: Dataset) -> None:
    if not dataset.is_editable:
        raise BadData(
            NOT_EDITABLE,
            Message("Make a copy of it first, then change the copy."),
            name=dataset.name,
        )


def find(source: str) -> Dataset:
    """The data set that a plan names: `sample:NAME`, `dataset:ID` or a file.

    Raises:
        BadData: There is none.
    """
    kind, _, name = source.partition(":")
    if kind == "sample" and name in presets.samples():
        card = presets.samples()[name]
        return Dataset(source, card.file, card.path)
    if kind == "dataset" and DATASET_ID.fullmatch(name):
        folder = home() / "datasets" / name
        files = sorted(path for path in folder.glob("original*") if path.is_file())
        if files:
            dataset_card = _read_card(folder)
            # A data set whose card is damaged is still there, under the beginning of its id.
            dataset_name = dataset_card.get("name", f"data {name[:8]}")
            return Dataset(source, dataset_name, files[0], dataset_card.get("sheet", ""))
    elif kind not in ("sample", "dataset"):
        return Dataset(source, Path(source).name, Path(source))
    raise BadData(
        NO_SUCH_DATASET,
        Message("Upload the file again, or use a sample: {samples}."),
        source=source,
        samples=[f"sample:{name}" for name in presets.samples()],
    )
