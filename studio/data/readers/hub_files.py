"""Which files of a hub data set are fetched: the named part or the training split, never code."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from studio.errors import BadData
from studio.i18n import Message

# The extensions that are fetched, the most reliable format first.
EXTENSIONS = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv", ".json")
METADATA_FILE = re.compile(
    r"(dataset_infos?|datasheet|metadata|package|config|croissant)\.json$|^\.|/\.", re.IGNORECASE
)
SPLIT_IN_NAME = re.compile(
    r"(?:^|[/_.\s-])(train|test|validation|valid|val|dev|eval)(?=[/_.\s-])", re.IGNORECASE
)
DEFAULT_CONFIGS = ("default", "")
PARTIAL_PREFIX = "partial-"  # what the hub puts before a split of which it converted the beginning
MAX_NAMED_PARTS = 12
MAX_PART_NAME_LENGTH = 60
NO_SUCH_PART = Message("“{dataset}” has no part “{wanted}”; it has {parts}.")


@dataclass(frozen=True)
class DatasetPart:
    """One split of one configuration of a data set.

    Attributes:
        config: The configuration; "" where the data set has none.
        split: The split; "" where the names of the files tell none.
        files: The path of each file and its size in bytes, in order.
        is_complete: Whether the files hold the whole split.
    """

    config: str
    split: str
    files: Mapping[str, int]
    is_complete: bool = True

    @property
    def name(self) -> str:
        """The configuration, unless it is the default one, and the split."""
        config = "" if self.config in DEFAULT_CONFIGS else self.config
        return " ".join(filter(None, (config, self.split)))


def converted_parts(sizes: Mapping[str, int]) -> list[DatasetPart]:
    """The parts that the hub has converted to Parquet, at paths such as `configuration/split/0000.parquet`.

    Args:
        sizes: The path and the size in bytes of each file of the revision.
    """
    files_by_split: dict[tuple[str, str], dict[str, int]] = {}
    for path in _safe_paths(sizes):
        parts = PurePosixPath(path).parts
        if len(parts) == 3 and path.endswith(".parquet"):
            config, split, _ = parts
            files_by_split.setdefault((config, split), {})[path] = sizes[path]
    return [
        DatasetPart(
            config,
            split.removeprefix(PARTIAL_PREFIX),
            files,
            is_complete=not split.startswith(PARTIAL_PREFIX),
        )
        for (config, split), files in files_by_split.items()
    ]


def repo_parts(sizes: Mapping[str, int]) -> list[DatasetPart]:
    """The parts among the data set's own files: those of one extension, by the split that their names tell.

    Args:
        sizes: The path and the size in bytes of each file of the revision.
    """
    files_by_part: dict[tuple[str, str, str], dict[str, int]] = {}
    for path in _safe_paths(sizes):
        extension = PurePosixPath(path).suffix.lower()
        if extension not in EXTENSIONS or METADATA_FILE.search(path):
            continue
        match = SPLIT_IN_NAME.search(path)
        split = match[1].lower() if match else ""
        files_by_part.setdefault((extension, _config_from_path(path), split), {})[path] = sizes[path]
    by_reliability = sorted(files_by_part.items(), key=lambda item: EXTENSIONS.index(item[0][0]))
    return [DatasetPart(config, split, files) for (_, config, split), files in by_reliability]


def choose_part(parts: list[DatasetPart], wanted: Iterable[str], dataset: str) -> DatasetPart:
    """Choose the part that is asked for; of several the default configuration's, and the training split.

    Args:
        parts: The parts there are.
        wanted: A configuration, a split, or both; empty words are ignored.
        dataset: What error messages call the data set.

    Raises:
        BadData: No part is called so; the message lists those there are.
    """
    requested = [word for word in wanted if word]
    matching = [part for part in parts if all(word in (part.config, part.split) for word in requested)]
    if not matching:
        names = dict.fromkeys(_part_id(part)[:MAX_PART_NAME_LENGTH] or "-" for part in parts)
        raise BadData(
            NO_SUCH_PART,
            Message("Write one of them after the name, with a colon."),
            dataset=dataset,
            wanted=":".join(requested),
            parts=list(names)[:MAX_NAMED_PARTS],
        )
    candidates = [part for part in matching if part.config in DEFAULT_CONFIGS]
    if not candidates:
        candidates = [part for part in matching if part.config == matching[0].config]
    return min(candidates, key=lambda part: (not part.split.startswith("train"), part.split != ""))


def _part_id(part: DatasetPart) -> str:
    """A part as it is typed after the name of a data set."""
    return ":".join(filter(None, (part.config, part.split)))


def _config_from_path(path: str) -> str:
    """The configuration that a file's folder names; "" for a folder named after a split, or `data`."""
    parts = PurePosixPath(path).parts
    folder = parts[0] if len(parts) > 1 else ""
    is_split = bool(SPLIT_IN_NAME.match(f"{folder}/"))
    return "" if is_split or folder.lower() == "data" else folder


def _safe_paths(sizes: Mapping[str, int]) -> list[str]:
    """The paths, in order, without those that lead out of the folder."""
    return [
        path
        for path in sorted(sizes)
        if ".." not in PurePosixPath(path).parts and not path.startswith("/") and "\\" not in path
    ]
