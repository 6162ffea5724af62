"""`studio cluster`: what stands in its way is a sentence, and nobody's processes are ended."""

import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from refusals import assert_message

from studio.cli import cluster as command
from studio.cli.main import main
from studio.errors import NotPossible
from studio.launchers import cluster, ray_jobs
from studio.processes import child_environment
from studio.storage import write_json


def test_without_ray_it_says_what_to_install(monkeypatch, capsys, studio_home):
    monkeypatch.setattr(cluster, "find_spec", lambda name: None)
    assert main(["cluster", "start"]) == 1
    assert cluster.INSTALL_RAY.render() in capsys.readouterr().err


def test_an_address_that_cannot_be_listened_at_is_named(monkeypatch, studio_home):
    monkeypatch.setattr(cluster, "find_spec", lambda name: True)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        for host, port in (("127.0.0.1", taken.getsockname()[1]), ("192.0.2.1", 8265), ("127.0.0.1", 70_000)):
            with pytest.raises(NotPossible) as caught:
                cluster.start(host, port)
            assert_message(caught.value, cluster.NO_ADDRESS, host=host, port=port)


def test_a_process_that_took_the_number_of_an_ended_cluster_is_left_alone(studio_home, capsys):
    record = {"pid": os.getpid(), "created": 1.0, "address": "http://127.0.0.1:8265", "cards": 0}
    write_json(studio_home / cluster.RECORD_FILE, record)
    assert cluster.find() is None
    assert main(["cluster", "stop"]) == 1
    assert cluster.START_ONE.render() in capsys.readouterr().err
    record["created"] = psutil.Process().create_time()
    write_json(studio_home / cluster.RECORD_FILE, record)
    assert cluster.find() == cluster.Cluster(**record)


def test_the_cluster_takes_the_token_that_this_side_asks_with(monkeypatch, studio_home):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "own")
    assert ray_jobs.find_token() == "own"
    assert child_environment(cluster.OPTIONS)["RAY_AUTH_TOKEN"] == "own"


@pytest.mark.exhaustive  # as tests/launchers/test_ray_cluster.py
def test_a_cluster_starts_with_a_token_and_leaves_nothing_behind(tmp_path):
    pytest.importorskip("ray")
    if not shutil.which("unshare") or subprocess.run(["unshare", "--net", "true"], check=False).returncode:
        pytest.skip("no network namespace can be made here")
    script = (
        "ip link set lo up; python -m studio cluster start && python -m studio cluster status;"
        " ls -l $HOME/.ray/auth_token; ss -ltnH | grep -v 127.0.0.1 && echo OPEN;"
        " python -m studio cluster stop; pgrep raylet || echo GONE"
    )
    home = tmp_path / "c"
    home.mkdir()
    result = subprocess.run(
        ["unshare", "--net", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", script],
        env={
            **os.environ,
            "HOME": str(home),
            "STUDIO_HOME": str(home / "studio"),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )
    said = result.stdout
    assert command.NO_JOBS.render() in said, said + result.stderr
    assert "-rw-------" in said
    assert "OPEN" not in said
    assert said.rstrip().endswith("GONE")
