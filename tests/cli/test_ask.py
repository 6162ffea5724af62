"""`studio ask` prints what both models answer, with the weights that answered."""

import pytest

from studio import runs
from studio.cli.main import main


@pytest.mark.exhaustive
def test_both_answers_are_printed_with_their_weights(finished, capsys):
    run = finished("lora")
    assert main(["ask", "last", "where is my lamp", "--length", "30"]) == 0
    out = capsys.readouterr().out
    report = runs.report(run)
    assert f"base (tiny-chat, weights {report['base']['checksum']})\n" in out
    assert f"tuned (lora on toys, weights {report['tuned']['checksum']})\nThanks for asking" in out


def test_a_run_that_is_not_there_ends_with_one(capsys, tmp_path):
    assert main(["ask", "0" * 32, "hello"]) == 1
    assert main(["export", "last", "--to", "adapter", str(tmp_path / "out")]) == 1
    err = capsys.readouterr().err
    assert len(err.splitlines()) == 2
    assert "studio runs" in err
