"""A classifier on the mean of the tokens leaves the studio as an ordinary BERT with the same answers."""

import json
import subprocess
import sys

import pytest
import torch
from method_helpers import TOY_LABELS

from studio.export.pooled_bert import write_as_bert
from studio.models import load

TEXTS = ["the parcel is late again", "lamp", "when does the chair arrive"]
# A process that never imports the studio.
READER = """
import json, sys
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer, pipeline

folder, texts = sys.argv[1], json.loads(sys.argv[2])
model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
batch = AutoTokenizer.from_pretrained(folder)(texts, padding=True, return_tensors="pt")
with torch.no_grad():
    logits = model(**batch).logits.tolist()
labels = [result["label"] for result in pipeline("text-classification", folder)(texts)]
assert not any(name.startswith("studio") for name in sys.modules)
print(json.dumps({"class": type(model).__name__, "logits": logits, "labels": labels}))
"""


@pytest.fixture
def model(tiny_pooled_bert):
    """A classifier whose scores are as far apart as those of a trained one."""
    model = load.base_model(tiny_pooled_bert, "classify", TOY_LABELS)
    torch.manual_seed(0)
    torch.nn.init.normal_(model.classifier.weight)
    torch.nn.init.normal_(model.classifier.bias)
    return model


@pytest.mark.exhaustive  # test_opened_elsewhere.py says it of an exported run
def test_a_process_without_the_studio_gets_the_same_logits(model, tiny_pooled_bert, tmp_path):
    tokenizer = load.tokenizer(tiny_pooled_bert)
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    write_as_bert(tmp_path)
    with torch.no_grad():
        expected = model(**tokenizer(TEXTS, padding=True, return_tensors="pt")).logits
    reply = subprocess.run(
        [sys.executable, "-c", READER, str(tmp_path), json.dumps(TEXTS)],
        capture_output=True,
        check=True,
        text=True,
        cwd=tmp_path,
        timeout=300,
    )
    read = json.loads(reply.stdout.splitlines()[-1])
    assert read["class"] == "BertForSequenceClassification"
    largest = float(expected.abs().max())
    torch.testing.assert_close(torch.tensor(read["logits"]), expected, rtol=0, atol=1e-5 * largest)
    assert read["labels"] == [TOY_LABELS[index] for index in expected.argmax(-1)]


def test_any_other_model_stays_as_it_is(tiny_bert, tmp_path):
    folder = tmp_path / "model"
    load.base_model(tiny_bert, "classify", TOY_LABELS).save_pretrained(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    write_as_bert(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
