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
from studio.data import columns, fixes
from studio.data.fixes import Change
from studio.data.read import Table, read
from studio.data.rows import unheard
from studio.errors import BadData
from studio.home import Progress, check_room, home, read_json, write_json
from studio.plan import Task
from studio.words import Words

ID = re.compile(r"[0-9a-f]{32}")
LONGEST_NAME = 120
DRAFT = ".incoming"


@dataclass(frozen=True)
class Kept:
    """Where a data set's file lies, what the person called it, and which sheet of it is meant."""

    source: str
    name: str
    path: Path
    sheet: str = ""

    @property
    def own(self) -> bool:
        """Whether it is a folder in the studio's home, which can be changed, renamed and deleted."""
        return self.source.startswith("dataset:")

    @property
    def folder(self) -> Path:
        """Its folder, where it has one of its own."""
        return self.path.parent

    @property
    def stamp(self) -> int:
        """A number that changes with its rows, and with nothing else."""
        file = self.folder / "prepared.parquet" if self.own else self.path
        return file.stat().st_mtime_ns if file.is_file() else 0

    @property
    def card(self) -> dict[str, Any]:
        """What is written down of it: name, source, licence, sha256, created, rows, sheets, sheet, chosen; empty of a sample or a file."""
        return read_json(self.folder / "card.json") if self.own else {}

    @property
    def chosen(self) -> tuple[Task | None, dict[str, str]]:
        """The task and the column of each role as the person said for this sheet; None and no columns where nothing was said."""
        said = self.card.get("chosen", {}).get(self.sheet, {})
        return said.get("task"), said.get("columns", {})

    @property
    def licence(self) -> str:
        """The licence it stands under; "" where nobody has said."""
        kind, _, name = self.source.partition(":")
        return presets.samples()[name].licence if kind == "sample" else str(self.card.get("licence", ""))

    @property
    def sha256(self) -> str:
        """The checksum of what a run would train on: of the file, which sheet of several is meant, and the changes made to it, if any."""
        found = sha256(self.path.read_bytes()).hexdigest()
        sheet = [f"\0{self.sheet}\0".encode()] if len(self.card.get("sheets", ())) > 1 else []
        made = [*sheet, *(file.read_bytes() for file in _change_files(self))]
        return sha256(b"".join([found.encode(), *made])).hexdigest() if made else found

    def table(self) -> Table:
        """Its rows as they stand now."""
        return _table(self, self.stamp)

    def changes(self) -> list[Change]:
        """What was changed, the oldest first; a damaged file tells nothing."""
        return [fixes.from_json(raw) for file in _change_files(self) if (raw := read_json(file))]


def _changes(kept: Kept) -> Path:
    """The folder of what was changed: each sheet of a workbook has its own, so that changes wait while another sheet is chosen."""
    every = kept.folder / "changes"
    return every / sha256(kept.sheet.encode()).hexdigest()[:16] if kept.sheet else every


def _change_files(kept: Kept) -> list[Path]:
    """The files of the changes, the oldest first; an older version kept those of the chosen sheet, the only ones it had, in `changes` itself."""
    folders = {_changes(kept), *([kept.folder / "changes"] if kept.card.get("sheet") == kept.sheet else [])} if kept.own else ()
    return sorted((file for folder in folders for file in folder.glob("*.json")), key=lambda file: file.name)


def _make_room(kept: Kept) -> None:
    """Make the folder of the changes, and move there what an older version kept outside; `kept` is the sheet that is chosen so far."""
    _changes(kept).mkdir(parents=True, exist_ok=True)
    for file in _change_files(kept):
        file.replace(_changes(kept) / file.name)


@lru_cache(maxsize=4)
def _table(kept: Kept, stamp: int) -> Table:
    """The rows of a data set; read once as long as they stay the same, since the page asks at every move."""
    prepared = kept.folder / "prepared.parquet"
    if not kept.own or not prepared.is_file():
        return read(kept.path, kept.name, kept.sheet)
    found, card = pq.read_table(prepared), kept.card
    values = [found.column(name).to_pylist() for name in found.column_names]
    rows = tuple(dict(zip(found.column_names, row, strict=True)) for row in zip(*values, strict=True))
    bad = tuple((int(line), Words(str(said["en"]), str(said["zh"]))) for line, said in card.get("bad", ()))
    sheets, notes = tuple(map(str, card.get("sheets", ()))), tuple(map(Words.of, card.get("notes", ())))
    return Table(kept.name, tuple(found.column_names), rows, bad, sheets, kept.sheet, str(card.get("delimiter", "")), notes)


