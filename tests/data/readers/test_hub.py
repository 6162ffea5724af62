"""A data set of the hub becomes one file here; a small server on this machine answers as the hub does."""

import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants
from refusals import raises_bad_data

from studio.data.readers import hub, hub_files, rows, sandbox
from studio.data.readers.read import read_table
from studio.models import fetch

PARQUET, MAIN = "refs/convert/parquet", "main"


def parquet_file(*texts):
    file = io.BytesIO()
    pq.write_table(
        pa.table({"prompt": [f"question {text}" for text in texts], "response": list(texts)}), file
    )
    return file.getvalue()


class HubHandler(BaseHTTPRequestHandler):
    """Answers as the hub does for what a client asks of a data set: its list of files, and the files."""

    revisions: dict  # (repo, revision) -> {path: bytes}, or the error that the hub says
    requested_paths: list

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.requested_paths.append(path)
        if path.startswith("/api/datasets/"):
            owner, name, _, revision = path.removeprefix("/api/datasets/").split("/", 3)
            content = self.revisions.get((f"{owner}/{name}", revision))
            if content is None:
                has_repo = any(repo == f"{owner}/{name}" for repo, _ in self.revisions)
                status, code = (404, "RevisionNotFound") if has_repo else (401, "RepoNotFound")
                return self.reply(status, b"{}", **{"X-Error-Code": code})
            if isinstance(content, int):
                return self.reply(content, b"{}")
            siblings = [
                {"rfilename": file, "size": len(raw), "blobId": "b"} for file, raw in content["files"].items()
            ]
            return self.reply(
                200, json.dumps({"id": f"{owner}/{name}", "sha": "a" * 40, "siblings": siblings}).encode()
            )
        repo, revision_path = path.removeprefix("/datasets/").split("/resolve/")
        revision = next(name for name in (PARQUET, MAIN) if revision_path.startswith(name))
        options = self.revisions[repo, revision]
        if options.get("gated"):
            return self.reply(403, b"", **{"X-Error-Code": "GatedRepo"})
        content = options["files"][revision_path.removeprefix(f"{revision}/")]
        if options.get("cut"):
            return self.reply(200, content, length=len(content) + 10)
        return self.reply(200, content)

    def reply(self, status, content, length=None, **headers):
        self.send_response(status)
        for name, value in {
            "ETag": '"e1"',
            "X-Repo-Commit": "a" * 40,
            "Content-Length": length or len(content),
            **headers,
        }.items():
            self.send_header(name, str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


@pytest.fixture
def fake_hub(monkeypatch):
    """A hub with the data sets that a test puts into it: call it with a data set's name and files."""

    class LocalHub(HubHandler):
        revisions, requested_paths = {}, []

    server = ThreadingHTTPServer(("127.0.0.1", 0), LocalHub)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        constants.ENDPOINT + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def offer(repo, files, revision=PARQUET, **more):
        LocalHub.revisions[repo, MAIN] = LocalHub.revisions.get((repo, MAIN), {"files": {}})
        LocalHub.revisions[repo, revision] = {"files": files, **more}
        return LocalHub

    yield offer
    server.shutdown()
    server.server_close()


@pytest.fixture
def without_sandbox(monkeypatch):
    """Parquet is read in this process, since the sandbox takes its time to start."""
    monkeypatch.setattr(sandbox, "read_in_subprocess", sandbox.run_request)


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "incoming"
    path.mkdir()
    return path


def answers(path):
    return [row["response"] for row in read_table(path).rows]


def test_the_converted_training_part_is_taken_and_nothing_else_is_left_behind(fake_hub, folder):
    handler = fake_hub(
        "some/set",
        {
            "default/test/0000.parquet": parquet_file("t"),
            "default/train/0000.parquet": parquet_file("a", "b"),
        },
    )
    reports = []
    path = hub.fetch(" some/set ", folder, lambda done, total: reports.append((done, total)))
    assert path.name == "set (train).parquet"
    assert answers(path) == ["a", "b"]
    size_mb = len(handler.revisions["some/set", PARQUET]["files"]["default/train/0000.parquet"]) / 1e6
    assert reports[-1] == (size_mb, size_mb)
    assert list(folder.iterdir()) == [path]


def test_the_address_of_its_page_is_as_good_as_its_name(fake_hub, without_sandbox, folder):
    fake_hub("some/set", {"default/train/0000.parquet": parquet_file("a")})
    assert answers(hub.fetch("https://huggingface.co/datasets/some/set/", folder)) == ["a"]


@pytest.mark.parametrize(
    ("dataset", "name", "first"),
    [
        ("some/set", "set (en train).parquet", "en train"),
        ("some/set:test", "set (en test).parquet", "en test"),
        ("some/set:zh", "set (zh train).parquet", "zh train"),
        ("some/set:zh:test", "set (zh test).parquet", "zh test"),
    ],
)
def test_a_configuration_and_a_split_can_be_named(fake_hub, without_sandbox, folder, dataset, name, first):
    parts = [(config, split) for config in ("en", "zh") for split in ("test", "train")]
    fake_hub(
        "some/set",
        {f"{config}/{split}/0000.parquet": parquet_file(f"{config} {split}") for config, split in parts},
    )
    path = hub.fetch(dataset, folder)
    assert path.name == name
    assert answers(path) == [first]


def test_a_part_that_is_not_there_is_told_with_those_that_are(fake_hub, folder):
    fake_hub(
        "some/set",
        {"default/train/0000.parquet": parquet_file("a"), "default/test/0000.parquet": parquet_file("b")},
    )
    with raises_bad_data(hub_files.NO_SUCH_PART, wanted="german", parts=["default:test", "default:train"]):
        hub.fetch("some/set:german", folder)


def test_of_many_files_those_that_fit_are_taken_and_the_name_says_so(fake_hub, folder, monkeypatch):
    files = {f"default/train/{number:04}.parquet": parquet_file(f"row {number}") for number in range(4)}
    handler = fake_hub("some/set", files)
    monkeypatch.setattr(rows, "MAX_BYTES", 2 * len(files["default/train/0000.parquet"]) + 10)
    path = hub.fetch("some/set", folder)
    monkeypatch.undo()
    assert path.name == "set (train) first 2 rows.parquet"
    assert answers(path) == ["row 0", "row 1"]
    assert not [path for path in handler.requested_paths if "0002.parquet" in path]


def test_of_many_rows_as_many_are_kept_as_a_data_set_may_have(fake_hub, without_sandbox, folder, monkeypatch):
    monkeypatch.setattr(rows, "MAX_ROWS", 3)
    fake_hub("some/set", {f"default/train/{number}.parquet": parquet_file("a", "b") for number in range(4)})
    path = hub.fetch("some/set", folder)
    assert path.name == "set (train) first 3 rows.parquet"
    assert answers(path) == ["a", "b", "a"]


def test_a_part_the_hub_converted_the_beginning_of_says_so(fake_hub, without_sandbox, folder):
    fake_hub("some/set", {"default/partial-train/0000.parquet": parquet_file("a")})
    assert hub.fetch("some/set", folder).name == "set (train) first 1 rows.parquet"


def test_pictures_are_left_where_they_are(fake_hub, without_sandbox, folder):
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["a cat"], "image": [{"bytes": b"\x89PNG", "path": "cat.png"}]}), file)
    fake_hub("some/set", {"default/train/0000.parquet": file.getvalue()})
    assert read_table(hub.fetch("some/set", folder)).columns == ("text",)


