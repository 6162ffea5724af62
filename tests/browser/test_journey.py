"""One person's way through the page: from an upload to two streamed answers and a download, with real training."""

import json
import re
import zipfile

import psutil
import pytest
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


def tab(page, name):
    found = page.get_by_role("tab", name=name)
    found.click()
    expect(found).to_have_attribute("aria-selected", "true")


def choose_model(page, folder):
    field = page.locator("#model input")
    field.fill(str(folder))
    field.press("Enter")
    expect(page.locator("#model-notice")).to_contain_text(folder.name)


def set_number(page, place, value):
    field = page.locator(f"{place} input[type=number]").first
    field.fill(str(value))
    field.press("Enter")


def wait_for_end(page, state="done", timeout=120_000):
    page.locator(f"#live .run-state[data-state={state}]").wait_for(timeout=timeout)


def curve(page):
    return page.evaluate(
        "(document.querySelector('#live .js-plotly-plot')?.data || []).map((trace) => trace.y.length)"
    )


def start_tiny(page, data, model, epochs=4, batch=8):
    """Upload, choose the tiny model, set the rounds, start; 30 rounds one by one last long enough to be disturbed."""
    page.locator("#upload input[type=file]").set_input_files(str(data))
    expect(page.locator("#data-notice .good")).to_be_visible()
    page.get_by_role("button", name="Next: choose a method").click()
    choose_model(page, model)
    set_number(page, "#epochs", epochs)
    set_number(page, "#batch-size", batch)
    page.get_by_role("button", name="Next: train").click()
    expect(page.locator("#summary")).to_contain_text("steps")
    page.get_by_role("button", name="Start training").click()


def test_from_upload_to_two_streamed_answers_and_a_download(visit, chat_csv, tiny_chat, tmp_path):
    page = visit()
    page.locator("#upload input[type=file]").set_input_files(str(chat_csv))
    expect(page.locator("#data-notice")).to_contain_text("40 rows, 2 columns")
    expect(page.locator("#data-notice")).to_contain_text("read “prompt” and learn to write “response”")
    expect(page.locator("#seen-examples mark").first).to_be_visible()
    page.get_by_role("button", name="Browse, search and edit rows").click()
    expect(page.locator("#row-table")).to_contain_text("where is my lamp")

    page.get_by_role("button", name="Next: choose a method").click()
    expect(page.locator("#methods tbody tr")).to_have_count(10)
    choose_model(page, tiny_chat)
    expect(page.locator("#methods tr.chosen")).to_contain_text("exactly")
    before = page.locator("#methods tr.chosen").inner_text()
    set_number(page, "#knob-lora-rank", 4)
    expect(page.locator("#methods tr.chosen")).not_to_have_text(before)
    set_number(page, "#epochs", 6)
    page.locator("#learning-rate input").fill("0.01")

    page.get_by_role("button", name="Next: train").click()
    expect(page.locator("#summary")).to_contain_text("36 examples")
    page.get_by_label("Name of this run").press_sequentially("Shop tone")
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("#live .run-title")).to_have_text("Shop tone")
    wait_for_end(page)
    page.wait_for_function(
        "(document.querySelector('#live .js-plotly-plot')?.data || [{ y: [] }])[0].y.length >= 30"
    )
    assert curve(page)[1] >= 5
    expect(page.locator("#live .run-more")).to_contain_text("Validation loss went from")
    assert "run=" in page.url
    expect(page.locator("#story .next")).to_contain_text("compare both models")

    page.get_by_role("button", name="Next: compare").click()
    page.get_by_label("Your question or text").fill("where is my lamp")
    page.get_by_role("button", name="Ask both").click()
    for side in ("base", "tuned"):
        expect(page.locator(f"#{side} .proof.holds")).to_contain_text(
            "exactly the weights this run saved", timeout=60_000
        )
        expect(page.locator(f"#{side} .pane")).to_have_attribute("aria-busy", "false")
    assert page.locator("#tuned .answer").inner_text() != page.locator("#base .answer").inner_text()
    expect(page.locator("#base .proof")).to_contain_text("difference 0")
    expect(page.locator("#story .next")).to_contain_text("take it home")

    tab(page, "Share")
    page.get_by_role("button", name="Prepare the download").click()
    expect(page.locator("#share-notice .good")).to_contain_text("Ready", timeout=60_000)
    expect(page.locator("#download")).to_be_visible()
    expect(page.locator("#story")).to_contain_text("“Shop tone” has been trained and packed")
    with page.expect_download() as download:
        page.locator("#download").click()
    assert download.value.suggested_filename == "shop-tone-adapter.zip"
    names = zipfile.ZipFile(download.value.path()).namelist()
    assert {"adapter_model.safetensors", "README.md", "plan.yaml"} <= set(names)


