"""`studio doctor` says what this machine can do."""

import pytest

from studio.cli.main import main


@pytest.mark.thorough
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
        "training runs on the processor and computes in float32",
    ):
        assert fact in out


@pytest.mark.exhaustive
def test_the_doctor_says_that_a_device_of_that_name_does_not_exist(capsys, monkeypatch):
    monkeypatch.setenv("STUDIO_DEVICE", "tpu")
    assert main(["doctor"]) == 0
    assert "STUDIO_DEVICE is “tpu”, and there is no such kind of device. Set it to" in capsys.readouterr().out
