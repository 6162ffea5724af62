"""Nothing is learned that nobody said: the field cases are read right, or doubted aloud."""

import pytest
from composed_tables import compose
from desk_layouts import DESKS
from field_cases import CASES
from public_layouts import LAYOUTS
from readings import comparable, is_right

from studio.data import examples
from studio.data.quality import health
from studio.data.readers.read import read_table
from studio.data.schema import infer_roles
from studio.errors import BadData


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


@pytest.mark.parametrize("name", [*LAYOUTS, *DESKS])
def test_what_is_called_sure_is_read_right(tmp_path, name):
    file_name, content, readings = {**LAYOUTS, **DESKS}[name]
    (tmp_path / file_name).write_bytes(content)
    right, guess, _ = is_right(tmp_path / file_name, [(*reading, 1) for reading in readings])
    assert right or not guess.is_confident


@pytest.mark.parametrize("seed", range(40))
def test_a_composed_table_is_read_right_or_not_called_sure(tmp_path, seed):
    file_name, content, (task, roles), is_rated = compose(seed)
    (tmp_path / file_name).write_bytes(content)
    guess = infer_roles.guess_roles(read_table(tmp_path / file_name))
    is_right = (guess.task, guess.columns) == (task, {**guess.columns, **roles}) and not is_rated
    is_compared = is_rated and guess.task == "prefer"
    assert is_right or is_compared or not guess.is_confident
