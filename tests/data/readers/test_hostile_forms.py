"""Forms of data made to do harm: each is read or told within seconds, whatever it repeats or breaks off."""

import gzip
import json
import random
import time

import pytest
from data_damages import mutated, within
from field_cases import CASES
from refusals import raises_bad_data

from studio.data import examples
from studio.data.quality import health, mail_text
from studio.data.readers import gzip as gzip_reader
from studio.data.readers import rows, sandbox
from studio.data.readers.read import read_table
from studio.data.schema import infer_roles
from studio.data.text import chat_format, transcripts
from studio.errors import BadData

LONG = 200_000  # characters, the most that a cell may have
# Signs that the forms look for, each repeated to the length of the longest cell.
REPEATED = (
    *("### Human: ", "### Human:\n", "Human: a\n", "Q: a\n", "[INST] ", "[INST] a [/INST]", "<|im_start|>"),
    *("<|im_start|>user\n", "<|im_end|>", "<start_of_turn>user\n", "<|user|>", "<|start_header_id|>"),
    *(
        "\n\nHuman: a",
        "**A**: ",
        "\n>",
        "> \n",
        "\n-- \n",
        "\n--",
        "On a wrote:\n",
        "\nFrom: a\nSent",
        "-----",
    ),
    *(
        "\\n",
        "\\r\\n",
        "\\",
        "{{",
        "{{a",
        "[your ",
        "{a_",
        "%A_",
        "| ",
        "|-",
        "__label__a ",
        "张三 2024-05-01 ",
    ),
    *(
        "张三 2024-05-01 10:05\n",
        ",]",
        ", ",
        "//",
        "/*",
        '"',
        "'",
        "{'",
        "[",
        "[[",
        '{"role":',
        "问：",
        " \n",
    ),
)


@pytest.mark.parametrize("sign", REPEATED, ids=repr)
def test_a_sign_of_a_form_without_end_takes_no_time_without_end(sign):
    text = (sign * LONG)[:LONG]
    for parse in (
        transcripts.parse_transcript,
        transcripts.split_questions,
        chat_format.parse_messages,
        mail_text.insert_line_ends,
        mail_text.strip_mail_tail,
    ):
        start = time.monotonic()
        parse(text)
        parse(f"a\n{text}\nb")
        assert time.monotonic() - start < 2


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.csv", "a.jsonl", "a.json"])
def test_files_of_repeated_signs_are_read_or_told_soon(tmp_path, name):
    for sign in REPEATED:
        (tmp_path / name).write_text((sign * LONG)[:LONG], encoding="utf-8")
        with within(4):
            try:
                table = read_table(tmp_path / name)
                infer_roles.guess_roles(table)
            except BadData as error:
                assert all(error.sentences("en") + error.sentences("zh"))


def write_lines(path, make, count=12):
    path.write_text("\n".join(json.dumps(make(n)) for n in range(count)), encoding="utf-8")
    return path


def test_trees_that_lead_in_a_circle_end(tmp_path):
    node = {"message": {"author": {"role": "user"}, "content": {"parts": ["Hi there?"]}}}
    circle = {"a": {**node, "parent": "b"}, "b": {**node, "parent": "a"}}
    path = write_lines(tmp_path / "a.jsonl", lambda n: {"mapping": circle, "current_node": "a"})
    with within(5):
        table = read_table(path)
    assert [row["messages"].count("Hi there") > 0 for row in table.rows] == [True] * 12
    replies = write_lines(
        tmp_path / "b.jsonl",
        lambda n: {
            "id": str(n),
            "parent_id": str((n + 1) % 12),
            "role": ("user", "assistant")[n % 2],
            "text": f"This is message number {n} of a circle.",
        },
    )
    with within(5):
        assert len(read_table(replies).rows) == 12, "no row is the first: the table stays as it is"


def test_a_chain_of_a_hundred_thousand_replies_is_cut(tmp_path):
    lines = ["id,parent_id,role,text"]
    lines += [
        f"{n},{n - 1 if n else ''},{('user', 'assistant')[n % 2]},This is message number {n}."
        for n in range(100_000)
    ]
    (tmp_path / "a.csv").write_text("\n".join(lines), encoding="utf-8")
    with within(20):
        table = read_table(tmp_path / "a.csv")
    assert len(table.rows) == 1


def test_a_gzip_that_unpacks_to_far_more_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(rows, "MAX_BYTES", 3_000_000)
    (tmp_path / "a.csv.gz").write_bytes(gzip.compress(b"text,label\n" + b"a,b\n" * 2_000_000))
    with within(5), raises_bad_data(gzip_reader.UNPACKS_TO_MORE, name="a.csv.gz"):
        read_table(tmp_path / "a.csv.gz")


def test_a_gzip_within_a_gzip_is_not_read(tmp_path):
    (tmp_path / "a.csv.gz.gz").write_bytes(gzip.compress(gzip.compress(b"text,label\na,b\n")))
    with raises_bad_data(gzip_reader.IS_NESTED, name="a.csv.gz"):
        read_table(tmp_path / "a.csv.gz.gz")


NUMBERS = (float("inf"), float("nan"), 1e400, -0.0, 10**30, "1e999", True, None, [], {})


@pytest.mark.parametrize("number", NUMBERS, ids=repr)
def test_numbers_that_are_none_rate_nothing_and_break_nothing(tmp_path, number):
    path = write_lines(
        tmp_path / "a.jsonl",
        lambda n: {
            "prompt": f"What is the sum of {n} and one?",
            "generations": [f"It is {n + 1}, as I see it.", "I do not know that."],
            "ratings": [number, 1],
            "score": number,
        },
    )
    with within(5):
        table = read_table(path)
        guess = infer_roles.guess_roles(table)
        health.check_health(table, guess.task, guess.columns)
    assert len(table.rows) == 12


@pytest.mark.exhaustive
@pytest.mark.parametrize("case", CASES)
def test_a_damaged_field_case_is_learned_or_told_and_nothing_else(tmp_path, case, monkeypatch):
    monkeypatch.setattr(sandbox, "read_in_subprocess", sandbox.run_request)
    name, content, _ = CASES[case]
    chance = random.Random(f"7 {case}")
    for _ in range(4):
        (tmp_path / name).write_bytes(mutated(content, chance))
        start = time.monotonic()
        try:
            table = read_table(tmp_path / name)
            guess = infer_roles.guess_roles(table)
            examples.build_examples(table, guess.task, guess.columns)
            health.check_health(table, guess.task, guess.columns)
        except BadData as error:
            assert all(error.sentences("en") + error.sentences("zh"))
        assert time.monotonic() - start < 20
