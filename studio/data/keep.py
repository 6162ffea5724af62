"""A data set is a folder in the studio's home: the original file, untouched, under a name nobody can guess."""

import json
import re
import shutil
import uuid
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from studio import presets
from studio.data.read import Table, read
from studio.errors import BadData
from studio.home import home, write_json
from studio.words import Words

ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Kept:
    """Where a data set's file lies, what the person called it, and the checksum of its bytes."""

    source: str
    name: str
    path: Path

    @property
    def sha256(self) -> str:
        """The checksum of the file as it is now."""
        return sha256(self.path.read_bytes()).hexdigest()

    def table(self) -> Table:
        """Its rows."""
        stamp = self.path.stat().st_mtime_ns if self.path.is_file() else 0
        return _table(self.path, self.name, stamp)


@lru_cache(maxsize=2)
def _table(path: Path, name: str, stamp: int) -> Table:
    """The rows of a file; read once as long as it stays the same, since the page asks at every move."""
    return read(path, name)


def keep(upload: Path) -> Kept:
    """Take a copy of an upload that can be read; its cache copy is removed, because anyone who knows that path could fetch it."""
    name = re.sub(r"[^\w .()-]+", "_", upload.name)[-120:]
    try:
        read(upload, name)
        folder = home() / "datasets" / uuid.uuid4().hex
        folder.mkdir(mode=0o700, parents=True)
        file = folder / f"original{upload.suffix.lower()}"
        shutil.copyfile(upload, file)
        write_json(folder / "card.json", {"name": name, "sha256": sha256(file.read_bytes()).hexdigest()})
        return Kept(f"dataset:{folder.name}", name, file)
    finally:
        upload.unlink(missing_ok=True)


def drop(kept: Kept) -> None:
    """Forget a data set that was taken in and turned out to be of no use."""
    shutil.rmtree(kept.path.parent, ignore_errors=True)


def find(source: str) -> Kept:
    """The data set a plan names: `sample:NAME`, `dataset:ID` or a file. Raises BadData where there is none."""
    kind, _, name = source.partition(":")
    if kind == "sample" and name in presets.samples():
        card = presets.samples()[name]
        return Kept(source, card.file, card.path)
    if kind == "dataset" and ID.fullmatch(name):
        folder = home() / "datasets" / name
        try:
            card_name = str(json.loads((folder / "card.json").read_text(encoding="utf-8"))["name"])
            return Kept(source, card_name, next(folder.glob("original.*")))
        except (OSError, ValueError, KeyError, StopIteration):
            pass
    elif kind not in ("sample", "dataset"):
        return Kept(source, Path(source).name, Path(source))
    raise BadData(
        Words("There is no data set “{source}”.", "没有数据集“{source}”。"),
        Words("Upload the file again, or use a sample: {samples}.", "请重新上传文件，或使用示例：{samples}。"),
        source=source,
        samples=", ".join(f"sample:{name}" for name in presets.samples()),
    )
