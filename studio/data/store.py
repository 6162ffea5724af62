"""A data set is a folder in the studio's home: the original file, untouched, what was changed since, and the rows as they stand now."""

import os
import re
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq

from studio import presets
from studio.data.quality import fixes
from studio.data.quality.fixes import Change
from studio.data.readers.read import Table, read_table
from studio.data.schema import infer_roles
from studio.errors import BadData
from studio.i18n import Message
from studio.plan import Task
from studio.storage import ProgressCallback, home, no_progress, read_json, require_disk_space, write_json

DATASET_ID = re.compile(r"[0-9a-f]{32}")
MAX_NAME_LENGTH = 120
DRAFT_PREFIX = ".incoming"


@dataclass(frozen=True)
class Dataset:
    """Where a data set's file lies, what the person called it, and which sheet of it is meant."""

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
        """Its folder, where it has one of its own."""
        return self.path.parent

    @property
    def version(self) -> int:
        """A number that changes with its rows, and with nothing else."""
        file = self.folder / "prepared.parquet" if self.is_editable else self.path
        return file.stat().st_mtime_ns if file.is_file() else 0

    @property
    def card(self) -> dict[str, Any]:
        """What is written down of it: name, source, licence, sha256, created, rows, sheets, sheet, chosen; empty of a sample or a file."""
        return read_json(self.folder / "card.json") if self.is_editable else {}

    @property
    def chosen(self) -> tuple[Task | None, dict[str, str]]:
        """The task and the column of each role as the person said for this sheet; None and no columns where nothing was said."""
        choice = self.card.get("chosen", {}).get(self.sheet, {})
        return choice.get("task"), choice.get("columns", {})

    @property
    def licence(self) -> str:
        """The licence it stands under; "" where nobody has said."""
        kind, _, name = self.source.partition(":")
        return presets.samples()[name].licence if kind == "sample" else str(self.card.get("licence", ""))

    @property
    def sha256(self) -> str:
        """The checksum of what a run would train on: of the file, which sheet of several is meant, and the changes made to it, if any."""
        file_digest = sha256(self.path.read_bytes()).hexdigest()
        sheet = [f"\0{self.sheet}\0".encode()] if len(self.card.get("sheets", ())) > 1 else []
        extra_parts = [*sheet, *(file.read_bytes() for file in _change_files(self))]
        return (
            sha256(b"".join([file_digest.encode(), *extra_parts])).hexdigest() if extra_parts else file_digest
        )

    def table(self) -> Table:
        """Its rows as they stand now."""
        return _read_table(self, self.version)

    def changes(self) -> list[Change]:
        """What was changed, the oldest first; a damaged file tells nothing."""
        return [fixes.from_json(raw) for file in _change_files(self) if (raw := read_json(file))]


def _changes_folder(dataset: Dataset) -> Path:
    """The folder of what was changed: each sheet of a workbook has its own, so that changes wait while another sheet is chosen."""
    root = dataset.folder / "changes"
    return root / sha256(dataset.sheet.encode()).hexdigest()[:16] if dataset.sheet else root


def _change_files(dataset: Dataset) -> list[Path]:
    """The files of the changes, the oldest first; an older version kept those of the chosen sheet, the only ones it had, in `changes` itself."""
    folders = (
        {
            _changes_folder(dataset),
            *([dataset.folder / "changes"] if dataset.card.get("sheet") == dataset.sheet else []),
        }
        if dataset.is_editable
        else ()
    )
    return sorted((file for folder in folders for file in folder.glob("*.json")), key=lambda file: file.name)


def _prepare_changes_folder(dataset: Dataset) -> None:
    """Make the folder of the changes, and move there what an older version kept outside; `kept` is the sheet that is chosen so far."""
    _changes_folder(dataset).mkdir(parents=True, exist_ok=True)
    for file in _change_files(dataset):
        file.replace(_changes_folder(dataset) / file.name)


@lru_cache(maxsize=4)
def _read_table(dataset: Dataset, version: int) -> Table:
    """The rows of a data set; read once as long as they stay the same, since the page asks at every move."""
    prepared = dataset.folder / "prepared.parquet"
    if not dataset.is_editable or not prepared.is_file():
        return read_table(dataset.path, dataset.name, dataset.sheet)
    table, card = pq.read_table(prepared), dataset.card
    values = [table.column(name).to_pylist() for name in table.column_names]
    rows = tuple(dict(zip(table.column_names, row, strict=True)) for row in zip(*values, strict=True))
    bad = tuple((int(line), Message.from_json(message)) for line, message in card.get("bad", ()))
    sheets, notes = (
        tuple(map(str, card.get("sheets", ()))),
        tuple(map(Message.from_json, card.get("notes", ()))),
    )
    return Table(
        dataset.name,
        tuple(table.column_names),
        rows,
        bad,
        sheets,
        dataset.sheet,
        str(card.get("delimiter", "")),
        notes,
    )


