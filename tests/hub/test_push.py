"""A run goes to the hub by the real client: to a private repository, resumable, and refused in sentences."""

import json
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from refusals import assert_message
from stand_in import OTHERS_TOKEN, READ_TOKEN, TOKEN

from studio import runs
from studio.errors import NotPossible
from studio.export import registry
from studio.hub import account, push, refusals
from studio.hub.refusals import HubRefused


@pytest.fixture
def ada(hub):
    return account.sign_in(TOKEN)


def expect_refusal(action, message, **values):
    with pytest.raises(HubRefused) as caught:
        action()
    assert_message(caught.value, message, **values)
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("method", "form", "folder", "file"),
    [
        ("lora", push.DATA_FORM, "datasets/", "train.jsonl"),
        pytest.param("lora", "adapter", "", "adapter_model.safetensors", marks=pytest.mark.exhaustive),
        pytest.param("lora", "merged", "", "model.safetensors", marks=pytest.mark.exhaustive),
        pytest.param("qat", "packed", "", "model.safetensors", marks=pytest.mark.exhaustive),
    ],
)
def test_a_form_arrives_whole_in_a_private_repository(method, form, folder, file, finished, hub, ada):
    prepared = push.prepare(finished(method), form, "tone", ada)
    consent = prepared.consent(ada)
    assert consent.values["size"] == push.format_size(prepared.size_bytes)
    assert consent.values["address"] == f"{hub.address}/{folder}ada/tone"
    assert consent.values["visibility"] == push.PRIVATE
    assert hub.repos == {}, "nothing is made before the person agrees"
    seen = []
    address = push.upload(prepared, ada, lambda done, total: seen.append((done, total)))
    repo = hub.repos["ada/tone"]
    assert address == f"{hub.address}/{folder}ada/tone"
    assert repo.private
    local = {path.relative_to(prepared.folder).as_posix(): path.read_bytes() for path in prepared.files}
    assert repo.files == local
    assert {"README.md", file} <= set(repo.files)
    assert seen[0][0] == 0.0
    assert seen[-1][0] == seen[-1][1] == prepared.size_bytes / 1e6


def test_a_push_that_breaks_off_goes_on_behind_what_arrived(finished, hub, ada, monkeypatch):
    monkeypatch.setattr(push, "LARGE_FILE_BYTES", 1_000)
    prepared = push.prepare(finished(), push.DATA_FORM, "tone", ada)
    batches = push._batches(prepared.files)
    assert len(batches) > 1
    hub.broken_commits = {len(batches)}
    with pytest.raises(HubRefused):
        push.upload(prepared, ada)
    hub.broken_commits = set()
    arrived = dict(hub.repos["ada/tone"].files)
    n_commits = len(hub.repos["ada/tone"].commits)
    assert arrived
    push.upload(prepared, ada)
    repo = hub.repos["ada/tone"]
    assert set(repo.files) == {path.relative_to(prepared.folder).as_posix() for path in prepared.files}
    assert len(repo.commits) == n_commits + 1, "what had arrived is not committed again"


def test_half_of_what_was_to_be_written_is_not_taken_for_all_of_it(finished, hub, ada, monkeypatch):
    write = push.dataset_folder.write

    def break_off(run, folder):
        write(run, folder)
        (folder / "README.md").unlink()
        raise KeyboardInterrupt

    run = finished()
    with monkeypatch.context() as patch:
        patch.setattr(push.dataset_folder, "write", break_off)
        with pytest.raises(KeyboardInterrupt):
            push.prepare(run, push.DATA_FORM, "tone", ada)
    assert "README.md" in {path.name for path in push.prepare(run, push.DATA_FORM, "tone", ada).files}