@pytest.mark.parametrize(
    ("files", "name", "expected"),
    [
        (
            {"train.csv": b"prompt,response\nq,a\n", "test.csv": b"prompt,response\nq,t\n"},
            "set (train).csv",
            ["a"],
        ),
        (
            {"data.jsonl": b'{"prompt": "q", "response": "a"}\n', "loader.py": b"raise SystemExit"},
            "set.jsonl",
            ["a"],
        ),
        (
            {"data/train-00000-of-00001.parquet": parquet_file("a"), "dataset_infos.json": b"{}"},
            "set (train).parquet",
            ["a"],
        ),
        (
            {
                f"data/train-{n}.jsonl": json.dumps({"prompt": "q", "response": f"a{n}"}).encode() + b"\n"
                for n in (1, 2)
            },
            "set (train).zip",
            ["a1", "a2"],
        ),
        ({"french/train.json": b'[{"prompt": "q", "response": "a"}]'}, "set (french train).json", ["a"]),
    ],
    ids=["csv", "jsonl", "parquet", "two files", "a folder for each configuration"],
)
def test_its_own_tables_are_taken_where_nothing_is_converted(
    fake_hub, without_sandbox, folder, files, name, expected
):
    handler = fake_hub("some/set", files, MAIN)
    path = hub.fetch("some/set", folder)
    assert path.name == name
    assert answers(path) == expected
    assert not [path for path in handler.requested_paths if path.endswith(".py")]


