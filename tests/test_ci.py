"""What CI does besides the tests: known holes in what is installed are a warning, never a failure."""

import http.server
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

AUDIT = Path(__file__).parent.parent / ".ci" / "audit"


@pytest.fixture
def audit(tmp_path):
    """`audit(index, exit_code)`: the script, with a pip-audit that finds what it is told."""

    def run(index, exit_code):
        folder = tmp_path / "pip_audit"
        folder.mkdir(exist_ok=True)
        (folder / "__init__.py").touch()
        (folder / "__main__.py").write_text(
            f"print('audited')\nraise SystemExit({exit_code})\n", encoding="utf-8"
        )
        path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
        environment = {**os.environ, "PATH": path, "PYTHONPATH": str(tmp_path), "AUDIT_INDEX": index}
        environment["PYTHONDONTWRITEBYTECODE"] = (
            "1"  # else the next call finds this one's, as long and as old
        )
        return subprocess.run([AUDIT], env=environment, capture_output=True, text=True, check=False)

    return run


@pytest.fixture
def index():
    """An address that answers."""
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()


@pytest.mark.skipif(sys.platform == "win32", reason="CI runs on Linux")
def test_a_known_hole_is_a_warning_and_no_index_is_no_audit(audit, index):
    clean, holes, offline = audit(index, 0), audit(index, 1), audit("http://127.0.0.1:9/", 1)
    assert [done.returncode for done in (clean, holes, offline)] == [0, 0, 0]
    assert "audited" in clean.stdout
    assert "warning" not in clean.stderr
    assert "warning" in holes.stderr
    assert "skipped" in offline.stdout
    assert "audited" not in offline.stdout
