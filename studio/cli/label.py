"""`studio label`: the texts whose labels teach most, or likely wrong labels, one by one in the terminal."""

import argparse
import csv
import json
import sys
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, TypeVar

from tqdm import tqdm

from studio.cli import EXIT_INVALID, EXIT_OK
from studio.cli.apply import FILE_EXISTS
from studio.data import store
from studio.data.quality import fixes
from studio.data.quality.fixes import Change
from studio.data.readers.read import Table
from studio.data.schema import infer_roles
from studio.errors import BadData, NotPossible
from studio.i18n import Message
from studio.meaning import client
from studio.meaning.client import Progress, Suggested
from studio.meaning.decisions import DROP, KEEP, LABEL_PREFIX, SKIP, build_addition, build_change
from studio.meaning.report import Doubt, MeaningReport

T = TypeVar("T")
GO_ON_OR_NAME_ANOTHER = Message("Go on with `studio label {file}`, or name another file with --to.")
# What is typed for a text instead of a label; Enter alone takes the proposed one.
SKIP_KEY, END_KEY, KEEP_KEY, DROP_KEY = "-", "q", "k", "d"
NEXT_KEYS = "Enter takes the label in brackets, another label corrects it, - skips, q ends."
WRONG_KEYS = (
    "Enter takes the label in brackets, k keeps the old one, d drops the row, - decides later, q ends."
)
NO_LABELS = Message("“{name}” has no column of labels.")
NAME_THEM = Message("Name the columns: --text COLUMN --label COLUMN.")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the file, what is gone through, and where the result goes."""
    parser.add_argument("file", help="a file with texts and labels, some of them empty, or dataset:ID")
    parser.add_argument("--sheet", default="", help="the sheet of a workbook")
    parser.add_argument("--text", default="", metavar="COLUMN", help="the texts (default: as it looks)")
    parser.add_argument("--label", default="", metavar="COLUMN", help="the labels (default: as it looks)")
    parser.add_argument("--unlabelled", default="", metavar="FILE", help="more texts, without labels")
    parser.add_argument("--wrong", action="store_true", help="go through the labels that are likely wrong")
    parser.add_argument("--count", type=int, default=20, help="texts at a time (default 20)")
    parser.add_argument(
        "--to",
        default="",
        metavar="FILE",
        help="the CSV file for the result (default: NAME-labelled.csv; dataset:ID is changed itself)",
    )
    parser.add_argument("--json", action="store_true", help="only list the texts, as JSON")


def run(options: argparse.Namespace) -> int:
    """List texts, or ask for their labels and save these; 2 and a sentence where the file cannot be used.

    Raises:
        StudioError: The encoder cannot be fetched.
    """
    try:
        labelling = _Labelling(options)
    except BadData as error:
        sys.stderr.write(" ".join(str(error).split()) + "\n")
        return EXIT_INVALID
    if options.json:
        print(json.dumps(labelling.list_texts(), ensure_ascii=False, indent=1))
        return EXIT_OK
    print(WRONG_KEYS if options.wrong else NEXT_KEYS)
    while labelling.ask_for_batch():
        pass
    return EXIT_OK


def show_progress(steps: Iterable[Progress | T], result: type[T]) -> T:
    """The result that stands at the end of steps, whose progress is shown on stderr."""
    with tqdm(total=100, leave=False, file=sys.stderr, disable=None, bar_format="{desc} {bar}") as bar:
        for step in steps:
            if isinstance(step, result):
                return step
            assert isinstance(step, Progress)
            bar.set_description(client.STAGE_LABELS[step.stage].render())
            bar.n = round(100 * step.share)
            bar.refresh()
    raise AssertionError("the steps end with a result or an error")


class _Labelling:
    """A file whose labels are gone through, batch by batch."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options
        self._source, self._sheet = options.file, options.sheet
        self._table = self._read()
        self._columns = self._choose_columns()
        path = Path(options.file)
        self._target = Path(options.to) if options.to else path.with_name(f"{path.stem}-labelled.csv")
        if self._target.exists() and not self._is_stored and self._target.resolve() != path.resolve():
            names = {"name": self._target.name, "file": str(self._target)}
            raise NotPossible(FILE_EXISTS, GO_ON_OR_NAME_ANOTHER, **names)
        if options.unlabelled:
            others = store.find(options.unlabelled).table()
            self._apply(build_addition(self._table, others, self._columns["text"]))

    def _read(self) -> Table:
        return replace(store.find(self._source), sheet=self._sheet or store.find(self._source).sheet).table()

    def _choose_columns(self) -> dict[str, str]:
        """The columns of texts and labels: as named, else as they look."""
        columns = infer_roles.guess_roles(self._table, "classify").columns
        named = {"text": self._options.text, "label": self._options.label}
        columns |= {role: column for role, column in named.items() if column}
        chosen = [columns.get("text"), columns.get("label")]
        if len(set(chosen)) < len(chosen) or not set(chosen) <= set(self._table.columns):
            raise BadData(NO_LABELS, NAME_THEM, name=self._table.name)
        return {role: columns[role] for role in ("text", "label")}

    def list_texts(self) -> dict[str, Any]:
        """The texts of the next batch, for scripts; rows count from 1."""
        if self._options.wrong:
            return {"wrong": [{**asdict(doubt), "row": doubt.row + 1} for doubt in self._find_doubts()]}
        suggested = self._suggest()
        texts = [
            {"row": item["row"] + 1, **{key: item[key] for key in ("text", "label", "certainty")}}
            for item in suggested.suggestions
        ]
        curve = client.label_client.measure_curve(*self._arguments, sheet=self._sheet)
        counts = {"labelled": suggested.labelled, "unlabelled": suggested.unlabelled}
        return {"next": texts, **counts, "curve": [message.render() for message in curve]}

    @property
    def _arguments(self) -> tuple[str, str, dict[str, str]]:
        return self._source, "classify", self._columns

    def _suggest(self) -> Suggested:
        count = max(1, self._options.count)
        suggested = client.label_client.suggest(*self._arguments, count, self._sheet)
        if suggested is None:
            list(client.embed_labels(*self._arguments, self._sheet))
            suggested = client.label_client.suggest(*self._arguments, count, self._sheet)
        assert suggested
        return suggested

    def _find_doubts(self) -> tuple[Doubt, ...]:
        steps = client.run_check(*self._arguments, sheet=self._sheet)
        return show_progress(steps, MeaningReport).doubts

    def ask_for_batch(self) -> bool:
        """Ask for the labels of one batch and save them; whether there is another batch."""
        kind = "relabel" if self._options.wrong else "label_next"
        questions = self._wrong_questions() if self._options.wrong else self._next_questions()
        decisions: list[tuple[int, str]] = []
        has_ended = not questions
        for row, text, proposed in questions:
            print(f"\n{text}")
            typed = _read_line(f"[{proposed}] " if proposed else "label: ")
            if typed is None or typed == END_KEY:
                has_ended = True
                break
            decisions.append((row, _choice(typed, proposed, self._options.wrong)))
        change = build_change(kind, self._table, self._columns["label"], decisions)
        if change.cells or change.drop:
            self._apply(change)
            saved_in = self._source if self._is_stored else self._target
            print(f"\n{len(change.cells)} labels, {len(change.drop)} rows dropped: saved in {saved_in}")
            self._print_curve()
        return not has_ended and not self._options.wrong

    def _next_questions(self) -> list[tuple[int, str, str]]:
        suggestions = self._suggest().suggestions
        if not suggestions:
            print("Every text has a label.")
        for item in suggestions:
            item["text"] += f"\n({item['certainty']:.0%} sure)" if item["label"] else ""
        return [(item["row"], item["text"], item["label"]) for item in suggestions]

    def _wrong_questions(self) -> list[tuple[int, str, str]]:
        doubts = self._find_doubts()
        if not doubts:
            print("No label is likely wrong.")
        return [
            (doubt.row, f"{doubt.text}\nnow {doubt.given}; {doubt.certainty:.0%} sure", doubt.suggested)
            for doubt in doubts
        ]

    def _print_curve(self) -> None:
        if not self._options.wrong:
            first, *_ = client.label_client.measure_curve(*self._arguments, sheet=self._sheet)
            print(first.render())

    @property
    def _is_stored(self) -> bool:
        return store.find(self._source).is_editable

    def _apply(self, change: Change) -> None:
        """Change the data set, or write the changed rows of a file to the target, which is gone on with."""
        if self._is_stored:
            store.apply_change(store.find(self._source), change)
            self._table = self._read()
            return
        self._table = fixes.apply(self._table, [change])
        # With the mark by which Excel knows the encoding.
        with self._target.open("w", newline="", encoding="utf-8-sig") as file:
            writer = csv.DictWriter(file, self._table.columns)
            writer.writeheader()
            writer.writerows(self._table.rows)
        self._source, self._sheet = str(self._target), ""


def _read_line(prompt: str) -> str | None:
    """What is typed, without spaces around; None where the input has ended."""
    try:
        return input(prompt).strip()
    except EOFError:
        return None


def _choice(typed: str, proposed: str, is_review: bool) -> str:
    """What was decided by what was typed."""
    keys = {SKIP_KEY: SKIP}
    if is_review:
        keys |= {KEEP_KEY: KEEP, DROP_KEY: DROP}
    label = typed or proposed
    return keys.get(typed, LABEL_PREFIX + label if label else SKIP)
