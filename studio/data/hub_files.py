"""Which files of a hub data set are taken: the part that is asked for, else its training part; nothing that could hold code."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from studio.errors import BadData
from studio.words import Words

# Endings that are read, the surest to be right first.
ENDINGS = (".parquet", ".jsonl", ".ndjson", ".csv", ".tsv", ".json")
ABOUT = re.compile(r"(dataset_infos?|datasheet|metadata|package|config|croissant)\.json$|^\.|/\.", re.IGNORECASE)
SPLIT = re.compile(r"(?:^|[/_.\s-])(train|test|validation|valid|val|dev|eval)(?=[/_.\s-])", re.IGNORECASE)
PARTIAL = "partial-"  # how the hub calls a split it converted the beginning of


@dataclass(frozen=True)
class Part:
    """One split of one configuration of a data set: its files with their sizes in bytes, in order; `whole` where none is missing."""

    config: str
    split: str
    files: Mapping[str, int]
    whole: bool = True

    @property
    def name(self) -> str:
        """The configuration, where it has a name of its own, and the split."""
        return " ".join(word for word in (self.config if self.config != "default" else "", self.split) if word)


def converted(sizes: Mapping[str, int]) -> list[Part]:
    """The parts the hub has converted to Parquet, which lie as `configuration/split/0000.parquet`."""
    groups: dict[tuple[str, str], dict[str, int]] = {}
    for path in _safe(sizes):
        parts = PurePosixPath(path).parts
        if len(parts) == 3 and path.endswith(".parquet"):
            groups.setdefault((parts[0], parts[1]), {})[path] = sizes[path]
    return [Part(config, split.removeprefix(PARTIAL), files, not split.startswith(PARTIAL)) for (config, split), files in groups.items()]


def own(sizes: Mapping[str, int]) -> list[Part]:
    """The parts among the files that lie in the data set itself: those of one ending, by the split that their names tell."""
    groups: dict[tuple[str, str, str], dict[str, int]] = {}
    for path in _safe(sizes):
        ending = PurePosixPath(path).suffix.lower()
        if ending in ENDINGS and not ABOUT.search(path):
            said = SPLIT.search(path)
            folder = PurePosixPath(path).parts[0] if len(PurePosixPath(path).parts) > 1 else ""
            config = folder if folder and not SPLIT.match(f"{folder}/") and folder.lower() != "data" else ""
            groups.setdefault((ending, config, said[1].lower() if said else ""), {})[path] = sizes[path]
    return [Part(config, split, files) for (_, config, split), files in sorted(groups.items(), key=lambda item: ENDINGS.index(item[0][0]))]


def chosen(parts: list[Part], wanted: Iterable[str], dataset: str) -> Part:
    """The part whose configuration and split are `wanted`, as far as these say: else the default one, and what is for training.

    Raises BadData, with the names there are, where no part is called so.
    """
    words = [word for word in wanted if word]
    fitting = [part for part in parts if all(word in (part.config, part.split) for word in words)]
    if not fitting:
        raise BadData(
            Words("“{dataset}” has no part “{wanted}”; it has {parts}.", "“{dataset}”没有“{wanted}”这一部分，现有：{parts}。"),
            Words("Write one of them after the name, with a colon.", "请在名称后用冒号写上其中一个。"),
            dataset=dataset,
            wanted=":".join(words),
            parts=list(dict.fromkeys(":".join(word for word in (part.config, part.split) if word)[:60] or "-" for part in parts))[:12],
        )
    default = [part for part in fitting if part.config in ("default", "")] or [part for part in fitting if part.config == fitting[0].config]
    return min(default, key=lambda part: (not part.split.startswith("train"), part.split != ""))


def _safe(sizes: Mapping[str, int]) -> list[str]:
    """The paths, in order, that lead nowhere else."""
    return [path for path in sorted(sizes) if ".." not in PurePosixPath(path).parts and not path.startswith("/") and "\\" not in path]