def test_a_data_set_that_is_only_a_script_is_refused_and_the_script_never_fetched(fake_hub, folder):
    handler = fake_hub(
        "some/set", {"set.py": b"raise SystemExit", "README.md": b"# Set", ".gitattributes": b"x"}, MAIN
    )
    with raises_bad_data(hub.NO_TABLES, hub="some/set"):
        hub.fetch("some/set", folder)
    assert not [path for path in handler.requested_paths if "/resolve/" in path]


def test_a_file_that_is_too_large_is_refused_before_it_is_fetched(fake_hub, folder, monkeypatch):
    handler = fake_hub("some/set", {"train.csv": b"prompt,response\n" + b"q,a\n" * 1_000_000}, MAIN)
    monkeypatch.setattr(rows, "MAX_BYTES", 2_000_000)
    with raises_bad_data(hub.FIRST_FILE_TOO_LARGE, hub="some/set", size=4.000016, limit=2.0):
        hub.fetch("some/set", folder)
    assert not [path for path in handler.requested_paths if "/resolve/" in path]


@pytest.mark.parametrize(
    ("dataset", "message", "values"),
    [
        ("nobody/nothing", hub.ACCESS_DENIED, {"why": hub.MISSING_OR_PRIVATE}),
        ("some/gated", hub.ACCESS_DENIED, {"why": hub.TERMS_NOT_ACCEPTED}),
        ("some/broken", hub.DOWNLOAD_FAILED, {}),
        ("some/short", hub.DOWNLOAD_FAILED, {}),
    ],
    ids=["missing", "gated", "broken", "cut short"],
)
def test_what_the_hub_does_not_give_is_told_with_what_to_do(
    fake_hub, folder, monkeypatch, dataset, message, values
):
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client waits before it tries again
    fake_hub("some/gated", {"default/train/0000.parquet": parquet_file("a")}, gated=True)
    fake_hub("some/short", {"default/train/0000.parquet": parquet_file("a")}, cut=True)
    fake_hub("some/broken", {}).revisions["some/broken", PARQUET] = 501
    with raises_bad_data(message, hub=dataset, **values):
        hub.fetch(dataset, folder)
    assert list(folder.iterdir()) == []


def test_without_a_hub_what_can_be_done_is_told(folder, monkeypatch):
    with raises_bad_data(hub.HUB_UNREACHABLE, hub="some/set"):
        hub.fetch("some/set", folder)  # the tests run offline
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with raises_bad_data(hub.HUB_UNREACHABLE, hub="some/set"):
        hub.fetch("some/set", folder)


@pytest.mark.parametrize(
    "dataset",
    [
        "squad",
        "../../etc/passwd",
        "a/b/c",
        "a b/c",
        "",
        "a/b:c:d:e",
        "https://example.org/a/b",
        "a/..",
        "-a/b-",
    ],
)
def test_what_is_no_name_of_a_data_set_is_told_with_what_can_be_typed(fake_hub, folder, dataset):
    with raises_bad_data(hub.INVALID_NAME, dataset=dataset):
        hub.fetch(dataset, folder)


def test_data_sets_are_named_by_the_rule_of_models():
    assert hub.DATASET_ID.pattern.startswith(f"({fetch.HUB_ID_PATTERN.pattern})")


def test_a_path_that_leads_elsewhere_is_no_file_of_a_data_set():
    sizes = {
        "../train.csv": 1,
        "/etc/train.csv": 1,
        "a\\..\\train.csv": 1,
        "data/../../train.csv": 1,
        "train.csv": 1,
    }
    assert [list(part.files) for part in hub_files.repo_parts(sizes)] == [["train.csv"]]
    assert hub_files.converted_parts({"../train/0.parquet": 1, "default/train/0.parquet": 1})[0].files == {
        "default/train/0.parquet": 1
    }