def _write_dataset(dataset: Dataset, table: Table, card: dict[str, Any]) -> None:
    """Write the rows as they stand, whose file's time says that they are new, and the card."""
    temp_path = dataset.folder / ".prepared"
    pq.write_table(
        pa.table({name: pa.array([row[name] for row in table.rows], pa.string()) for name in table.columns}),
        temp_path,
    )
    temp_path.replace(dataset.folder / "prepared.parquet")
    bad = [[line, why.to_json()] for line, why in table.bad_lines]
    table_fields = {
        "rows": len(table.rows),
        "columns": list(table.columns),
        "sheet": table.sheet,
        "sheets": list(table.sheets),
        "bad": bad,
    }
    table_fields |= {"delimiter": table.delimiter} if table.delimiter else {}
    table_fields["notes"] = [note.to_json() for note in table.notes]
    write_json(dataset.folder / "card.json", {**card, **table_fields})


@contextmanager
def open_draft() -> Iterator[Path]:
    """A folder of one's own for what is not whole yet, beside the data sets; it goes at the end, or at the next start (`sweep`)."""
    folder = home() / "datasets" / f"{DRAFT_PREFIX}-{os.getpid()}-{uuid.uuid4().hex}"
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_stale_drafts() -> None:
    """Remove the drafts of processes that are no more; this process must have none yet, as its number may have been another's."""
    for folder in (home() / "datasets").glob(f"{DRAFT_PREFIX}*"):
        pid_parts = folder.name.split("-")[1:2]
        if not pid_parts or int(pid_parts[0]) == os.getpid() or not psutil.pid_exists(int(pid_parts[0])):
            shutil.rmtree(folder, ignore_errors=True)


def add(
    upload: Path,
    name: str = "",
    sheet: str = "",
    origin: str = "upload",
    draft_path: Path | None = None,
    on_progress: ProgressCallback = no_progress,
) -> Dataset:
    """Take a copy of an upload that can be read; its cache copy is removed, because anyone who knows that path could fetch it.

    `origin` says where it came from: upload, paste, or hub:OWNER/NAME; `place` is the draft in which it is made, else one of its own;
    `tell` hears how many megabytes are read.
    Raises BadData where nothing in it can be used, OutOfRoom where the disk is full.
    """
    name = clean_name(name or upload.name)
    try:
        table = read_table(upload, name, sheet, on_progress)
        infer_roles.guess_roles(table)
        require_disk_space(home(), 3 * upload.stat().st_size)  # the file, its rows, and what is changed later
        with nullcontext(draft_path) if draft_path else open_draft() as parent:
            folder = parent / uuid.uuid4().hex
            folder.mkdir(mode=0o700)
            file = folder / f"original{Path(name).suffix.lower() or upload.suffix.lower()}"
            shutil.copyfile(upload, file)
            card = {
                "name": name,
                "sha256": sha256(file.read_bytes()).hexdigest(),
                "source": origin,
                "licence": "",
                "created": time.time(),
            }
            _write_dataset(Dataset(f"dataset:{folder.name}", name, file, table.sheet), table, card)
            folder.rename(home() / "datasets" / folder.name)
        return find(f"dataset:{folder.name}")
    finally:
        upload.unlink(missing_ok=True)


def clean_name(name: str) -> str:
    """A name as it may stand anywhere: no line ends, no marks that mean something to a page or a shell, not too long."""
    return re.sub(r"[^\w .()-]+", "_", name).strip()[-MAX_NAME_LENGTH:] or "data"


def apply_change(dataset: Dataset, new_change: Change) -> None:
    """Make one change to the rows; the original file stays as it is, and `undo` takes the change back. Raises BadData for a sample."""
    _require_editable(dataset)
    files = _change_files(dataset)
    number = int(files[-1].stem) + 1 if files else 1
    table = fixes.apply(dataset.table(), [new_change])
    if not table.rows:
        raise BadData(
            Message("This would leave no row of “{name}”."),
            Message("Change single rows instead, or bring other data."),
            name=dataset.name,
        )
    _prepare_changes_folder(dataset)
    write_json(_changes_folder(dataset) / f"{number:04}.json", fixes.as_json(new_change))
    _write_dataset(dataset, table, dataset.card)