def test_a_closed_tab_a_second_tab_and_a_reload_find_the_run_again(visit, chat_csv, tiny_chat):
    page = visit()
    start_tiny(page, chat_csv, tiny_chat, epochs=2)
    wait_for_end(page)
    expect(page.locator("#train-notice")).not_to_contain_text("Checking")
    expect(page.locator("#runs input")).to_have_value(re.compile("Done$"))
    address = page.url.partition("?")[2]
    again = visit(context=page.context)
    page.close()
    tab(again, "Train")
    wait_for_end(again)
    again.reload(wait_until="domcontentloaded")
    tab(again, "Train")
    wait_for_end(again)
    stranger = visit("/?" + address)
    tab(stranger, "Train")
    wait_for_end(stranger)


def test_a_reload_brings_the_method_and_its_settings_back_for_the_same_data_only(visit, chat_csv):
    page = visit()
    page.locator("#upload input[type=file]").set_input_files(str(chat_csv))
    expect(page.locator("#data-notice .good")).to_be_visible()
    tab(page, "Method")
    page.get_by_role("button", name="Frozen-layer fine-tuning").click()
    expect(page.locator("#methods tr.chosen")).to_have_attribute("data-id", "frozen")
    set_number(page, "#knob-frozen-blocks", 4)
    set_number(page, "#epochs", 7)
    page.reload(wait_until="domcontentloaded")
    tab(page, "Method")
    expect(page.locator("#methods tr.chosen")).to_have_attribute("data-id", "frozen")
    expect(page.locator("#knob-frozen-blocks input[type=number]")).to_have_value("4")
    expect(page.locator("#epochs input[type=number]")).to_have_value("7")
    tab(page, "Data")
    page.locator("#sample-support-tone").click()
    tab(page, "Method")
    expect(page.locator("#suits")).to_contain_text("126 training examples")
    expect(page.locator("#epochs input[type=number]")).to_have_value("3")


def test_what_is_wrong_is_said_under_the_field_s_own_name_and_clears_when_it_is_mended(visit, chat_csv):
    page = visit()
    page.locator("#upload input[type=file]").set_input_files(str(chat_csv))
    expect(page.locator("#data-notice .good")).to_be_visible()
    tab(page, "Method")
    set_number(page, "#learning-rate", 5)
    tab(page, "Train")
    expect(page.locator("#summary")).to_contain_text(
        "How big each step is (learning rate): expected less than or equal to 1, but got 5"
    )
    page.get_by_role("button", name="Start training").click()
    expect(page.locator("#train-notice")).to_contain_text("(learning rate)")
    tab(page, "Method")
    set_number(page, "#learning-rate", 0)
    tab(page, "Train")
    expect(page.locator("#summary")).to_contain_text("steps")


def test_stop_keeps_what_was_learned(visit, chat_csv, tiny_chat):
    page = visit()
    start_tiny(page, chat_csv, tiny_chat, epochs=30, batch=1)
    page.wait_for_function(
        "(document.querySelector('#live .js-plotly-plot')?.data || [{ y: [] }])[0].y.length >= 3"
    )
    page.get_by_role("button", name="Stop and keep").click()
    expect(page.locator("#train-notice")).to_contain_text("was asked to stop: it finishes the step it is in")
    wait_for_end(page, "stopped")
    page.get_by_role("button", name="Next: compare").click()
    page.get_by_label("Your question or text").fill("where is my lamp")
    page.get_by_role("button", name="Ask both").click()
    expect(page.locator("#tuned .proof.holds")).to_be_visible(timeout=60_000)


def test_a_killed_worker_becomes_a_sentence_on_the_page(visit, chat_csv, tiny_chat, studio_home):
    page = visit()
    start_tiny(page, chat_csv, tiny_chat, epochs=30, batch=1)
    page.locator("#live .run-state[data-state=training]").wait_for(timeout=60_000)
    run = page.url.partition("run=")[2]
    worker = json.loads((studio_home / "runs" / run / "process.json").read_text())
    psutil.Process(worker["pid"]).kill()
    wait_for_end(page, "failed")
    expect(page.locator("#live .run-fault")).to_contain_text("stopped unexpectedly")
    expect(page.locator("#live .run-fault")).to_contain_text("smaller batch")


