"""Steps that tests of `studio.meaning` share: texts told apart, and answers without a child process."""

import csv
import json
from pathlib import Path

import numpy as np

from studio.meaning import check, client, embeddings, report, server
from studio.meaning.client import Progress

COLUMNS = {"text": "text", "label": "label"}
LABELS = ("north", "south", "west")


def clusters(n_rows, n_classes=3, seed=0, width=8, spread=0.15):
    """Embeddings of unit length around one direction for each class, and the classes."""
    rng = np.random.default_rng(seed)
    classes = np.arange(n_rows) % n_classes
    vectors = np.eye(n_classes, width)[classes] + spread * rng.normal(size=(n_rows, width))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), classes


def write_texts(path: Path, labels: list[str], texts: list[str] | None = None) -> Path:
    """A CSV file of texts with these labels, "" for none."""
    texts = texts or [f"please send parcel {index} to the depot" for index in range(len(labels))]
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("text", "label"), *zip(texts, labels, strict=True)])
    return path


def embed_by_label(monkeypatch, direction_of):
    """Every text gets the embedding `direction_of(text)`, as if an encoder had read it."""

    def compute(_dataset, _encoder, _folder, texts, on_progress):
        on_progress(0, len(texts))
        return np.stack([direction_of(text) for text in texts])

    monkeypatch.setattr(embeddings, "compute", compute)
    monkeypatch.setattr(
        server.Session,
        "read",
        lambda _self, dataset, _encoder: {
            embeddings.text_key(row["text"].strip()): direction_of(row["text"].strip())
            for row in dataset.table().rows
        },
    )


def answer_in_this_process(monkeypatch):
    """The check and the suggestions are computed here, by the same functions as in the child processes."""
    session = server.Session()

    def run_check(source, task, columns, test="", sheet=""):
        request = {"source": source, "task": task, "columns": columns, "test": test, "sheet": sheet}
        yield Progress("embed", 0.5)
        found = check.check({**request, "encoder": "tiny"}, Path(), lambda *_: None)
        yield report.MeaningReport.from_json(json.loads(json.dumps(found.to_json())))

    def ask(_self, request):
        return json.loads(json.dumps(server.answer(session, request)))

    monkeypatch.setattr(client, "run_check", run_check)
    monkeypatch.setattr(client, "has_encoder", lambda: True)
    monkeypatch.setattr(client.LabelClient, "_ask", ask)