def test_what_an_earlier_upload_left_of_a_model_is_replaced_and_nothing_else(hub, ada, tmp_path):
    for name in ("config.json", "model.safetensors", "README.md"):
        (tmp_path / name).write_text("{}", encoding="utf-8")
    prepared = push.Upload(tmp_path, push.DATA_LABEL.format(), "ada/tone")
    push.upload(prepared, ada)
    earlier = ("adapter_config.json", "adapter_model.safetensors", "model-00001-of-00002.safetensors")
    by_hand = (
        ".gitattributes",
        "notes.md",
        "old/config.json",
        "mine.safetensors",
        "model-f16.gguf",
        "train.jsonl",
    )
    hub.repos["ada/tone"].files |= dict.fromkeys((*earlier, *by_hand), b"{}")
    push.upload(prepared, ada)
    assert set(hub.repos["ada/tone"].files) == {"config.json", "model.safetensors", "README.md", *by_hand}


def test_what_goes_to_a_team_is_not_said_to_be_seen_by_one_alone(finished, ada):
    prepared = push.prepare(finished(), push.DATA_FORM, "acme/tone", ada)
    assert prepared.consent(ada).values["visibility"] == push.PRIVATE_TO_TEAM.format(team="acme")


def test_the_data_of_a_run_opens_as_a_data_set_with_its_parts(finished, hub, ada):
    from datasets import load_dataset

    run = finished("lora")
    prepared = push.prepare(run, push.DATA_FORM, "tone-data", ada)
    assert prepared.warning == push.DATA_LEAVES
    assert push.upload(prepared, ada) == f"{hub.address}/datasets/ada/tone-data"
    assert hub.repos["ada/tone-data"].kind == "dataset"
    front_matter = yaml.safe_load(hub.repos["ada/tone-data"].files["README.md"].decode().split("---")[1])
    parts = {file["split"]: file["path"] for file in front_matter["configs"][0]["data_files"]}
    opened = load_dataset(
        "json", data_files={name: str(prepared.folder / path) for name, path in parts.items()}
    )
    data = runs.report(run)["data"]
    assert {name: len(rows) for name, rows in opened.items()} == {name: data[name] for name in parts}


def test_a_public_repository_of_that_name_gets_nothing(finished, hub, ada):
    prepared = push.prepare(finished(), push.DATA_FORM, "tone", ada)
    push.upload(replace(prepared, is_private=False), ada)
    hub.repos["ada/tone"].files.clear()
    expect_refusal(lambda: push.upload(prepared, ada), push.IS_PUBLIC, repo="ada/tone")
    assert hub.repos["ada/tone"].files == {}


@pytest.mark.parametrize("token", ["hf_wrong", "a b", "ключ", "hf_x\nHost: evil"])
def test_a_wrong_token_is_a_sentence(token, hub):
    expect_refusal(lambda: account.sign_in(token), refusals.WRONG_TOKEN)


def test_no_token_and_one_that_only_reads_are_sentences(hub):
    expect_refusal(lambda: account.sign_in("  "), account.NO_TOKEN)
    expect_refusal(lambda: account.sign_in(READ_TOKEN), account.READ_ONLY, name="ada")


def test_another_persons_name_is_refused(finished, hub, ada):
    prepared = push.prepare(finished(), push.DATA_FORM, "bob/tone", ada)
    expect_refusal(lambda: push.upload(prepared, ada), refusals.NO_RIGHTS, repo="bob/tone")
    assert account.sign_in(OTHERS_TOKEN).full_name("tone") == "bob/tone"


@pytest.mark.parametrize("name", ["", "a/b/c", "-x", "über", "x" * 200, "../x"])
def test_what_cannot_be_a_name_is_refused_before_anything_is_written(name, finished, hub, ada):
    run = finished()
    expect_refusal(lambda: push.prepare(run, push.DATA_FORM, name, ada), refusals.BAD_NAME)
    assert not push.uploads_folder(run).exists()


@pytest.mark.parametrize(
    ("part", "status", "code", "message"),
    [
        ("/commit/", 402, "", refusals.NOT_PAID),
        ("/commit/", 403, "", refusals.NO_RIGHTS),
        ("/preupload/", 403, "GatedRepo", refusals.NOT_ACCEPTED),
        ("/preupload/", 404, "RepoNotFound", refusals.NO_SUCH_PLACE),
        ("/repos/create", 402, "", refusals.NOT_PAID),
        ("/repos/create", 400, "", refusals.BROKE_OFF),
    ],
)
def test_each_refusal_of_the_hub_is_a_sentence(part, status, code, message, finished, hub, ada):
    prepared = push.prepare(finished(), push.DATA_FORM, "tone", ada)
    hub.refuse("POST", part, status, "the hub's reason", code)
    expect_refusal(lambda: push.upload(prepared, ada), message)


