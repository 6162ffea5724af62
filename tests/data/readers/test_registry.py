"""A new file format is one reader in the registry: recognised, read, imported and listed by that alone."""

import argparse
import io
import zipfile

import pytest

from studio.cli import data
from studio.data import readers, store
from studio.data.readers import detect, header, sandbox
from studio.data.readers.read import read_pasted_text, read_table
from studio.data.readers.rows import LineStream, ParsedRows
from studio.data.readers.spec import Reader, SourceFile
from studio.errors import BadData
from studio.i18n import Message
from studio.ui.data import messages

EXPECTED_TICKETS = Message("Each ticket must hold lines such as “text: late”. {first}")
NO_COLON = Message("has no colon")
TICKETS = "tickets\ntext: late\nlabel: delivery\n\ntext: twice\nlabel: billing\n"
ROWS = ({"text": "late", "label": "delivery"}, {"text": "twice", "label": "billing"})
BINARY_TICKETS = b"TKTS\x01text,label;late,delivery;twice,billing"


def read_tickets(source):
    """Tickets divided by blank lines, with a name and a value a line."""
    source.on_progress(0, len(source.text))
    tickets, bad_lines = [], []
    for number, ticket in enumerate(source.text.removeprefix("tickets\n").strip().split("\n\n"), 1):
        lines = [line.partition(": ") for line in ticket.splitlines()]
        if lines and all(separator for _, separator, _ in lines):
            tickets.append({name: value for name, _, value in lines})
        else:
            bad_lines.append((number, NO_COLON))
    return ParsedRows(tuple(tickets[0]) if tickets else (), tickets, bad_lines)


def open_binary_tickets(source):
    lines = source.path.read_bytes()[5:].decode().split(";")
    numbered = ((number, line.split(",") if line else None) for number, line in enumerate(lines, 1))
    return LineStream(numbered, total=len(lines))


TEXT_READER = Reader(
    name="tickets",
    label=Message("help desk tickets"),
    extensions=(".tickets",),
    read=read_tickets,
    matches=lambda source: source.text_start.startswith("tickets\n"),
    names_columns=True,
    expected_content=EXPECTED_TICKETS,
)
BINARY_READER = Reader(
    name="binary_tickets",
    label="TKTS",
    extensions=(".tkts",),
    read=open_binary_tickets,
    magic=(b"TKTS",),
    sandboxed=True,
)


@pytest.fixture
def more_readers(monkeypatch):
    """The registry with two formats that only these tests have; the sandbox works in this process."""
    monkeypatch.setattr(readers, "READERS", (TEXT_READER, BINARY_READER, *readers.READERS))
    monkeypatch.setattr(sandbox, "read_in_subprocess", sandbox.run_request)


def write(tmp_path, content, name="may.tickets"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("name", ["may.tickets", "may.csv", "may"])
def test_a_new_format_is_recognised_by_its_content(tmp_path, more_readers, name):
    source = SourceFile(name, write(tmp_path, TICKETS, name))
    assert detect.detect_reader(source) is TEXT_READER
    assert read_table(source.path).rows == ROWS


def test_a_new_format_is_read_from_a_zip_and_from_a_paste(tmp_path, more_readers):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("may.tickets", TICKETS)
        archive.writestr("june.csv", "text,label\nlost,delivery\n")
    assert read_table(write(tmp_path, file.getvalue(), "a.zip")).rows == (
        *ROWS,
        {"text": "lost", "label": "delivery"},
    )
    pasted = read_pasted_text(TICKETS)
    assert (pasted.name, pasted.rows) == ("pasted.tickets", ROWS)


def test_a_new_format_is_imported_as_a_data_set(tmp_path, more_readers, studio_home):
    progress = []
    dataset = store.add(
        write(tmp_path, TICKETS), on_progress=lambda done, total: progress.append((done, total))
    )
    assert dataset.path.name == "original.tickets"
    assert store.find(dataset.source).table().rows == ROWS
    assert [saved.source for saved in store.list_datasets()] == [dataset.source]
    size_mb = len(TICKETS) / 1e6
    assert (progress[0], progress[-1]) == ((0, size_mb), (size_mb, size_mb))


def test_a_new_format_is_listed_where_formats_are(more_readers):
    assert {".tickets", ".tkts"} <= set(readers.accepted_extensions())
    labels = readers.format_labels(archives=False)
    assert TEXT_READER.label in labels
    assert [label for label in labels if label == "TKTS"] == ["TKTS"]
    assert "zip" in readers.format_labels() and "zip" not in labels
    assert not readers.may_lack_header(".tickets")
    assert readers.may_lack_header(".tkts")


def test_the_command_line_and_the_page_list_the_formats(more_readers):
    parser = argparse.ArgumentParser(prog="studio data")
    data.add_arguments(parser)
    assert "TKTS" in parser.format_help()
    assert set(messages.UPLOAD_EXAMPLES.values) == {"formats"}


def test_a_new_format_says_itself_what_a_file_must_hold(tmp_path, more_readers):
    with pytest.raises(BadData) as caught:
        read_table(write(tmp_path, "tickets\nlate\n"))
    assert caught.value.hint.text == EXPECTED_TICKETS.text
    assert caught.value.hint.values["first"].values == {"line": 1, "why": NO_COLON}


def test_a_new_binary_format_runs_in_the_sandbox_and_may_end_in_damage(tmp_path, more_readers):
    requests = []
    run_request = sandbox.read_in_subprocess

    def record_request(request):
        requests.append(request["reader"])
        return run_request(request)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sandbox, "read_in_subprocess", record_request)
        assert read_table(write(tmp_path, BINARY_TICKETS, "may.tkts")).rows == ROWS
        damaged = read_table(write(tmp_path, BINARY_TICKETS + b";", "may.tkts"))
    assert requests == ["binary_tickets"] * 2
    assert (damaged.rows, damaged.bad_lines) == (ROWS, ((4, header.REST_UNREADABLE),))


def test_a_sheet_of_a_new_format_is_refused_where_it_has_none(tmp_path, more_readers):
    with pytest.raises(BadData) as caught:
        read_table(write(tmp_path, TICKETS), sheet="May")
    assert caught.value.message.values == {"name": "may.tickets", "sheet": "May"}


def test_names_and_extensions_of_the_formats_are_unique_and_running_text_is_last():
    names = [reader.name for reader in readers.READERS]
    extensions = readers.accepted_extensions()
    assert len(set(names)) == len(names)
    assert len(set(extensions)) == len(extensions)
    assert all(extension == extension.lower() and extension.startswith(".") for extension in extensions)
    assert readers.READERS[-1].name == "plain_text"
    assert [readers.get(name) for name in names] == list(readers.READERS)


def test_formats_that_native_code_parses_run_in_the_sandbox():
    assert {reader.name for reader in readers.READERS if reader.sandboxed} >= {"workbook", "parquet"}
