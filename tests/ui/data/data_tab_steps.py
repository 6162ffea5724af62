"""Steps that the tests of the Data tab share: uploads, and handlers called with the page's fields."""

import io
import json
import sys
import tempfile
from types import SimpleNamespace

import pandas as pd
import pytest
from form_fields import ENGLISH, form_fields

from studio import processes
from studio.data import import_job
from studio.errors import StudioError
from studio.i18n import Message
from studio.ui.data import health as health_panel
from studio.ui.data import row_browser
from studio.ui.data import tab as data_tab
from studio.ui.data.tab import CONTROL_COUNT, FIELD_COUNT
from studio.ui.form import packing

ROLES = {"prompt": "prompt", "response": "response"}
PAIRS_CSV = "prompt,chosen,rejected\n" + "".join(
    f"where is {n},It is here {n}.,no idea {n}\n" for n in range(20)
)
QUESTIONS_CSV = "question,answer\n" + "".join(f"What is {n} + {n}?,{2 * n}\n" for n in range(20))
TEXTS_CSV = "text\n" + "".join(f"Once upon a time there was number {n}.\n" for n in range(20))


def _conversation(n):
    return {"messages": [{"role": "user", "content": f"hi {n}"}, {"role": "assistant", "content": "hello"}]}


CONVERSATIONS_JSONL = "".join(json.dumps(_conversation(n)) + "\n" for n in range(20))
ALPACA_JSON = json.dumps(
    [
        {"instruction": f"sort list {n}", "input": "b, a" if n % 4 == 0 else "", "output": f"a, b and {n}"}
        for n in range(20)
    ]
)


_start_child = processes.stream_replies


def stream_replies_in_this_process(module, request, *arguments):
    """processes.stream_replies with the work of import_job done here; its replies come when it has ended.

    Others still get a child process: the sandbox would bound the memory of this process for good.
    """
    if module != import_job.MODULE:
        yield from _start_child(module, request, *arguments)
        return
    output = io.StringIO()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdin", io.StringIO(json.dumps(request)))
        patch.setattr(processes, "OUTPUT_STREAMS", [output])
        patch.setattr(tempfile, "tempdir", None)  # an import sets it for its process
        assert import_job.main() == 0
    for line in output.getvalue().split("\n")[:-1]:
        reply = json.loads(line)
        if "problem" in reply:
            raise StudioError(Message.from_json(reply["problem"]), Message.from_json(reply["to_do"]))
        yield reply


def read_outputs(values):
    """The outputs of a handler of the tab, by name."""
    notice, *updates = values
    columns, task, sheet, source = updates[CONTROL_COUNT : CONTROL_COUNT + 4]
    return SimpleNamespace(
        notice=notice,
        fields=updates[:FIELD_COUNT],
        problem_type=updates[FIELD_COUNT],
        columns=packing.unpack_mapping(columns),
        task=task,
        sheet=sheet,
        source=source,
    )


def upload(tmp_path, name, content):
    """Upload a file with this content; what the tab shows in the end."""
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    *_, last_values = data_tab.upload(str(path), ENGLISH)
    return read_outputs(last_values)


def change_columns(source, task, columns, *selected, browser_datasets=None):
    """Select other columns in the first fields; the remaining ones are empty."""
    return data_tab.change_columns(
        source,
        task,
        [source] if browser_datasets is None else browser_datasets,
        packing.pack_mapping(columns),
        ENGLISH,
        *selected,
        *(None,) * (FIELD_COUNT - len(selected)),
    )


def data_fields(source, columns=ROLES, task="chat", **changed):
    """The fields of the page with this data set and no model."""
    return form_fields(
        source=source, task=task, columns=columns, **{"model": "", "max_length": 256, **changed}
    )


def run_checks(source, columns=ROLES, task="chat", visitor=ENGLISH, **changed):
    """All reports of a check, the last of which is complete."""
    fields = data_fields(source, columns, task, **{"test": "", **changed})
    return list(health_panel.run_checks(visitor, **fields))


def finding_kinds(report):
    """The kinds of problem that a report names."""
    return [finding["kind"] for finding in report["findings"]]


def fix_finding(source, kind, columns=ROLES, test="", revision=0, report=None):
    """Press the fix of a finding: an iterator over source, revision, notice and report."""
    fields = {
        "source": source,
        "task": "chat",
        "columns": packing.pack_mapping(columns),
        "test": test,
        "content": report or {},
    }
    return health_panel.fix_finding([source], revision, SimpleNamespace(id=kind), ENGLISH, **fields)


def delete_rows(source, row_numbers, revision=0, browser_datasets=None, visitor=ENGLISH):
    """Delete rows: source, revision, notice and the emptied field; by default those of this browser."""
    datasets = [source] if browser_datasets is None else browser_datasets
    return row_browser.delete_rows(source, datasets, row_numbers, revision, visitor)


def read_first_page(source):
    """The first page of the rows, as the table of the page hands it to a handler."""
    page = row_browser.show_page(source, "", 1, ENGLISH)[0]["value"]
    return pd.DataFrame(page["data"], columns=page["headers"])
