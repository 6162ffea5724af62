"""`studio doctor` says what this machine can do."""

from studio.cli.main import main


def test_the_doctor_says_what_this_machine_can_do(capsys):
    assert main(["doctor"]) == 0
    out = capsys.readouterr().out
    for fact in (
        "Python 3.",
        "memory: ",
        "disk: ",
        "runs: 0",
        "smollm2-135m: not here yet",
        "hub: does not answer",
        "torch 2.",
    ):
        assert fact in out
