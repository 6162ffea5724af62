"""Nothing is learned that nobody said: the field cases are read right, or doubted aloud."""

import json

import pytest
from field_cases import CASES

from studio.data import examples
from studio.data.quality import health
from studio.data.readers.read import read_table
from studio.data.schema import infer_roles
from studio.errors import BadData

LETTERS = {"user": "u", "assistant": "a", "system": "s"}


def comparable(example):
    """An example with its conversation as (role letter, text) pairs; a single turn as its two texts."""
    if "messages" not in example:
        return {role: text for role, text in example.items() if role != "group"}
    return {"messages": [(LETTERS[m["role"]], m["content"]) for m in json.loads(example["messages"])]}


def read(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(content)
    table = read_table(path)
    guess = infer_roles.guess_roles(table)
    built, _ = examples.build_examples(table, guess.task, guess.columns)
    return table, guess, built


@pytest.mark.parametrize("case", CASES)
def test_a_field_case_is_learned_right_or_refused_by_name(tmp_path, case):
    name, content, expected = CASES[case]
    if not expected.task:
        with pytest.raises(BadData) as refusal:
            read(tmp_path, name, content)
        assert expected.says in str(refusal.value)
        return
    table, guess, built = read(tmp_path, name, content)
    assert guess.task == expected.task
    if expected.example is not None:
        assert comparable(built[expected.index]) == expected.example
    if expected.count is not None:
        assert len(built) == expected.count
    if expected.sure is not None:
        assert guess.is_confident == expected.sure
    if expected.says and expected.task:
        assert any(
            expected.says in text for text in (*table.sheets, *(note.render() for note in table.notes))
        )
    if expected.finding:
        report = health.check_health(table, guess.task, guess.columns)
        assert expected.finding in [finding.kind for finding in report.findings]