def undo(dataset: Dataset) -> Change | None:
    """Take the last change back; returns it, or None where there was none."""
    _require_editable(dataset)
    files = _change_files(dataset)
    if not files:
        return None
    # Under the file's own name, whose ending says how to read it: the set may be called something else by now.
    *earlier, last = dataset.changes()
    _write_dataset(
        dataset,
        fixes.apply(read_table(dataset.path, dataset.path.name, dataset.sheet), earlier),
        dataset.card,
    )
    files[-1].unlink()
    return last


def choose_sheet(dataset: Dataset, sheet: str) -> Dataset:
    """The same file read from another sheet, with the changes made to it before; those of the old one come back with it."""
    _require_editable(dataset)
    table = read_table(dataset.path, dataset.path.name, sheet)
    _prepare_changes_folder(dataset)
    other_dataset = Dataset(dataset.source, dataset.name, dataset.path, table.sheet)
    _write_dataset(other_dataset, fixes.apply(table, other_dataset.changes()), dataset.card)
    return other_dataset


def save_choice(dataset: Dataset, task: Task, roles: Mapping[str, str] | None = None) -> None:
    """Write down the task that a person chose, and the columns where these are theirs too; a sample keeps nothing."""
    if dataset.is_editable:
        card = dataset.card
        choices = {**card.get("chosen", {}), dataset.sheet: {"task": task, "columns": dict(roles or {})}}
        write_json(dataset.folder / "card.json", {**card, "chosen": choices})


def update_card(dataset: Dataset, *, name: str | None = None, licence: str | None = None) -> Dataset:
    """Give a data set another name, or say under which licence it stands."""
    _require_editable(dataset)
    card = dataset.card
    card |= {"name": clean_name(name)} if name is not None and name.strip() else {}
    card |= {"licence": licence.strip()[:200]} if licence is not None else {}
    write_json(dataset.folder / "card.json", card)
    return find(dataset.source)


def delete(dataset: Dataset) -> None:
    """Delete a data set with everything in it; what runs have taken from it stays with them. Raises BadData for a sample or a file."""
    _require_editable(dataset)
    shutil.rmtree(dataset.folder, ignore_errors=True)


def copy(dataset: Dataset) -> Dataset:
    """A data set of one's own with the rows of a sample, which can then be changed."""
    with open_draft() as draft_path:
        return add(
            Path(shutil.copy(dataset.path, draft_path)),
            dataset.name,
            dataset.sheet,
            dataset.source,
            draft_path,
        )


def list_datasets() -> list[Dataset]:
    """Every data set that is kept here, the newest first."""
    folder = home() / "datasets"
    datasets = []
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            datasets.append(find(f"dataset:{path.name}"))
        except BadData:
            continue
    return sorted(datasets, key=lambda dataset: -float(dataset.card.get("created", 0.0)))


def _require_editable(dataset: Dataset) -> None:
    if not dataset.is_editable:
        raise BadData(
            Message("“{name}” is not a data set of your own."),
            Message("Make a copy of it first, then change the copy."),
            name=dataset.name,
        )


def find(source: str) -> Dataset:
    """The data set a plan names: `sample:NAME`, `dataset:ID` or a file. Raises BadData where there is none."""
    kind, _, name = source.partition(":")
    if kind == "sample" and name in presets.samples():
        card = presets.samples()[name]
        return Dataset(source, card.file, card.path)
    if kind == "dataset" and DATASET_ID.fullmatch(name):
        folder = home() / "datasets" / name
        dataset_card: dict[str, Any] = read_json(folder / "card.json")
        files: Sequence[Path] = sorted(folder.glob("original*"))
        if dataset_card.get("name") and files:
            return Dataset(source, str(dataset_card["name"]), files[0], str(dataset_card.get("sheet", "")))
    elif kind not in ("sample", "dataset"):
        return Dataset(source, Path(source).name, Path(source))
    raise BadData(
        Message("There is no data set “{source}”."),
        Message("Upload the file again, or use a sample: {samples}."),
        source=source,
        samples=[f"sample:{name}" for name in presets.samples()],
    )
