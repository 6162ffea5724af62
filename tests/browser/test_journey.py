"""From an upload to two streamed answers and a download in a real browser, with real training."""

import json
import re
import zipfile
from urllib.parse import parse_qs, urlsplit

import psutil
import pytest
from journey_steps import (
    choose_model,
    curve_lengths,
    open_settings,
    open_tab,
    set_number,
    start_tiny,
    wait_for_end,
)
from playwright.sync_api import expect
from test_looks import find_violations

from studio.ui.form.messages import LEARNING_RATE

pytestmark = pytest.mark.browser

BAD_FILES = [
    ("leads.csv", b"", "is empty"),
    ("photo.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00" * 50, "is a picture"),
    ("list.csv", b"name\nAnna\nBen\n", "“list.csv” has 2 complete examples"),
]


@pytest.fixture(scope="module")
def finished_runs(finished_run):
    return [finished_run("chat"), finished_run("classify")]


def upload(page, name, content):
    """Choose a file of these bytes."""
    page.locator("#upload input[type=file]").set_input_files(
        {"name": name, "mimeType": "text/csv", "buffer": content}
    )


def opener(page, run_id):
    """The name of a run in the table, which opens it."""
    return page.locator(f'[data-control="open {run_id}"]')


def test_from_upload_to_two_streamed_answers_and_a_download(visit, chat_csv, tiny_chat, tmp_path):
    page = visit()
    name, content, sentence = BAD_FILES[0]
    upload(page, name, content)
    expect(page.locator("#data-notice .bad")).to_contain_text(sentence)
    page.locator("#upload input[type=file]").set_input_files(str(chat_csv))
    expect(page.locator("#data-notice")).to_contain_text("40 rows, 2 columns")
    expect(page.locator("#data-notice")).to_contain_text("reads “prompt” and learns to write “response”")
    expect(page.locator("#seen-examples .turn.learned").first).to_be_visible()
    page.get_by_role("button", name="Browse, search and edit rows").click()
    expect(page.locator("#row-table")).to_contain_text("where is my lamp")

    page.get_by_role("button", name="Next: choose a method").click()
    expect(page.locator("#methods tbody tr")).to_have_count(10)
    choose_model(page, tiny_chat)
    expect(page.locator("#methods tr.chosen .memory b")).to_contain_text("GB")
    open_settings(page)
    before = page.locator("#methods tr.chosen").inner_text()
    set_number(page, "#knob-lora-rank", 4)
    expect(page.locator("#methods tr.chosen")).not_to_have_text(before)
    set_number(page, "#epochs", 6)
    page.locator("#learning-rate input").fill("0.01")

    page.locator("#to-train").click()
    expect(page.locator("#summary")).to_contain_text("36 examples")
    page.locator("#run-name textarea, #run-name input").press_sequentially("Shop tone")
    page.locator("#start").click()
    expect(page.locator("#live .run-title")).to_have_text("Shop tone")
    wait_for_end(page)
    page.wait_for_function(
        "(document.querySelector('#live .js-plotly-plot')?.data || [{ y: [] }])[0].y.length >= 30"
    )
    assert curve_lengths(page)[1] >= 5
    expect(page.locator("#live .run-more")).to_contain_text("Validation loss fell from")
    assert "run=" in page.url
    expect(page.locator("#story .next")).to_contain_text("compare both models")

    page.get_by_role("button", name="Next: compare").click()
    page.get_by_label("Your question or text").fill("where is my lamp")
    page.get_by_role("button", name="Ask both").click()
    for side in ("base", "tuned"):
        expect(page.locator(f"#{side} .proof.holds summary")).to_be_visible(timeout=60_000)
        expect(page.locator(f"#{side} .pane")).to_have_attribute("aria-busy", "false")
    assert page.locator("#tuned .answer").inner_text() != page.locator("#base .answer").inner_text()
    expect(page.locator("#base .proof")).to_contain_text("difference 0")
    assert find_violations(page, "two answers") == []
    expect(page.locator("#story .next")).to_contain_text("on Share")

    open_tab(page, "Share")
    expect(page.locator("#card h4").first).to_be_visible()
    page.locator("#prepare").click()
    expect(page.locator("#share-notice .good")).to_contain_text("Ready", timeout=60_000)
    expect(page.locator("#download")).to_be_visible()
    expect(page.locator("#tabs")).to_have_attribute("data-done", "data method train playground share")
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "shop-tone-adapter.zip"
    names = zipfile.ZipFile(download.value.path()).namelist()
    assert {"adapter_model.safetensors", "README.md", "plan.yaml"} <= set(names)