def test_without_a_network_it_says_so(hub, monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    expect_refusal(lambda: account.sign_in(TOKEN), refusals.NO_NETWORK)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    expect_refusal(lambda: account.sign_in(TOKEN), refusals.NO_NETWORK)


def test_a_form_that_a_run_does_not_have_is_refused(finished, hub, ada):
    with pytest.raises(NotPossible) as caught:
        push.prepare(finished(), "../x", "tone", ada)
    assert_message(caught.value, push.UNKNOWN_FORM, form="../x")


def test_paths_of_this_machine_and_rows_of_a_check_stay_here(make_plan, tmp_path):
    run = runs.create(make_plan())
    shutil.copyfile(run.folder / "plan.yaml", tmp_path / "plan.yaml")
    check = {"form": "adapter", "replay": {"n": 8, "samples": [{"question": "my secret row"}]}}
    (tmp_path / "export.json").write_text(json.dumps(check), encoding="utf-8")
    push.remove_private(tmp_path)
    plan = yaml.safe_load((tmp_path / "plan.yaml").read_text(encoding="utf-8"))
    original = run.plan.model_dump(mode="json")
    assert plan["model"] == Path(original["model"]).name
    assert plan["data"]["source"] == Path(original["data"]["source"]).name
    assert plan["method"] == original["method"]
    assert json.loads((tmp_path / "export.json").read_text(encoding="utf-8"))["replay"] == {
        "n": 8,
        "samples": [],
    }


def test_what_was_prepared_and_never_uploaded_goes_after_a_week(finished, hub, ada):
    prepared = push.prepare(finished(), push.DATA_FORM, "tone", ada)
    push.remove_stale()
    assert prepared.folder.is_dir()
    old = time.time() - push.KEEP_SECONDS - 60
    os.utime(prepared.folder, (old, old))
    push.remove_stale()
    assert not prepared.folder.exists()


def test_a_file_that_scores_worse_is_told_before_it_leaves(tmp_path):
    estimate = {"value": 0.9, "low": 0.8, "high": 1.0}
    worse = {"value": 0.5, "low": 0.3, "high": 0.7, "is_better": False, "is_worse": True}
    replay = {
        **{
            "runtime": "transformers",
            "measure": "hits",
            "kind": "hits",
            "split": "test",
            "n": 20,
            "n_rows": 20,
        },
        **{"before": estimate, "after": {**estimate, "value": 0.4}, "prompts": [], "samples": []},
        "difference": {**worse, "n_better": 0, "n_worse": 10, "visible": 0.1},
    }
    (tmp_path / "export.json").write_text(json.dumps({"replay": replay}), encoding="utf-8")
    warning = push.check_warning(tmp_path, "adapter")
    assert warning
    assert warning.render("zh") != warning.render("en")
    (tmp_path / "export.json").unlink()
    assert push.check_warning(tmp_path, "adapter") is None


def test_the_token_is_written_nowhere(finished, hub, ada, studio_home):
    prepared = push.prepare(finished(), push.DATA_FORM, "tone", ada)
    push.upload(prepared, ada)
    assert TOKEN not in repr(ada)
    for path in studio_home.rglob("*"):
        assert not path.is_file() or TOKEN.encode() not in path.read_bytes(), path
    assert all(TOKEN.encode() not in content for content in hub.repos["ada/tone"].files.values())


def test_every_form_has_a_name_on_the_page(finished):
    for form in push.available_forms(finished()):
        assert push.form_label(form).render("zh") != push.form_label(form).render("en")
    assert push.DATA_FORM not in {export_format.name for export_format in registry.EXPORT_FORMATS}
    assert json.dumps(push.DATA_LABEL.to_json())
