"""A data set of the hub becomes one file here; a small server on this machine stands for the hub."""

import io
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import constants

from studio.data.readers import hub, hub_files, rows, sandbox
from studio.data.readers.read import read_table
from studio.errors import BadData
from studio.models import fetch

PARQUET, MAIN = "refs/convert/parquet", "main"


def parquet(*texts):
    file = io.BytesIO()
    pq.write_table(
        pa.table({"prompt": [f"question {text}" for text in texts], "response": list(texts)}), file
    )
    return file.getvalue()


class Stand(BaseHTTPRequestHandler):
    """Answers as the hub does for what a client asks of a data set: its list of files, and the files."""

    revisions: dict  # (repo, revision) -> {path: bytes}, or the error that the hub says
    asked: list

    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        path = unquote(urlsplit(self.path).path)
        self.asked.append(path)
        if path.startswith("/api/datasets/"):
            owner, name, _, revision = path.removeprefix("/api/datasets/").split("/", 3)
            found = self.revisions.get((f"{owner}/{name}", revision))
            if found is None:
                known = any(repo == f"{owner}/{name}" for repo, _ in self.revisions)
                return self.say(
                    404 if known else 401,
                    b"{}",
                    **{"X-Error-Code": "RevisionNotFound" if known else "RepoNotFound"},
                )
            if isinstance(found, int):
                return self.say(found, b"{}")
            siblings = [
                {"rfilename": file, "size": len(content), "blobId": "b"}
                for file, content in found["files"].items()
            ]
            return self.say(
                200, json.dumps({"id": f"{owner}/{name}", "sha": "a" * 40, "siblings": siblings}).encode()
            )
        repo, rest = path.removeprefix("/datasets/").split("/resolve/")
        revision = next(one for one in (PARQUET, MAIN) if rest.startswith(one))
        found = self.revisions[repo, revision]
        if found.get("gated"):
            return self.say(403, b"", **{"X-Error-Code": "GatedRepo"})
        content = found["files"][rest.removeprefix(f"{revision}/")]
        if found.get("cut"):
            return self.say(200, content, length=len(content) + 10)
        return self.say(200, content)

    def say(self, status, content, length=None, **headers):
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
def stand(monkeypatch):
    """A hub with the data sets that a test puts into it."""

    class Own(Stand):
        revisions, asked = {}, []

    server = ThreadingHTTPServer(("127.0.0.1", 0), Own)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        constants.ENDPOINT + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)

    def offer(repo, files, revision=PARQUET, **more):
        Own.revisions[repo, MAIN] = Own.revisions.get((repo, MAIN), {"files": {}})
        Own.revisions[repo, revision] = {"files": files, **more}
        return Own

    yield offer
    server.shutdown()
    server.server_close()


@pytest.fixture
def in_place(monkeypatch):
    """Parquet is read here and not in a process of its own, which takes its time to start."""
    monkeypatch.setattr(sandbox, "read_in_subprocess", sandbox.run_request)


@pytest.fixture
def folder(tmp_path):
    found = tmp_path / "incoming"
    found.mkdir()
    return found


def answers(path):
    return [row["response"] for row in read_table(path).rows]


def test_the_converted_training_part_is_taken_and_nothing_else_is_left_behind(stand, folder):
    own = stand(
        "some/set",
        {"default/test/0000.parquet": parquet("t"), "default/train/0000.parquet": parquet("a", "b")},
    )
    told = []
    path = hub.fetch(" some/set ", folder, lambda done, of: told.append((done, of)))
    assert path.name == "set (train).parquet"
    assert answers(path) == ["a", "b"]
    assert (
        told[-1][0]
        == told[-1][1]
        == len(own.revisions["some/set", PARQUET]["files"]["default/train/0000.parquet"]) / 1e6
    )
    assert list(folder.iterdir()) == [path]


def test_the_address_of_its_page_is_as_good_as_its_name(stand, in_place, folder):
    stand("some/set", {"default/train/0000.parquet": parquet("a")})
    assert answers(hub.fetch("https://huggingface.co/datasets/some/set/", folder)) == ["a"]


@pytest.mark.parametrize(
    ("asked", "name", "first"),
    [
        ("some/set", "set (en train).parquet", "en train"),
        ("some/set:test", "set (en test).parquet", "en test"),
        ("some/set:zh", "set (zh train).parquet", "zh train"),
        ("some/set:zh:test", "set (zh test).parquet", "zh test"),
    ],
)
def test_a_configuration_and_a_split_can_be_named(stand, in_place, folder, asked, name, first):
    parts = [(config, split) for config in ("en", "zh") for split in ("test", "train")]
    stand(
        "some/set",
        {f"{config}/{split}/0000.parquet": parquet(f"{config} {split}") for config, split in parts},
    )
    path = hub.fetch(asked, folder)
    assert path.name == name
    assert answers(path) == [first]