@pytest.mark.exhaustive
def test_a_run_is_found_again_from_a_second_tab_another_browser_and_the_table(visit, finished_runs):
    remembered, addressed = finished_runs
    page = visit(f"/?run={remembered}&tab=train")
    wait_for_end(page)
    expect(page.locator(".runs-row", has=opener(page, remembered))).to_contain_text("Cannot tell yet")
    second_tab = visit("/?tab=train", context=page.context)
    page.close()
    expect(opener(second_tab, remembered)).to_have_attribute("aria-current", "true")
    wait_for_end(second_tab)
    other_browser = visit("/?" + second_tab.url.partition("?")[2])
    second_tab.goto(re.sub(remembered, addressed, second_tab.url), wait_until="domcontentloaded")
    expect(opener(other_browser, remembered)).to_have_attribute("aria-current", "true")
    wait_for_end(other_browser)

    expect(opener(second_tab, addressed)).to_have_attribute("aria-current", "true")
    assert f"run={addressed}" in second_tab.url
    opener(second_tab, remembered).press("Enter")
    expect(opener(second_tab, remembered)).to_have_attribute("aria-current", "true")
    expect(second_tab).to_have_url(re.compile(f"run={remembered}"))
    second_tab.locator(".runs-row", has=opener(second_tab, addressed)).locator(".runs-method").click()
    expect(opener(second_tab, addressed)).to_have_attribute("aria-current", "true")


@pytest.mark.exhaustive
def test_a_reload_brings_the_method_and_its_settings_back_for_the_same_data_only(visit, chat_csv):
    page = visit()
    page.locator("#upload input[type=file]").set_input_files(str(chat_csv))
    expect(page.locator("#data-notice .good")).to_be_visible()
    open_tab(page, "Method")
    page.get_by_role("button", name="Frozen-layer fine-tuning").click()
    expect(page.locator("#methods tr.chosen")).to_have_attribute("data-id", "frozen")
    open_settings(page)
    set_number(page, "#knob-frozen-blocks", 4)
    set_number(page, "#epochs", 7)
    page.reload(wait_until="domcontentloaded")
    open_tab(page, "Method")
    expect(page.locator("#methods tr.chosen")).to_have_attribute("data-id", "frozen")
    open_settings(page)
    expect(page.locator("#knob-frozen-blocks input[type=number]")).to_have_value("4")
    expect(page.locator("#epochs input[type=number]")).to_have_value("7")
    open_tab(page, "Data")
    page.locator("#sources > button").click()
    page.locator("#sample-support-tone").click()
    open_tab(page, "Method")
    expect(page.locator("#suits")).to_contain_text("105 training examples")
    expect(page.locator("#epochs input[type=number]")).to_have_value("3")


@pytest.mark.exhaustive
def test_an_error_is_named_after_its_field_and_clears_when_it_is_corrected(visit, chat_csv):
    page = visit()
    page.locator("#upload input[type=file]").set_input_files(str(chat_csv))
    expect(page.locator("#data-notice .good")).to_be_visible()
    open_tab(page, "Method")
    open_settings(page)
    set_number(page, "#learning-rate", 5)
    open_tab(page, "Train")
    expect(page.locator("#summary")).to_contain_text(
        f"{LEARNING_RATE.render()}: expected less than or equal to 1, but got 5"
    )
    page.locator("#start").click()
    expect(page.locator("#train-notice")).to_contain_text(LEARNING_RATE.render())
    open_tab(page, "Method")
    set_number(page, "#learning-rate", 0)
    open_tab(page, "Train")
    expect(page.locator("#summary")).to_contain_text("steps")


@pytest.mark.exhaustive
def test_a_stopped_run_answers_and_one_that_was_killed_too_goes_on_with_its_curve(
    visit, chat_csv, tiny_chat, studio_home
):
    page = visit()
    start_tiny(page, chat_csv, tiny_chat, epochs=30, batch=1)
    page.wait_for_function(
        "(document.querySelector('#live .js-plotly-plot')?.data || [{ y: [] }])[0].y.length >= 3",
        timeout=90_000,
    )
    page.locator("#live").get_by_role("button", name="Stop and keep").click()
    wait_for_end(page, "stopped")
    page.get_by_role("button", name="Next: compare").click()
    page.get_by_label("Your question or text").fill("where is my lamp")
    page.get_by_role("button", name="Ask both").click()
    expect(page.locator("#tuned .proof.holds")).to_be_visible(timeout=60_000)

    open_tab(page, "Train")
    resume = page.locator("#live").get_by_role("button", name="Resume")
    expect(resume).to_be_visible()
    resume.press("Enter")
    page.locator("#live .run-state[data-state=training]").wait_for(timeout=60_000)
    [run] = parse_qs(urlsplit(page.url).query)["run"]
    worker = json.loads((studio_home / "runs" / run / "process.json").read_text())
    psutil.Process(worker["pid"]).kill()
    wait_for_end(page, "failed")
    expect(page.locator("#live .run-fault")).to_contain_text("stopped unexpectedly")
    expect(page.locator("#live .run-fault")).to_contain_text("smaller batch")

    resume.press("Enter")
    wait_for_end(page)
    expect(resume).to_be_hidden()
    page.wait_for_function(
        "(document.querySelector('#live .js-plotly-plot')?.data || [{ x: [] }])[0].x.length >= 140"
    )  # 1,080 steps, every second of which is reported
    steps = page.evaluate("document.querySelector('#live .js-plotly-plot').data[0].x")
    assert steps == sorted(set(steps))