def _write(kept: Kept, table: Table, card: dict[str, Any]) -> None:
    """Write the rows as they stand, whose file's time says that they are new, and the card."""
    fresh = kept.folder / ".prepared"
    pq.write_table(pa.table({name: pa.array([row[name] for row in table.rows], pa.string()) for name in table.columns}), fresh)
    fresh.replace(kept.folder / "prepared.parquet")
    bad = [[line, {"en": why.say("en"), "zh": why.say("zh")}] for line, why in table.bad]
    told = {"rows": len(table.rows), "columns": list(table.columns), "sheet": table.sheet, "sheets": list(table.sheets), "bad": bad}
    told |= {"delimiter": table.delimiter} if table.delimiter else {}
    told["notes"] = [{"en": said.say("en"), "zh": said.say("zh")} for said in table.notes]
    write_json(kept.folder / "card.json", {**card, **told})


@contextmanager
def draft() -> Iterator[Path]:
    """A folder of one's own for what is not whole yet, beside the data sets; it goes at the end, or at the next start (`sweep`)."""
    folder = home() / "datasets" / f"{DRAFT}-{os.getpid()}-{uuid.uuid4().hex}"
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep() -> None:
    """Remove the drafts of processes that are no more; this process must have none yet, as its number may have been another's."""
    for folder in (home() / "datasets").glob(f"{DRAFT}*"):
        number = folder.name.split("-")[1:2]
        if not number or int(number[0]) == os.getpid() or not psutil.pid_exists(int(number[0])):
            shutil.rmtree(folder, ignore_errors=True)


def keep(
    upload: Path, name: str = "", sheet: str = "", origin: str = "upload", place: Path | None = None, tell: Progress = unheard
) -> Kept:
    """Take a copy of an upload that can be read; its cache copy is removed, because anyone who knows that path could fetch it.

    `origin` says where it came from: upload, paste, or hub:OWNER/NAME; `place` is the draft in which it is made, else one of its own;
    `tell` hears how many megabytes are read.
    Raises BadData where nothing in it can be used, OutOfRoom where the disk is full.
    """
    name = clean(name or upload.name)
    try:
        found = read(upload, name, sheet, tell)
        columns.guess(found)
        check_room(home(), 3 * upload.stat().st_size)  # the file, its rows, and what is changed later
        with nullcontext(place) if place else draft() as within:
            made = within / uuid.uuid4().hex
            made.mkdir(mode=0o700)
            file = made / f"original{Path(name).suffix.lower() or upload.suffix.lower()}"
            shutil.copyfile(upload, file)
            told = {"name": name, "sha256": sha256(file.read_bytes()).hexdigest(), "source": origin, "licence": "", "created": time.time()}
            _write(Kept(f"dataset:{made.name}", name, file, found.sheet), found, told)
            made.rename(home() / "datasets" / made.name)
        return find(f"dataset:{made.name}")
    finally:
        upload.unlink(missing_ok=True)


def clean(name: str) -> str:
    """A name as it may stand anywhere: no line ends, no marks that mean something to a page or a shell, not too long."""
    return re.sub(r"[^\w .()-]+", "_", name).strip()[-LONGEST_NAME:] or "data"


def change(kept: Kept, made: Change) -> None:
    """Make one change to the rows; the original file stays as it is, and `undo` takes the change back. Raises BadData for a sample."""
    _check_own(kept)
    files = _change_files(kept)
    number = int(files[-1].stem) + 1 if files else 1
    found = fixes.apply(kept.table(), [made])
    if not found.rows:
        raise BadData(
            Words("This would leave no row of “{name}”.", "这样“{name}”就一行也不剩了。"),
            Words("Change single rows instead, or bring other data.", "请逐行修改，或换一份数据。"),
            name=kept.name,
        )
    _make_room(kept)
    write_json(_changes(kept) / f"{number:04}.json", fixes.as_json(made))
    _write(kept, found, kept.card)


