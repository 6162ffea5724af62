"""What the tests of exports share: runs on several bases, and a reader that has no studio."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from export_cases import Case
from peft_cases import settings_of

READER = Path(__file__).parent / "reader.py"


class Reader:
    """A process that opens exported folders by the lines of their cards, and never imports the studio."""

    def __init__(self, log):
        command = [sys.executable, "-I", str(READER)]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=log, text=True)

    def read(self, folder, texts):
        """What the card's lines print, and the model's logits and continuations of texts."""
        request = {"folder": str(folder), "texts": list(texts)}
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        reply = json.loads(self.process.stdout.readline())
        assert "error" not in reply, reply["error"]
        return reply


@pytest.fixture(scope="session")
def reader(tmp_path_factory):
    with (tmp_path_factory.mktemp("reader") / "log.txt").open("w") as log:
        reader = Reader(log)
        yield reader
        reader.process.stdin.close()
        reader.process.wait()


@pytest.fixture(scope="session")
def export_bases(tiny_chat, tiny_bert, build_once):
    """`export_bases(name)`: the folder of a tiny base model."""
    from toys import save_in_16_bits, save_tiny_sentence_model

    builders = {
        "tiny-sentence": save_tiny_sentence_model,
        "tiny-chat-16": lambda folder: save_in_16_bits(tiny_chat, folder),
    }

    def get(name):
        return {"tiny-chat": tiny_chat, "tiny-bert": tiny_bert}.get(name) or build_once(name, builders[name])

    return get


@pytest.fixture(scope="session")
def problem_table(build_once):
    """`problem_table(role)`: a file of texts with several labels, or with a number."""
    from toys import write_problem_table

    def get(role):
        return (
            build_once(f"{role}-table", lambda folder: write_problem_table(folder / "t.csv", role)) / "t.csv"
        )

    return get


@pytest.fixture
def finished_case(finished, finished_plan, make_plan, export_bases, problem_table):
    """`finished_case(case)`: a run of a case that has ended well."""

    def get(case: Case):
        if case == Case(case.method, case.task):
            return finished(case.method, case.task)
        settings = settings_of(case.peft_type) if case.peft_type else {}
        plan = make_plan(case.method, case.task, settings, epochs=2)
        if case.base:
            plan = plan.model_copy(update={"model": str(export_bases(case.base))})
        if case.target:
            columns = {"text": "text", case.target: case.target}
            data = {"source": str(problem_table(case.target)), "columns": columns}
            plan = plan.model_copy(update={"data": plan.data.model_copy(update=data)})
        return finished_plan(str(case), plan)

    return get
