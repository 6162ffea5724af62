"""Prints seconds from the command to the first page, and the memory of the page's process.

`python tests/bench/startup.py`.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import psutil


def once():
    """Start the studio on a free port with an empty home.

    Returns seconds to the first page and megabytes in memory.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as home:
        began = time.perf_counter()
        command = [sys.executable, "-m", "studio", "--port", str(port), "--home", home]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=dict(os.environ))
        try:
            while True:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=2) as answer:
                        answer.read()
                    break
                except (urllib.error.URLError, ConnectionError):
                    time.sleep(0.02)
            seconds = time.perf_counter() - began
            return seconds, psutil.Process(process.pid).memory_info().rss / 1e6
        finally:
            process.terminate()
            process.wait()


def bare():
    """The same with an empty Gradio page, to compare with."""
    code = (
        "import os, gradio\nwith gradio.Blocks() as page: gradio.Markdown('empty')\n"
        "page.launch(server_name='127.0.0.1', quiet=True, prevent_thread_lock=True, ssr_mode=False); "
        "os._exit(0)"
    )
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        stdout=subprocess.DEVNULL,
        env={**os.environ, "GRADIO_ANALYTICS_ENABLED": "False"},
    )
    return time.perf_counter() - began


if __name__ == "__main__":
    first = once()
    runs = [once() for _ in range(3)]
    plain = min(bare() for _ in range(2))
    print(f"first start (imports may not be cached): {first[0]:.2f} s, {first[1]:.0f} MB")
    print(
        f"next starts: {', '.join(f'{seconds:.2f} s' for seconds, _ in runs)}; page process {runs[-1][1]:.0f} MB"
    )
    print(
        f"an empty Gradio page in the same run: {plain:.2f} s; ratio {min(seconds for seconds, _ in runs) / plain:.2f}"
    )
