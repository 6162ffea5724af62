"""The child process that reads and checks data sets: counted tokens, and unexpected errors."""

import io
import json
import sys

import pytest

from studio.data import import_job
from studio.i18n import Message

SHORT_ANSWER, LONG_ANSWER = "no", "a long, long answer"


@pytest.mark.parametrize(
    ("base", "examples", "texts", "template_tokens"),
    [
        (
            "tiny_chat",
            [{"prompt": "cat", "response": "dog"}, {}],
            ["cat\ndog", ""],
            import_job.CHAT_TEMPLATE_TOKENS,
        ),
        ("tiny_chat", [{"prompt": "cat"}], ["cat"], import_job.CHAT_TEMPLATE_TOKENS),
        (
            "tiny_chat",
            [
                {"prompt": "cat", "chosen": SHORT_ANSWER, "rejected": LONG_ANSWER},
                {"prompt": "cat", "chosen": LONG_ANSWER, "rejected": SHORT_ANSWER},
            ],
            [f"cat\n{LONG_ANSWER}"] * 2,
            import_job.CHAT_TEMPLATE_TOKENS,
        ),
        ("tiny_bert", [{"text": "cat", "label": "pet"}], ["cat"], 0),
    ],
    ids=["chat", "prompts", "the longer answer of a pair", "a text to classify has no template"],
)
def test_tokens_are_counted_of_what_the_model_reads(
    base, examples, texts, template_tokens, request, monkeypatch
):
    from tokenizers import Tokenizer

    monkeypatch.setattr(import_job, "_report_progress", lambda *_: None)
    folder = request.getfixturevalue(base)
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    expected = [len(tokenizer.encode(text).ids) + template_tokens if text else 0 for text in texts]
    assert import_job.count_tokens(examples, str(folder)) == expected


def test_an_unknown_error_while_reading_speaks_of_the_data_and_of_no_run(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", io.StringIO(json.dumps({"do": "judge"})))
    assert import_job.main() == 0
    reply = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert "does not know" in reply["problem"]["text"]
    assert Message.from_json(reply["to_do"]).text == import_job.TRY_SMALLER_PART.text
