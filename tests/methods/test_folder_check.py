"""A model folder is examined whole before a run: each fault is a sentence, none is left for after Start."""

import time

import pytest
from model_folders import CASES, SILENT_TEMPLATE, edit_json, make_folder, set_template

from studio import runs
from studio.cli import train as train_command
from studio.errors import ModelUnavailable
from studio.methods import folder_check
from studio.models import fetch, folder_files, load
from studio.training import worker
from studio.ui.method import base_model

by_case = pytest.mark.parametrize("name", CASES)
FATAL = [name for name, case in CASES.items() if case.is_fatal]
# One whose fault the files show, one that the tokenizer shows.
LOSE_SYSTEM = [name for name, case in CASES.items() if case.message == folder_check.SYSTEM_LOST]
SAMPLE = ["LFS pointer", "tokens beyond the embedding"]


def task_of(name):
    return "classify" if CASES[name].base == "tiny_bert" else "chat"


@pytest.fixture
def folder_of(request, tmp_path):
    """`folder_of(name)`: the folder of a case."""

    def make(name):
        return make_folder(name, request.getfixturevalue(CASES[name].base), tmp_path / "my model")

    return make


@by_case
def test_what_is_in_a_folder_is_said_with_what_to_do_next(folder_of, name):
    case = CASES[name]
    first, *others = folder_check.examine(folder_of(name), task_of(name))
    assert first.message.text == case.message.text
    assert first.is_fatal == case.is_fatal
    sentences = f"{first.message.render()} {first.to_do.render()}"
    assert "{" not in sentences.replace("{%", "")
    assert all(words in sentences for words in case.shows), sentences
    assert not any(finding.is_fatal for finding in others)


@pytest.mark.parametrize("base", ["tiny_chat", "tiny_bert", "tiny_pooled_bert"])
def test_of_a_sound_folder_nothing_is_said(request, base):
    task = "chat" if base == "tiny_chat" else "classify"
    assert folder_check.examine(request.getfixturevalue(base), task) == []


def test_a_child_process_examines_and_the_same_folder_only_once(folder_of):
    folder = folder_of("tokens beyond the embedding")
    findings = folder_check.check(folder, "chat")
    assert findings == folder_check.examine(folder, "chat")
    started_at = time.perf_counter()
    assert folder_check.check(folder, "chat") == findings
    assert time.perf_counter() - started_at < 0.1
    with pytest.raises(ModelUnavailable, match="2 tokens more"):
        folder_check.require_startable(str(folder), "chat")


def test_a_folder_that_breaks_the_child_is_a_finding(tiny_chat, monkeypatch):
    monkeypatch.setattr(folder_check, "TIMEOUT_SECONDS", 0.01)
    folder_check._run_check.cache_clear()
    (finding,) = folder_check.check(tiny_chat, "chat")
    folder_check._run_check.cache_clear()
    assert finding.is_fatal
    assert "took longer than 0.01 s" in finding.message.render()


@pytest.fixture
def without_child(monkeypatch):
    """Folders are examined in this process."""
    monkeypatch.setattr(folder_check, "check", folder_check.examine)


@pytest.mark.parametrize("name", SAMPLE)
def test_the_terminal_says_it_before_anything_starts(folder_of, name, make_plan, tmp_path, without_child):
    from studio import plan as plans

    plan = make_plan("lora", "chat").model_copy(update={"model": str(folder_of(name))})
    path = tmp_path / "plan.yaml"
    path.write_text(plans.dump(plan), encoding="utf-8")
    with pytest.raises(ModelUnavailable) as caught:
        train_command.train(str(path), ())
    assert caught.value.message.text == CASES[name].message.text
    assert runs.all_runs() == []


@pytest.mark.parametrize("name", SAMPLE)
def test_a_worker_says_it_of_what_it_has_fetched(folder_of, name, make_plan):
    run = runs.create(make_plan("lora", "chat").model_copy(update={"model": str(folder_of(name))}))
    with pytest.raises(ModelUnavailable):
        worker.run(run.id)
    assert runs.status(run).message.text == CASES[name].message.text


def test_the_method_tab_says_it_beside_the_model(folder_of, without_child):
    notice = base_model.describe_model(str(folder_of("GPTQ")), "chat", "en")
    assert notice["bad"]
    assert "already quantised (GPTQ, 4 bit)" in notice["text"]
    assert "original" in notice["more"] or "made from" in notice["more"]


def test_remarks_stand_below_what_the_model_is(folder_of, without_child):
    notice = base_model.describe_model(str(folder_of("template that refuses a system message")), "chat", "en")
    assert not notice["bad"]
    assert "of the family “llama”" in notice["text"]
    assert "no system message" in notice["more"]


@pytest.mark.parametrize("template", LOSE_SYSTEM)
def test_a_system_message_that_a_template_loses_goes_into_the_first_question(folder_of, template, tmp_path):
    tokenizer = load.tokenizer(folder_of(template))
    question = {"role": "user", "content": "Where?"}
    answer = {"role": "assistant", "content": "There."}
    system = {"role": "system", "content": "Answer in French."}
    merged = {"role": "user", "content": "Answer in French.\n\nWhere?"}

    def write(*messages):
        return tokenizer.apply_chat_template(list(messages), tokenize=False)

    assert write(system, question, answer) == write(merged, answer)
    assert write(system) == write({"role": "user", "content": "Answer in French."})
    tokenizer.save_pretrained(tmp_path / "saved")
    assert load.tokenizer(tmp_path / "saved").chat_template == tokenizer.chat_template


def test_a_head_for_other_classes_is_replaced(folder_of):
    model = load.base_model(folder_of("head for two classes"), "classify", ("a", "b", "c"))
    assert model.classifier.out_features == 3


def test_a_model_without_an_end_token_may_still_sort_texts(tiny_chat, tmp_path):
    import shutil

    folder = tmp_path / "model"
    shutil.copytree(tiny_chat, folder)
    set_template(SILENT_TEMPLATE, eos_token=None)(folder)
    assert folder_check.examine(folder, "classify") == []
    edit_json("tokenizer_config.json", pad_token=None)(folder)
    (finding,) = folder_check.examine(folder, "classify")
    assert finding.message == folder_check.NO_PADDING


def test_a_plain_folder_is_still_fetched_as_it_is(tiny_chat):
    assert fetch.find_cached(str(tiny_chat)).folder == tiny_chat
    assert folder_files.find_missing_files(tiny_chat) is None
