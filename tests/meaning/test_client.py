"""The check and the suggestions in their child processes, with a tiny encoder."""

import pytest
from meaning_steps import COLUMNS, LABELS, write_texts

from studio.data import store
from studio.errors import StudioError
from studio.meaning import client, report
from studio.meaning.client import LabelClient

pytestmark = pytest.mark.thorough


@pytest.fixture
def tiny_encoder(tiny_pooled_bert, monkeypatch):
    monkeypatch.setattr(report, "ENCODER", str(tiny_pooled_bert))


def test_texts_are_read_once_then_suggested_and_checked(tiny_encoder, tmp_path):
    texts = [f"a parcel goes {LABELS[index % 3]} on day {index}" for index in range(90)]
    labels = [LABELS[index % 3] if index < 60 else "" for index in range(90)]
    dataset = store.add(write_texts(tmp_path / "half.csv", labels, texts))
    arguments = dataset.source, "classify", COLUMNS
    label_client = LabelClient()
    try:
        assert label_client.suggest(*arguments, 20) is None
        stages = [step.stage for step in client.embed_labels(*arguments)]
        assert set(stages) == {"embed"}
        # The tiny encoder reads no numbers: to it these are three texts, and copies are not suggested.
        suggested = label_client.suggest(*arguments, 20)
        assert len(suggested.suggestions) == 3
        assert all(item["row"] >= 60 for item in suggested.suggestions)
        assert "80 labels" in label_client.measure_curve(*arguments)[0].render()
        with pytest.raises(StudioError):
            label_client.suggest(dataset.source, "chat", {"prompt": "text"}, 20)
        assert list(client.embed_labels(*arguments)) == []
    finally:
        label_client.close()
    *_, found = client.run_check(*arguments)
    assert found.looked_at.render() == "By meaning, 60 of 60 rows were looked at."
