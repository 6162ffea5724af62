"""Label next, likely wrong labels and leaks by meaning on Banking77, with the embedded encoder.

    python tests/bench/labels.py [--seeds 3] [--pairs 80]

Replayed: batches of 20 texts are chosen and get their true labels, beside as many random ones; accuracy on 2,000
texts kept aside. Wrong labels: 5 % of the labels are exchanged for random other ones. Leaks: pairs of a text kept
aside with one that is not, some of them printed to be read. Nothing is asserted. Without `../shared/data` it says so
and ends.
"""

import argparse
import csv
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from studio.data import store
from studio.meaning import client, embeddings, leaks, next_labels, report, wrong_labels
from studio.meaning.rows import MAX_ROWS
from studio.models.linear_fit import LinearClassifier
from studio.storage import no_progress

SOURCE = Path(__file__).resolve().parents[3] / "shared" / "data" / "banking77_train.csv"
N_TEST, N_FIRST, N_LAST, RANDOM_SIZES = 2_000, 100, 960, (800, 1_600)
COLUMNS = {"text": "text", "label": "category"}


def embed(folder: Path, rows: list[dict[str, str]]) -> np.ndarray:
    """The embeddings of all texts, and how long they took."""
    path = folder / "all.csv"
    write(path, rows)
    started_at = time.perf_counter()
    for _ in client.embed_labels(str(path), "classify", COLUMNS):
        pass
    found = embeddings.read(store.find(str(path)), report.ENCODER)
    print(f"embedded {len(found):,} texts in {time.perf_counter() - started_at:.0f} s")
    missing = [row["text"].strip() for row in rows if embeddings.text_key(row["text"].strip()) not in found]
    assert not missing, f"{len(missing)} texts were not embedded"
    return np.stack([found[embeddings.text_key(row["text"].strip())] for row in rows])


def write(path: Path, rows: list[dict[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, ("text", "category"))
        writer.writeheader()
        writer.writerows(rows)


def replay(vectors: np.ndarray, labels: np.ndarray, seed: int) -> None:
    """Chosen texts beside random ones."""
    order = np.random.default_rng(seed).permutation(len(labels))
    test, pool = order[:N_TEST], order[N_TEST:]

    def accuracy(rows: np.ndarray) -> float:
        fitted = LinearClassifier(vectors[rows], list(labels[rows]))
        return float(np.mean(np.array(fitted.predict(vectors[test])) == labels[test]))

    random_scores = {size: round(accuracy(pool[:size]), 3) for size in (480, *RANDOM_SIZES)}
    labelled, waiting = list(pool[:N_FIRST]), pool[N_FIRST:]
    chosen_scores, right, sure = {}, [], []
    while len(labelled) < N_LAST:
        suggested = next_labels.suggest(vectors[labelled], list(labels[labelled]), vectors[waiting], 20)
        indices = [item.index for item in suggested]
        right += [item.label == labels[waiting[item.index]] for item in suggested]
        sure += [item.certainty for item in suggested]
        labelled += list(waiting[indices])
        waiting = np.delete(waiting, indices)
        if len(labelled) in (480, 800, 960):
            chosen_scores[len(labelled)] = round(accuracy(np.array(labelled)), 3)
    print(f"seed {seed}: random {random_scores}, chosen {chosen_scores}", end="; ")
    print(f"proposed labels right {np.mean(right):.2f}, mean certainty {np.mean(sure):.2f}")


def find_planted(vectors: np.ndarray, labels: np.ndarray, seed: int, n_rows: int) -> None:
    """Precision and recall on 5 % exchanged labels."""
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(labels))[:n_rows]
    given, names = labels[rows].copy(), np.unique(labels)
    planted = rng.permutation(n_rows)[: n_rows // 20]
    for index in planted:
        given[index] = rng.choice(names[names != given[index]])
    started_at = time.perf_counter()
    found = {doubt.index for doubt in wrong_labels.find(vectors[rows], list(given), no_progress).doubts}
    hits = len(found & set(planted.tolist()))
    print(
        f"planted, seed {seed}, {n_rows:,} rows: {len(found)} found, precision {hits / max(1, len(found)):.2f}, "
        f"recall {hits / len(planted):.2f}, {time.perf_counter() - started_at:.0f} s"
    )


def time_batches(folder: Path, rows: list[dict[str, str]]) -> None:
    """How long the next 20 of 10,000 texts take in the process that stays, its embeddings being there."""
    path = folder / "all.csv"
    for n_labelled in (500, 1_000, 3_000):
        write(
            path,
            [
                {**row, "category": row["category"] if index < n_labelled else ""}
                for index, row in enumerate(rows)
            ],
        )
        seconds = []
        for _ in range(3):
            started_at = time.perf_counter()
            suggested = client.label_client.suggest(str(path), "classify", COLUMNS, 20)
            seconds.append(time.perf_counter() - started_at)
        assert suggested
        print(f"next batch, {n_labelled:,} labelled, {suggested.unlabelled:,} waiting: ", end="")
        print(", ".join(f"{each:.2f} s" for each in seconds))


def find_leaks(vectors: np.ndarray, rows: list[dict[str, str]], n_pairs: int) -> None:
    """Pairs that mean the same by the studio's rule."""
    rng = np.random.default_rng(5)
    order = rng.permutation(len(rows))
    test, data = order[:N_TEST], order[N_TEST:]
    texts = [row["text"] for row in rows]
    started_at = time.perf_counter()
    found = leaks.find([texts[i] for i in data], vectors[data], [texts[i] for i in test], vectors[test])
    same = [rows[data[leak.index]]["category"] == rows[test[leak.test_index]]["category"] for leak in found]
    print(
        f"leaks: {len(found):,} pairs, {len({leak.test_index for leak in found}):,} of {N_TEST:,} test texts, "
        f"same label {np.mean(same):.3f}, {time.perf_counter() - started_at:.1f} s"
    )
    for index in rng.permutation(len(found))[:n_pairs]:
        leak = found[index]
        print(
            f"  {leak.cosine:.3f} {texts[test[leak.test_index]].strip()!r} | {texts[data[leak.index]].strip()!r}"
        )


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pairs", type=int, default=0, help="pairs to print")
    options = parser.parse_args()
    if not SOURCE.is_file():
        print(f"{SOURCE} is not here: nothing to measure")
        return 0
    with SOURCE.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))[:MAX_ROWS]
    with tempfile.TemporaryDirectory() as temp:
        folder = Path(temp)
        vectors = embed(folder, rows)
        labels = np.array([row["category"] for row in rows])
        order = np.random.default_rng(0).permutation(len(rows))
        time_batches(folder, [rows[index] for index in order])
        client.label_client.close()
        for seed in range(options.seeds):
            replay(vectors, labels, seed)
        for n_rows in (2_000, len(rows)):
            for seed in range(min(2, options.seeds)):
                find_planted(vectors, labels, seed, n_rows)
        find_leaks(vectors, rows, options.pairs)
    return 0


if __name__ == "__main__":
    sys.exit(main())