def undo(kept: Kept) -> Change | None:
    """Take the last change back; returns it, or None where there was none."""
    _check_own(kept)
    files = _change_files(kept)
    if not files:
        return None
    # Under the file's own name, whose ending says how to read it: the set may be called something else by now.
    *before, last = kept.changes()
    _write(kept, fixes.apply(read(kept.path, kept.path.name, kept.sheet), before), kept.card)
    files[-1].unlink()
    return last


def choose_sheet(kept: Kept, sheet: str) -> Kept:
    """The same file read from another sheet, with the changes made to it before; those of the old one come back with it."""
    _check_own(kept)
    found = read(kept.path, kept.path.name, sheet)
    _make_room(kept)
    other = Kept(kept.source, kept.name, kept.path, found.sheet)
    _write(other, fixes.apply(found, other.changes()), kept.card)
    return other


def choose(kept: Kept, task: Task, roles: Mapping[str, str] | None = None) -> None:
    """Write down the task that a person chose, and the columns where these are theirs too; a sample keeps nothing."""
    if kept.own:
        card = kept.card
        every = {**card.get("chosen", {}), kept.sheet: {"task": task, "columns": dict(roles or {})}}
        write_json(kept.folder / "card.json", {**card, "chosen": every})


def describe(kept: Kept, *, name: str | None = None, licence: str | None = None) -> Kept:
    """Give a data set another name, or say under which licence it stands."""
    _check_own(kept)
    card = kept.card
    card |= {"name": clean(name)} if name is not None and name.strip() else {}
    card |= {"licence": licence.strip()[:200]} if licence is not None else {}
    write_json(kept.folder / "card.json", card)
    return find(kept.source)


def drop(kept: Kept) -> None:
    """Delete a data set with everything in it; what runs have taken from it stays with them. Raises BadData for a sample or a file."""
    _check_own(kept)
    shutil.rmtree(kept.folder, ignore_errors=True)


def copy(kept: Kept) -> Kept:
    """A data set of one's own with the rows of a sample, which can then be changed."""
    with draft() as place:
        return keep(Path(shutil.copy(kept.path, place)), kept.name, kept.sheet, kept.source, place)


def all_sets() -> list[Kept]:
    """Every data set that is kept here, the newest first."""
    folder = home() / "datasets"
    found = []
    for path in folder.iterdir() if folder.is_dir() else ():
        try:
            found.append(find(f"dataset:{path.name}"))
        except BadData:
            continue
    return sorted(found, key=lambda kept: -float(kept.card.get("created", 0.0)))


def _check_own(kept: Kept) -> None:
    if not kept.own:
        raise BadData(
            Words("“{name}” is not a data set of your own.", "“{name}”不是你自己的数据集。"),
            Words("Make a copy of it first, then change the copy.", "请先复制一份，再修改副本。"),
            name=kept.name,
        )


def find(source: str) -> Kept:
    """The data set a plan names: `sample:NAME`, `dataset:ID` or a file. Raises BadData where there is none."""
    kind, _, name = source.partition(":")
    if kind == "sample" and name in presets.samples():
        card = presets.samples()[name]
        return Kept(source, card.file, card.path)
    if kind == "dataset" and ID.fullmatch(name):
        folder = home() / "datasets" / name
        told: dict[str, Any] = read_json(folder / "card.json")
        files: Sequence[Path] = sorted(folder.glob("original*"))
        if told.get("name") and files:
            return Kept(source, str(told["name"]), files[0], str(told.get("sheet", "")))
    elif kind not in ("sample", "dataset"):
        return Kept(source, Path(source).name, Path(source))
    raise BadData(
        Words("There is no data set “{source}”.", "没有数据集“{source}”。"),
        Words("Upload the file again, or use a sample: {samples}.", "请重新上传文件，或使用示例数据：{samples}。"),
        source=source,
        samples=[f"sample:{name}" for name in presets.samples()],
    )
