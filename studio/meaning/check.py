"""The check by meaning: likely wrong labels, and test examples in other words, as findings."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from studio.data import examples, store
from studio.data.quality import language_id, table_view
from studio.data.quality.findings import (
    Finding,
    build_finding,
    grade_by_share,
)
from studio.data.quality.row_checks import sample_evenly
from studio.data.quality.table_view import TableView
from studio.data.store import Dataset
from studio.i18n import Message
from studio.meaning import embeddings, leaks, rows, wrong_labels
from studio.meaning.report import Doubt, MeaningReport, encoder_name
from studio.meaning.rows import MAX_ROWS, MAX_TEST_ROWS

Array = NDArray[np.float32]
# Receives a stage, how much of it is done, and of how much.
Report = Callable[[str, float, float], None]
# Of texts too short to tell, Latin script is all that is known.
ENGLISH = ("en", "latin", "")
# Texts by whose language it is decided whether the encoder understands them.
MAX_LANGUAGE_TEXTS = 500
# Characters of a text in an excerpt: beside its labels, and beside another text.
DOUBTED_CHARS, PAIR_CHARS = 90, 75
# Fewer labelled texts than this say nothing about each other.
MIN_LABELLED = 40
LOOKED_AT = Message("By meaning, {checked:,} of {total:,} rows were looked at.")
LOOKED_AT_TEST = Message(
    "By meaning, {checked:,} of {total:,} rows and {tested:,} of {tests:,} test examples were looked at."
)


def check(request: Mapping[str, Any], folder: Path, report: Report) -> MeaningReport:
    """Look for likely wrong labels, and for rows that say what a test example says.

    Args:
        request: `source`, `sheet`, `task`, `columns`, `test` (the source of a test set, "" for none) and
            `encoder`, the name under which embeddings are kept.
        folder: The encoder's folder.
        report: Called with the progress.

    Raises:
        StudioError: The data cannot be used.
    """
    dataset, view = rows.open_view(request)
    checked = sample_evenly(view.complete_rows, MAX_ROWS)
    texts = [view.input_texts[row] for row in checked]
    if not texts:
        return MeaningReport(())
    main_language = language_id.detect_mix(sample_evenly_texts(texts)).main
    if main_language not in ENGLISH:
        language = language_id.language_name(main_language)
        finding = build_finding("not_english", "open", (), (), encoder=encoder_name(), language=language)
        return MeaningReport((finding,))
    encoder = request["encoder"]
    vectors = embeddings.compute(
        dataset, encoder, folder, texts, lambda done, total: report("embed", done, total)
    )
    doubts, findings = _doubt_labels(dataset, view, checked, vectors, report)
    if not request.get("test"):
        looked_at = LOOKED_AT.format(checked=len(checked), total=len(view.complete_rows))
        return MeaningReport(tuple(findings), tuple(doubts), (), looked_at)
    tests, n_tests = _test_texts(request)
    test_vectors = embeddings.compute(
        store.find(request["test"]),
        encoder,
        folder,
        tests,
        lambda done, total: report("embed_test", done, total),
    )
    report("compare", 0, 1)
    found_leaks = leaks.find(texts, vectors, tests, test_vectors)
    leaking = sorted({checked[leak.index] for leak in found_leaks})
    if leaking:
        excerpts = [
            f"{texts[leak.index][:PAIR_CHARS]} ≈ {tests[leak.test_index][:PAIR_CHARS]}"
            for leak in sorted(found_leaks, key=lambda leak: leak.cosine)
        ]
        findings.append(
            build_finding(
                "leak_by_meaning",
                "warn",
                leaking,
                excerpts,
                leaked=len({leak.test_index for leak in found_leaks}),
                tested=len(tests),
                checked=len(checked),
            )
        )
    looked_at = LOOKED_AT_TEST.format(
        checked=len(checked), total=len(view.complete_rows), tested=len(tests), tests=n_tests
    )
    return MeaningReport(tuple(findings), tuple(doubts), tuple(leaking), looked_at)


def _doubt_labels(
    dataset: Dataset, view: TableView, checked: list[int], vectors: Array, report: Report
) -> tuple[list[Doubt], list[Finding]]:
    """The labels of classified texts that are likely wrong, and what is said of them."""
    if view.task != "classify" or "label" not in view.columns or len(checked) < MIN_LABELLED:
        return [], []
    labels = [view.labels[row][0] for row in checked]
    judged = wrong_labels.find(vectors, labels, lambda done, total: report("doubts", done, total))
    doubts = _unreviewed_doubts(dataset, view, checked, judged.doubts)
    findings = _wrong_labels_finding(doubts, len(checked))
    if not judged.is_judged:
        findings.insert(
            0,
            build_finding(
                "unjudged_labels", "open", (), (), encoder=encoder_name(), agreement=judged.agreement
            ),
        )
    return doubts, findings


def sample_evenly_texts(texts: list[str]) -> list[str]:
    """The texts by whose language is decided."""
    return [texts[index] for index in sample_evenly(range(len(texts)), MAX_LANGUAGE_TEXTS)]


def _unreviewed_doubts(
    dataset: Dataset, view: TableView, checked: list[int], doubts: Sequence[wrong_labels.LabelDoubt]
) -> list[Doubt]:
    rows_found = [checked[doubt.index] for doubt in doubts]
    return [
        Doubt(
            rows_found[position],
            view.input_texts[rows_found[position]],
            view.labels[rows_found[position]][0],
            doubts[position].label,
            doubts[position].certainty,
        )
        for position in rows.unreviewed(dataset, rows_found)
    ]


def _wrong_labels_finding(doubts: list[Doubt], n_checked: int) -> list[Finding]:
    if not doubts:
        return []
    wrong_rows = [doubt.row for doubt in doubts]
    excerpts = (
        f"{doubt.text[:DOUBTED_CHARS]} → {doubt.given} | {doubt.suggested} ({doubt.certainty:.0%})"
        for doubt in doubts
    )
    grade = grade_by_share(wrong_rows, n_checked)
    return [
        build_finding("wrong_labels", grade, wrong_rows, excerpts, checked=n_checked, encoder=encoder_name())
    ]


def _test_texts(request: Mapping[str, Any]) -> tuple[list[str], int]:
    """The texts of the test set that are compared, and how many it has."""
    table = store.find(request["test"]).table()
    test_examples = examples.build_row_examples(table, request["task"], request["columns"])
    texts = [table_view.extract_texts(example, request["task"]).input for example in test_examples if example]
    sampled = sample_evenly(range(len(texts)), MAX_TEST_ROWS)
    return [texts[index] for index in sampled], len(texts)
