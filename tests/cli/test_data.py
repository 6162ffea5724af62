"""`studio data` says what a file holds, and how healthy it is, with an exit code that scripts can use."""

import json

import pytest

from studio import presets
from studio.cli.main import main


def inspect(capsys, *arguments):
    code = main(["data", *map(str, arguments)])
    output = capsys.readouterr()
    return code, output.out, output.err


@pytest.mark.parametrize("name", list(presets.samples()))
def test_a_sample_is_told_as_json(capsys, name):
    code, out, err = inspect(capsys, f"sample:{name}", "--json")
    card, report = presets.samples()[name], json.loads(out)
    assert (code, err) == (0, "")
    assert (report["task"], report["roles"], report["rows"], report["skipped"]) == (
        card.task,
        card.columns,
        card.rows,
        0,
    )
    assert isinstance(report["problems"], list)
    assert report["score"] >= 90


def test_a_file_with_faults_is_told_with_each_of_them(capsys, tmp_path):
    path = tmp_path / "tickets.csv"
    rows = [f"why is lamp {n} so dim today,Because bulb {n} is old and should be changed" for n in range(20)]
    path.write_text(
        "\n".join(["question,answer", *rows, rows[0], "asked only,", "one,two,three"]) + "\n",
        encoding="utf-8",
    )
    code, out, _ = inspect(capsys, path, "--json", "--method", "full")
    report = json.loads(out)
    assert code == 0
    assert (report["task"], report["rows"], report["skipped"], report["examples"]) == ("chat", 22, 2, 21)
    assert report["damaged"][0]["row"] == 24
    kinds = {problem["kind"]: problem for problem in report["problems"]}
    assert {"duplicates", "empty", "few"} <= set(kinds)
    assert kinds["duplicates"]["rows"] == [21]
    assert kinds["duplicates"]["fix"]
    _, words, _ = inspect(capsys, path)
    assert "task    chat" in words


def test_another_task_may_be_asked_for(capsys):
    code, out, _ = inspect(capsys, "sample:support-tone", "--task", "prompts", "--json")
    assert (code, json.loads(out)["task"]) == (0, "prompts")


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("a.csv", b"", "is empty (0 bytes)"),
        ("a.csv", b"prompt,response\na,b\n", "“a.csv” has 1 complete example"),
        ("a.pdf", b"%PDF-1.7 x", "PDF"),
    ],
)
def test_what_cannot_be_used_ends_with_a_sentence(capsys, tmp_path, name, content, sentence):
    path = tmp_path / name
    path.write_bytes(content)
    code, out, err = inspect(capsys, path)
    assert (code, out) == (2, "")
    assert sentence in err
    assert len(err.splitlines()) == 1


def test_a_file_that_is_not_there_ends_with_a_sentence(capsys, tmp_path):
    code, _, err = inspect(capsys, tmp_path / "nothing.csv")
    assert code == 2
    assert "no file “nothing.csv”" in err