@pytest.mark.exhaustive
def test_classes_are_shown_as_shares(visit, finished_run):
    page = visit(f"/?run={finished_run('classify')}")
    open_tab(page, "Train")
    wait_for_end(page)
    expect(page.locator("#live .run-more")).to_contain_text("texts correct")
    page.get_by_role("button", name="Next: compare").click()
    page.get_by_label("Your question or text").fill("my lamp is late again")
    page.get_by_role("button", name="Ask both").click()
    expect(page.locator("#tuned .classes li")).to_have_count(3, timeout=60_000)
    expect(page.locator("#base .answer")).to_have_text("Not trained for this task yet.")
    expect(page.locator("#answer-options")).to_be_hidden()


@pytest.mark.exhaustive
def test_bad_files_get_a_sentence_and_the_page_stays_alive(visit, chat_csv):
    page = visit()
    for name, content, sentence in BAD_FILES:
        upload(page, name, content)
        expect(page.locator("#data-notice .bad")).to_contain_text(sentence)
    page.locator("#upload input[type=file]").set_input_files(str(chat_csv))
    expect(page.locator("#data-notice .good")).to_contain_text("40 rows")


@pytest.mark.exhaustive
def test_an_unknown_model_fails_with_a_sentence(visit):
    page = visit()
    page.locator("#sample-support-tone").click()
    expect(page.locator("#data-notice .good")).to_be_visible()
    open_tab(page, "Method")
    page.locator("#model input").fill("nobody/nothing-7b")
    page.locator("#model input").press("Enter")
    expect(page.locator("#model-notice")).to_contain_text("not in the list")
    page.locator("#to-train").click()
    page.locator("#start").click()
    wait_for_end(page, "failed")
    expect(page.locator("#live .run-fault")).to_contain_text("the hub does not answer")


@pytest.mark.exhaustive
def test_the_page_speaks_chinese_to_a_chinese_browser(visit):
    page = visit(locale="zh-CN")
    expect(page.get_by_role("tab", name="数据")).to_be_visible()
    page.get_by_role("tab", name="方法").click()
    expect(page.locator("#methods")).to_contain_text("全量微调")


# The content of a file, the task that is recognised, and the number of columns that are shown.
TASKS = [
    (
        "prompt,chosen,rejected\n" + "".join(f"where is {n},Here {n}.,no idea {n}\n" for n in range(20)),
        "Prefer the better",
        3,
    ),
    (
        "question,answer\n" + "".join(f"What is {n} + 1?,{n + 1}\n" for n in range(20)),
        "Get more consistent",
        1,
    ),
    ("text\n" + "".join(f"Once upon a time there was number {n}.\n" for n in range(20)), "Continue text", 1),
]


@pytest.mark.exhaustive
def test_every_task_shows_its_columns_and_the_methods_that_do_not_fit(visit):
    page = visit()
    for index, (content, task, column_count) in enumerate(TASKS):
        open_tab(page, "Data")
        upload(page, f"task-{index}.csv", content.encode())
        expect(page.locator("#data-notice .good")).to_be_visible()
        expect(page.get_by_role("radio", name=task)).to_be_checked()
        expect(page.locator("[id^=column-] input:visible")).to_have_count(column_count)
        page.get_by_role("button", name="Next: choose a method").click()
        expect(page.locator("#methods tbody tr")).to_have_count(10)
        line = page.locator(".costs-refused")
        expect(line).to_contain_text("your data")
        if line.get_by_role("button").get_attribute("aria-expanded") == "false":
            line.get_by_role("button").click()
        expect(page.locator("#methods tr.closed .refused").first).to_be_visible()
        expect(page.locator("#methods tr.closed .pick")).to_have_count(0)