def test_a_part_that_is_not_there_is_told_with_those_that_are(stand, folder):
    stand("some/set", {"default/train/0000.parquet": parquet("a"), "default/test/0000.parquet": parquet("b")})
    with pytest.raises(BadData, match="has no part “german”; it has default:test, default:train"):
        hub.fetch("some/set:german", folder)


def test_of_many_files_those_that_fit_are_taken_and_the_name_says_so(stand, folder, monkeypatch):
    files = {f"default/train/{number:04}.parquet": parquet(f"row {number}") for number in range(4)}
    own = stand("some/set", files)
    monkeypatch.setattr(rows, "MAX_BYTES", 2 * len(files["default/train/0000.parquet"]) + 10)
    path = hub.fetch("some/set", folder)
    monkeypatch.undo()
    assert path.name == "set (train) first 2 rows.parquet"
    assert answers(path) == ["row 0", "row 1"]
    assert not [asked for asked in own.asked if "0002.parquet" in asked]


def test_of_many_rows_as_many_are_kept_as_a_data_set_may_have(stand, in_place, folder, monkeypatch):
    monkeypatch.setattr(rows, "MAX_ROWS", 3)
    stand("some/set", {f"default/train/{number}.parquet": parquet("a", "b") for number in range(4)})
    path = hub.fetch("some/set", folder)
    assert path.name == "set (train) first 3 rows.parquet"
    assert answers(path) == ["a", "b", "a"]


def test_a_part_the_hub_converted_the_beginning_of_says_so(stand, in_place, folder):
    stand("some/set", {"default/partial-train/0000.parquet": parquet("a")})
    assert hub.fetch("some/set", folder).name == "set (train) first 1 rows.parquet"


def test_pictures_are_left_where_they_are(stand, in_place, folder):
    file = io.BytesIO()
    pq.write_table(pa.table({"text": ["a cat"], "image": [{"bytes": b"\x89PNG", "path": "cat.png"}]}), file)
    stand("some/set", {"default/train/0000.parquet": file.getvalue()})
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
            {"data/train-00000-of-00001.parquet": parquet("a"), "dataset_infos.json": b"{}"},
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
def test_its_own_tables_are_taken_where_nothing_is_converted(stand, in_place, folder, files, name, expected):
    own = stand("some/set", files, MAIN)
    path = hub.fetch("some/set", folder)
    assert path.name == name
    assert answers(path) == expected
    assert not [asked for asked in own.asked if asked.endswith(".py")]


def test_a_data_set_that_is_only_a_script_is_refused_and_the_script_never_fetched(stand, folder):
    own = stand(
        "some/set", {"set.py": b"raise SystemExit", "README.md": b"# Set", ".gitattributes": b"x"}, MAIN
    )
    with pytest.raises(BadData, match="without running a script of its own"):
        hub.fetch("some/set", folder)
    assert not [asked for asked in own.asked if "/resolve/" in asked]


def test_a_file_that_is_too_large_is_refused_before_it_is_fetched(stand, folder, monkeypatch):
    own = stand("some/set", {"train.csv": b"prompt,response\n" + b"q,a\n" * 1_000_000}, MAIN)
    monkeypatch.setattr(rows, "MAX_BYTES", 2_000_000)
    with pytest.raises(BadData, match="first file of “some/set” has 4 MB; the limit is 2 MB"):
        hub.fetch("some/set", folder)
    assert not [asked for asked in own.asked if "/resolve/" in asked]


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("nobody/nothing", "does not hand out “nobody/nothing”: it is not there, or it is private"),
        ("some/gated", "its terms must be accepted first.*hf auth login"),
        ("some/broken", "The hub broke off while “some/broken” was fetched"),
        ("some/short", "The hub broke off while “some/short” was fetched"),
    ],
)
def test_what_the_hub_does_not_give_is_told_with_what_to_do(stand, folder, monkeypatch, asked, said):
    monkeypatch.setattr("time.sleep", lambda _: None)  # the client waits before it tries again
    stand("some/gated", {"default/train/0000.parquet": parquet("a")}, gated=True)
    stand("some/short", {"default/train/0000.parquet": parquet("a")}, cut=True)
    stand("some/broken", {}).revisions["some/broken", PARQUET] = 501
    with pytest.raises(BadData, match=said):
        hub.fetch(asked, folder)
    assert list(folder.iterdir()) == []


def test_without_a_hub_what_can_be_done_is_told(folder, monkeypatch):
    with pytest.raises(BadData, match=r"The hub does not answer from here.*drop it here"):
        hub.fetch("some/set", folder)  # the tests run offline
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(BadData, match="The hub does not answer from here"):
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
def test_what_is_no_name_of_a_data_set_is_told_with_what_can_be_typed(stand, folder, dataset):
    with pytest.raises(BadData, match=r"is not the name of a data set on the hub.*owner/name"):
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