def test_classes_are_trained_and_shown_as_shares(visit, classify_csv, tiny_bert):
    page = visit()
    start_tiny(page, classify_csv, tiny_bert, epochs=3)
    wait_for_end(page)
    expect(page.locator("#live .run-more")).to_contain_text("accuracy")
    page.get_by_role("button", name="Next: compare").click()
    page.get_by_label("Your question or text").fill("my lamp is late again")
    page.get_by_role("button", name="Ask both").click()
    expect(page.locator("#tuned .classes li")).to_have_count(3, timeout=60_000)
    expect(page.locator("#base footer")).to_contain_text("untrained")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("leads.csv", b"", "is empty"),
        ("photo.csv", b"\x89PNG\r\n\x1a\n\x00\x00\x00" * 50, "is a picture"),
        ("one.csv", b"prompt,response\nhello,hi\n", "“one.csv” has 1 complete example"),
        ("list.csv", b"name\nAnna\nBen\n", "“list.csv” has 2 complete examples"),
    ],
)
def test_bad_files_get_a_sentence_and_the_page_stays_alive(visit, tmp_path, chat_csv, name, content, said):
    page = visit()
    page.locator("#upload input[type=file]").set_input_files(
        {"name": name, "mimeType": "text/csv", "buffer": content}
    )
    expect(page.locator("#data-notice .bad")).to_contain_text(said)
    page.locator("#upload input[type=file]").set_input_files(str(chat_csv))
    expect(page.locator("#data-notice .good")).to_contain_text("40 rows")


def test_an_unknown_model_fails_with_a_sentence(visit, chat_csv):
    page = visit()
    page.locator("#sample-support-tone").click()
    expect(page.locator("#data-notice .good")).to_be_visible()
    tab(page, "Method")
    page.locator("#model input").fill("nobody/nothing-7b")
    page.locator("#model input").press("Enter")
    expect(page.locator("#model-notice")).to_contain_text("not in the list")
    page.get_by_role("button", name="Next: train").click()
    page.get_by_role("button", name="Start training").click()
    wait_for_end(page, "failed")
    expect(page.locator("#live .run-fault")).to_contain_text("the hub does not answer")


def test_the_page_speaks_chinese_to_a_chinese_browser(visit):
    page = visit(locale="zh-CN")
    expect(page.get_by_role("tab", name="1 · 数据")).to_be_visible()
    page.get_by_role("tab", name="2 · 方法").click()
    expect(page.locator("#methods")).to_contain_text("全量微调")


def test_a_stopped_run_goes_on_and_its_curve_begins_anew(visit, chat_csv, tiny_chat):
    page = visit()
    start_tiny(page, chat_csv, tiny_chat, epochs=16, batch=1)
    page.wait_for_function(
        "(document.querySelector('#live .js-plotly-plot')?.data || [{ y: [] }])[0].y.length >= 3",
        timeout=90_000,
    )
    page.get_by_role("button", name="Stop and keep").click()
    wait_for_end(page, "stopped")
    go_on = page.get_by_role("button", name="Go on from where it was")
    expect(go_on).to_be_visible()
    go_on.press("Enter")
    expect(page.locator("#train-notice")).to_contain_text("goes on from where it was")
    wait_for_end(page)
    expect(go_on).to_be_hidden()
    page.wait_for_function(
        "(document.querySelector('#live .js-plotly-plot')?.data || [{ x: [] }])[0].x.length >= 280"
    )  # 576 steps, every second one is told
    steps = page.evaluate("document.querySelector('#live .js-plotly-plot').data[0].x")
    assert steps == sorted(set(steps))


def test_the_address_of_a_run_comes_before_the_one_a_browser_remembers(visit, chat_csv, tiny_chat):
    page = visit()
    addresses = []
    for _ in range(2):
        start_tiny(page, chat_csv, tiny_chat, epochs=1)
        page.wait_for_function(
            "(last) => location.search.includes('run=') && !location.search.endsWith(last)",
            arg=(addresses or ["none"])[-1],
        )
        wait_for_end(page)
        addresses.append(page.url.partition("run=")[2])
        tab(page, "Data")
    again = visit("/?run=" + addresses[0], context=page.context)
    tab(again, "Train")
    expect(again.locator("#runs input")).to_have_value(re.compile(addresses[0][:8]))
    assert again.url.endswith(addresses[0])


@pytest.mark.parametrize(
    ("content", "task", "labels"),
    [
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
        (
            "text\n" + "".join(f"Once upon a time there was number {n}.\n" for n in range(20)),
            "Continue text",
            1,
        ),
    ],
    ids=["prefer", "prompts", "complete"],
)
def test_every_task_shows_its_columns_and_says_which_methods_do_not_fit(visit, content, task, labels):
    page = visit()
    page.locator("#upload input[type=file]").set_input_files(
        {"name": "mine.csv", "mimeType": "text/csv", "buffer": content.encode()}
    )
    expect(page.locator("#data-notice .good")).to_be_visible()
    expect(page.get_by_role("radio", name=task)).to_be_checked()
    expect(page.locator("[id^=column-] input:visible")).to_have_count(labels)
    page.get_by_role("button", name="Next: choose a method").click()
    expect(page.locator("#methods tbody tr")).to_have_count(10)
    expect(page.locator("#methods tr.closed .refused").first).to_be_visible()
    expect(page.locator("#methods tr.closed .pick")).to_have_count(0)
