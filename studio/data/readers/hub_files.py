"""Which files of a hub data set are taken: the part that is asked for, else its training part; nothing that could hold code."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from studio.errors import BadData
from studio.i18n import Message

# Endings that are read, the surest to be right first.
EXTENSIONS = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv", ".json")
METADATA_FILE = re.compile(
    r"(dataset_infos?|datasheet|metadata|package|config|croissant)\.json$|^\.|/\.", re.IGNORECASE
)
SPLIT_IN_NAME = re.compile(
    r"(?:^|[/_.\s-])(train|test|validation|valid|val|dev|eval)(?=[/_.\s-])", re.IGNORECASE
)
PARTIAL_PREFIX = "partial-"  # how the hub calls a split it converted the beginning of


@dataclass(frozen=True)
class DatasetPart:
    """One split of one configuration of a data set: its files with their sizes in bytes, in order; `whole` where none is missing."""

    config: str
    split: str
    files: Mapping[str, int]
    is_complete: bool = True

    @property
    def name(self) -> str:
        """The configuration, where it has a name of its own, and the split."""
        return " ".join(
            word for word in (self.config if self.config != "default" else "", self.split) if word
        )


def converted_parts(sizes: Mapping[str, int]) -> list[DatasetPart]:
    """The parts the hub has converted to Parquet, which lie as `configuration/split/0000.parquet`."""
    groups: dict[tuple[str, str], dict[str, int]] = {}
    for path in _safe_paths(sizes):
        parts = PurePosixPath(path).parts
        if len(parts) == 3 and path.endswith(".parquet"):
            groups.setdefault((parts[0], parts[1]), {})[path] = sizes[path]
    return [
        DatasetPart(config, split.removeprefix(PARTIAL_PREFIX), files, not split.startswith(PARTIAL_PREFIX))
        for (config, split), files in groups.items()
    ]


def repo_parts(sizes: Mapping[str, int]) -> list[DatasetPart]:
    """The parts among the files that lie in the data set itself: those of one ending, by the split that their names tell."""
    groups: dict[tuple[str, str, str], dict[str, int]] = {}
    for path in _safe_paths(sizes):
        extension = PurePosixPath(path).suffix.lower()
        if extension in EXTENSIONS and not METADATA_FILE.search(path):
            match = SPLIT_IN_NAME.search(path)
            folder = PurePosixPath(path).parts[0] if len(PurePosixPath(path).parts) > 1 else ""
            config = (
                folder
                if folder and not SPLIT_IN_NAME.match(f"{folder}/") and folder.lower() != "data"
                else ""
            )
            groups.setdefault((extension, config, match[1].lower() if match else ""), {})[path] = sizes[path]
    return [
        DatasetPart(config, split, files)
        for (_, config, split), files in sorted(groups.items(), key=lambda item: EXTENSIONS.index(item[0][0]))
    ]


def choose_part(parts: list[DatasetPart], wanted: Iterable[str], dataset: str) -> DatasetPart:
    """The part whose configuration and split are `wanted`, as far as these say: else the default one, and what is for training.

    Raises BadData, with the names there are, where no part is called so.
    """
    requested = [word for word in wanted if word]
    matching = [part for part in parts if all(word in (part.config, part.split) for word in requested)]
    if not matching:
        raise BadData(
            Message("“{dataset}” has no part “{wanted}”; it has {parts}."),
            Message("Write one of them after the name, with a colon."),
            dataset=dataset,
            wanted=":".join(requested),
            parts=list(
                dict.fromkeys(
                    ":".join(word for word in (part.config, part.split) if word)[:60] or "-" for part in parts
                )
            )[:12],
        )
    candidates = [part for part in matching if part.config in ("default", "")] or [
        part for part in matching if part.config == matching[0].config
    ]
    return min(candidates, key=lambda part: (not part.split.startswith("train"), part.split != ""))


def _safe_paths(sizes: Mapping[str, int]) -> list[str]:
    """The paths, in order, that lead nowhere else."""
    return [
        path
        for path in sorted(sizes)
        if ".." not in PurePosixPath(path).parts and not path.startswith("/") and "\\" not in path
    ]
