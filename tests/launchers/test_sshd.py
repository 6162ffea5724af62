"""A run over a real SSH connection: the system's own sshd on the loopback address, with keys of the test."""

import os
import shutil
import socket
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest
from bench_line import print_times

from studio import runs
from studio.launchers import follower, record
from studio.launchers.record import Record

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin")
needs_sshd = pytest.mark.skipif(
    not SSHD or not shutil.which("ssh-keygen") or os.geteuid() != 0,
    reason="needs root, sshd and ssh-keygen (apt-get install openssh-server)",
)
CONFIG = """
Port {port}
ListenAddress 127.0.0.1
HostKey {folder}/host_key
PidFile {folder}/sshd.pid
AuthorizedKeysFile {folder}/authorized_keys
StrictModes no
PasswordAuthentication no
UsePAM no
Subsystem sftp internal-sftp
ForceCommand cd {folder}/home && export HOME={folder}/home && sh -c "$SSH_ORIGINAL_COMMAND"
"""
CLIENT_CONFIG = """
Host real-box
  HostName 127.0.0.1
  Port {port}
  User root
  IdentityFile {folder}/key
  IdentitiesOnly yes
  UserKnownHostsFile {folder}/known_hosts
"""


@pytest.fixture
def real_box(tmp_path, monkeypatch, studio_home, add_machine):
    """The folder of an sshd of this test; `ssh real-box` reaches it."""
    folder = tmp_path / "sshd"
    (folder / "home").mkdir(parents=True)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    for name in ("host_key", "key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    shutil.copyfile(folder / "key.pub", folder / "authorized_keys")
    host_key = (folder / "host_key.pub").read_text(encoding="utf-8")
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {host_key}", encoding="utf-8")
    (folder / "config").write_text(CONFIG.format(port=port, folder=folder), encoding="utf-8")
    (folder / "ssh_config").write_text(CLIENT_CONFIG.format(port=port, folder=folder), encoding="utf-8")
    Path("/run/sshd").mkdir(exist_ok=True)
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", str(folder / "config")], stderr=subprocess.DEVNULL)
    program = folder / "ssh"
    program.write_text(f'#!/bin/sh\nexec /usr/bin/ssh -F {folder}/ssh_config "$@"\n', encoding="utf-8")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    add_machine(studio_home, "real", ssh="real-box", python=sys.executable)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield folder
    server.kill()
    server.wait()


@needs_sshd
@pytest.mark.exhaustive
def test_a_run_over_a_real_connection(real_box, make_plan, capsys):
    run = runs.create(make_plan("lora", "chat", epochs=2).model_copy(update={"where": "real"}))
    Record(agreed=True).write(run)
    started = time.monotonic()
    follower.follow(run.id)
    assert runs.status(run).state == "done", runs.status(run)
    assert runs.complete_report(run)["trained_at"] == "real"
    assert not list((real_box / "home" / ".studio-remote" / "home" / "runs").iterdir())
    assert record.read(run).first_event_seconds < 60
    print_times("sshd on loopback", record.read(run), time.monotonic() - started)


@needs_sshd
def test_a_key_that_is_not_taken_and_a_host_that_is_not_known_are_told(real_box, make_plan):
    from studio.launchers import ssh

    def refusal():
        run = runs.create(make_plan("lora", "chat").model_copy(update={"where": "real"}))
        Record(agreed=True).write(run)
        with pytest.raises(ssh.LauncherRefused) as caught:
            follower.follow(run.id)
        return caught.value.message.text

    (real_box / "authorized_keys").write_text("", encoding="utf-8")
    assert refusal() == ssh.KEY_REFUSED.text
    (real_box / "known_hosts").write_text("", encoding="utf-8")
    assert refusal() == ssh.UNKNOWN_HOST.text
