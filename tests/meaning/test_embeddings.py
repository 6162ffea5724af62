"""Embeddings are computed once and kept with the data set."""

import numpy as np
import pytest
from meaning_steps import write_texts

from studio.data import store
from studio.meaning import embeddings
from studio.storage import no_progress

TEXTS = ["the red lamp hums", "where is my parcel", "the red lamp hums"]


@pytest.fixture
def dataset(tmp_path):
    return store.add(write_texts(tmp_path / "texts.csv", ["a"] * 9))


def test_they_have_unit_length_and_are_the_same_when_read_again(dataset, tiny_pooled_bert):
    vectors = embeddings.compute(dataset, "tiny", tiny_pooled_bert, TEXTS, no_progress)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    np.testing.assert_array_equal(vectors[0], vectors[2])
    kept = embeddings.find(dataset, "tiny", TEXTS)
    np.testing.assert_allclose(kept, vectors, atol=1e-3)
    assert embeddings.find(dataset, "tiny", [*TEXTS, "another"]) is None
    assert embeddings.find(dataset, "another encoder", TEXTS) is None


def test_only_new_texts_are_embedded(dataset, tiny_pooled_bert):
    embeddings.compute(dataset, "tiny", tiny_pooled_bert, TEXTS, no_progress)
    totals = []
    embeddings.compute(
        dataset, "tiny", tiny_pooled_bert, [*TEXTS, "new"], lambda _, total: totals.append(total)
    )
    assert set(totals) == {1}
    embeddings.compute(dataset, "tiny", tiny_pooled_bert, TEXTS, lambda *_: pytest.fail("embedded again"))


def test_a_damaged_file_holds_none_and_deleting_the_data_deletes_them(dataset):
    embeddings.write(dataset, "tiny", {embeddings.text_key("a"): np.ones(3)})
    file = embeddings.path(dataset)
    whole = file.read_bytes()
    for damaged in (b"", b"no archive", whole[: len(whole) // 2]):
        file.write_bytes(damaged)
        assert embeddings.read(dataset, "tiny") == {}
    store.delete(dataset)
    assert not file.exists()


def test_those_of_a_sample_are_in_the_home(studio_home):
    assert embeddings.path(store.find("sample:ticket-triage")).is_relative_to(studio_home / "embeddings")
