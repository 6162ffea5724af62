"""A model of sentence-transformers is read by the mean of its tokens, as it was made."""

import pytest
import torch
from method_helpers import TOY_LABELS

from studio.methods import peft
from studio.models import load, shape
from studio.models.pooled_classifier import PooledClassifier

TEXTS = ["the parcel is late again", "lamp"]


@pytest.fixture
def model(tiny_pooled_bert):
    return load.base_model(tiny_pooled_bert, "classify", TOY_LABELS)


@pytest.fixture
def batch(tiny_pooled_bert, model):
    return load.tokenizer(tiny_pooled_bert)(TEXTS, padding=True, return_tensors="pt").to(model.device)


def test_the_head_reads_the_normalised_mean_of_the_tokens_that_are_not_padding(
    model, batch, tiny_pooled_bert
):
    from transformers import AutoModel

    assert isinstance(model, PooledClassifier)
    n_tokens = int(batch["attention_mask"][1].sum())
    assert n_tokens < batch["input_ids"].shape[1]
    with torch.no_grad():
        encoder = AutoModel.from_pretrained(tiny_pooled_bert).to(model.device).eval()
        hidden = encoder(**batch).last_hidden_state
        mean = hidden[1, :n_tokens].mean(dim=0)
        expected = model.classifier((mean - mean.mean()) / mean.std(unbiased=False))
        logits = model(**batch).logits
    torch.testing.assert_close(logits[1], expected, rtol=1e-4, atol=1e-5)


def test_a_prefix_of_keys_and_values_is_no_part_of_the_mean(model):
    hidden = torch.randn(2, 3, 32)
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 1, 0]])  # two tokens of a prefix, three of a text
    torch.testing.assert_close(model.pool(hidden, mask), model.pool(hidden, mask[:, 2:]))


def test_virtual_tokens_are_no_tokens_of_the_text(model, batch):
    with torch.no_grad():
        plain = model(**batch).logits
        text = model.bert.embeddings.word_embeddings(batch["input_ids"])
        embeddings = torch.cat([torch.randn(2, 3, 32).to(text.device), text], dim=1)
        unseen, seen = (torch.full((2, 3), value, device=text.device) for value in (0, 1))
        model.config.virtual_tokens = 3
        with_unseen, with_seen = (
            model(inputs_embeds=embeddings, attention_mask=torch.cat([mask, batch["attention_mask"]], dim=1))
            for mask in (unseen, seen)
        )
    torch.testing.assert_close(with_unseen.logits, plain, rtol=0, atol=1e-5)
    assert (with_seen.logits - plain).abs().max() > 1e-2, "the text attends to them"


@pytest.mark.parametrize("peft_type", peft.VIRTUAL_TOKEN_TYPES)
def test_learned_virtual_tokens_are_left_out_when_trained_and_when_opened_again(
    peft_type, model, batch, tiny_pooled_bert, tmp_path
):
    settings = peft.METHOD.resolve_settings({"type": peft_type})
    trained = peft.METHOD.finish(peft.METHOD.attach(model, settings, "classify")).eval()
    peft.METHOD.save(trained, tmp_path, "someone/base")
    base = load.base_model(tiny_pooled_bert, "classify", TOY_LABELS)
    opened = peft.METHOD.load(base, tmp_path)
    assert read_lengths(trained, batch) == read_lengths(opened, batch) == [batch["input_ids"].shape[1]]
    with torch.no_grad():
        torch.testing.assert_close(opened(**batch).logits, trained(**batch).logits)


def read_lengths(model, batch):
    """How many outputs of each text go into the mean, in every call."""
    classifier, lengths = model.get_base_model(), []
    pool = classifier.pool

    def record(hidden, attention_mask):
        lengths.append(hidden.shape[1])
        return pool(hidden, attention_mask)

    with pytest.MonkeyPatch.context() as patch, torch.no_grad():
        patch.setattr(classifier, "pool", record)
        model(**batch)
    return lengths


def test_a_saved_classifier_opens_as_it_was(model, batch, tmp_path):
    model.save_pretrained(tmp_path)
    reopened = PooledClassifier.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        torch.testing.assert_close(reopened(**batch).logits, model(**batch).logits, rtol=0, atol=0)
    assert shape.from_folder(tmp_path).mean_pooled
    assert list(reopened.config.id2label.values()) == list(TOY_LABELS)


def test_labels_give_the_mean_cross_entropy(model, batch):
    labels = torch.tensor([2, 0])
    outputs = model(**batch, labels=labels)
    torch.testing.assert_close(outputs.loss, torch.nn.functional.cross_entropy(outputs.logits, labels))


def test_the_count_knows_that_there_is_no_pooler(model, tiny_pooled_bert, tiny_bert):
    counted = shape.from_folder(tiny_pooled_bert)
    assert counted.total(labels=3) == load.count_parameters(model)
    assert shape.from_folder(tiny_bert).total(labels=3) - counted.total(labels=3) == 32 * 32 + 32


@pytest.mark.parametrize(
    ("pooling", "is_mean"),
    [
        ('{"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": false}', True),
        ('{"pooling_mode": "mean"}', True),
        ('{"pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true}', False),
        ('{"pooling_mode_cls_token": true}', False),
        ('{"pooling_mode": "lasttoken"}', False),
    ],
)
def test_only_the_mean_alone_is_read_so(pooling, is_mean, tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "bert"}', encoding="utf-8")
    (tmp_path / "1_Pooling").mkdir()
    (tmp_path / shape.POOLING_FILE).write_text(pooling, encoding="utf-8")
    assert shape.is_mean_pooled(shape.read_config(tmp_path)) is is_mean


def test_a_result_of_a_studio_that_read_the_pooler_still_opens_with_it(tiny_pooled_bert):
    model = load.base_model(tiny_pooled_bert, "classify", TOY_LABELS, reads_pooling=False)
    assert type(model).__name__ == "BertForSequenceClassification"
