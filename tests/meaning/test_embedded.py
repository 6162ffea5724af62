"""The embedded encoder finds what is planted in a sample and in a few sentences."""

from pathlib import Path

import pytest
from meaning_steps import COLUMNS, write_texts

from studio import presets
from studio.data import store
from studio.meaning import check, embeddings, leaks, report
from studio.models import fetch
from studio.storage import no_progress

pytestmark = pytest.mark.embedded

PAIRS = (
    (
        "How do I get my card out of the ATM?",
        "What can I do to get my card back from the cash machine?",
        False,
    ),
    ("My top-up is still pending.", "It appears my top-up is still pending.", True),
    ("I would like to activate my card.", "I would like my card activated.", True),
    ("Where is my parcel?", "Can I change my PIN?", False),
    ("Why is my identity verified?", "Why is my identity not verified?", False),
)


@pytest.fixture(scope="module")
def encoder_folder(tmp_path_factory):
    cached = Path.home() / ".cache" / "studio-tests" / "models" / report.ENCODER
    if cached.is_dir():
        return cached
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STUDIO_HOME", str(tmp_path_factory.mktemp("home")))
        return fetch.fetch(report.ENCODER).folder


def test_pairs_that_mean_the_same_are_told_from_others(encoder_folder, tmp_path):
    dataset = store.add(write_texts(tmp_path / "texts.csv", ["a"] * 9))
    first, second, _ = zip(*PAIRS, strict=True)
    vectors = embeddings.compute(dataset, "minilm", encoder_folder, [*first, *second], no_progress)
    found = leaks.find(first, vectors[: len(PAIRS)], second, vectors[len(PAIRS) :])
    same = {(leak.index, leak.test_index) for leak in found}
    assert {(index, index) for index, pair in enumerate(PAIRS) if pair[2]} == same


def test_a_sample_of_few_hard_texts_is_not_judged(encoder_folder, tmp_path):
    sample = store.find("sample:ticket-triage")
    card = presets.samples()["ticket-triage"]
    table = sample.table()
    text, label = (card.columns[role] for role in ("text", "label"))
    labels = [row[label] for row in table.rows]
    names = sorted(set(labels))
    planted = range(0, len(labels), 20)
    for index in planted:
        labels[index] = names[(names.index(labels[index]) + 1) % len(names)]
    dataset = store.add(write_texts(tmp_path / "planted.csv", labels, [row[text] for row in table.rows]))
    request = {
        "source": dataset.source,
        "task": "classify",
        "columns": COLUMNS,
        "test": "",
        "encoder": "minilm",
    }
    found = check.check(request, encoder_folder, lambda *_: None)
    # 240 texts in six classes are too few for it, and it says so.
    assert [finding.kind for finding in found.findings] == ["unjudged_labels"]
