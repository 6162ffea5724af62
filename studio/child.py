"""The page's child processes: what they see of the environment (no tokens, no secrets, no network of their own accord), and how they answer."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

from studio.errors import StudioError
from studio.words import Words

PASSED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "VIRTUAL_ENV", "LD_LIBRARY_PATH", "STUDIO_HOME")
ROOT = Path(__file__).resolve().parent.parent
ALONE = {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "PYTHONSAFEPATH": "1", "THP_MEM_ALLOC_ENABLE": "1"}


def environment(given: Mapping[str, str], cards: bool = False, threads: int = 0, online: bool = False) -> dict[str, str]:
    """The environment of a process that reads and computes: `cards` lets it see the graphics card, `threads` bounds its threads, `online`
    lets it ask the hub."""
    kept = {name: value for name, value in given.items() if name in PASSED}
    kept["CUDA_VISIBLE_DEVICES"] = given.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0] if cards else ""
    if threads:
        kept["OMP_NUM_THREADS"] = str(threads)
    # The studio's own folder comes first, whatever lies where it was started.
    kept["PYTHONPATH"] = os.pathsep.join(filter(None, (str(ROOT), given.get("PYTHONPATH"))))
    kept |= ALONE
    if online:
        del kept["HF_HUB_OFFLINE"]
        kept |= {name: given[name] for name in ("HF_ENDPOINT",) if name in given}
        kept |= {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"} if given.get("STUDIO_OPEN") == "1" else {}  # a stranger asks in nobody's name
    return kept


def answers(module: str, question: Mapping[str, Any], silent: Words, to_do: Words, **seen: Any) -> Iterator[dict[str, Any]]:
    """Start `python -m module`, put a question to it as JSON, and yield its answers, one a line, until it ends.

    Closing the iterator ends the process. Raises StudioError (`silent` with {why}, `to_do`) where it breaks off, and what it says was
    wrong where an answer is {"problem": {"en": …, "zh": …}, "to_do": …}. `seen` goes to `environment`.
    """
    process = subprocess.Popen(  # noqa: S603 - the studio's own modules alone
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        start_new_session=True,
        env=environment(os.environ, **seen),
    )
    assert process.stdin and process.stdout and process.stderr
    try:
        process.stdin.write(json.dumps(question))
        process.stdin.close()
        for line in process.stdout:
            found = json.loads(line)
            if "problem" in found:
                raise StudioError(Words.of(found["problem"]), Words.of(found["to_do"]))
            yield found
        if process.wait():
            why = process.stderr.read().strip().splitlines()[-1:] or ["?"]
            raise StudioError(silent, to_do, why=why[0][:200])
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            stream.close()


# Where a child process writes its answers, where that is not its standard output of the moment.
OUT: list[IO[str]] = []


def say(answer: Mapping[str, Any]) -> None:
    """Write one answer, in a child process."""
    out = OUT[0] if OUT else sys.stdout
    out.write(json.dumps(answer, ensure_ascii=False) + "\n")
    out.flush()


def say_problem(error: StudioError) -> None:
    """Write what was wrong, in a child process."""
    both = {language: error.sentences(language) for language in ("en", "zh")}
    say({"problem": {name: said[0] for name, said in both.items()}, "to_do": {name: said[1] for name, said in both.items()}})
