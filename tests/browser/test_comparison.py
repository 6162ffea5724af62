"""The comparison table in a real browser: estimates, sorting, filters, pins, copies, and offers to fit."""

import csv
import io
import re
from time import monotonic

import pytest
from journey_steps import open_part, open_settings, open_tab, set_number
from playwright.sync_api import expect

from studio.ui.method.table_messages import SCRIPT_MESSAGES

pytestmark = pytest.mark.browser


@pytest.fixture
def page(visit):
    """The Method tab with the sample of support replies."""
    page = visit(permissions=["clipboard-read", "clipboard-write"])
    page.locator("#sample-support-tone").click()
    expect(page.locator("#data-notice .good")).to_be_visible()
    open_tab(page, "Method")
    expect(page.locator("#methods tr.chosen .memory b")).to_contain_text("GB")
    open_settings(page)
    return page


def method_ids(page):
    """The methods of the visible rows, in their order."""
    return page.locator("#methods tr[data-id]:visible").evaluate_all(
        "(rows) => rows.map((row) => row.dataset.id)"
    )


def likely_memory(page, name):
    """The likely memory of a row in GB."""
    text = page.locator(f"#methods tr[data-id={name}] .memory b").inner_text()
    return float(text.split()[0].replace(",", ""))


def choose(page, field, text):
    page.locator(f"{field} input").click()
    page.get_by_role("option", name=re.compile(text)).first.click()


@pytest.mark.exhaustive
def test_a_changed_setting_changes_all_figures_and_measuring_this_machine_can_be_cancelled(page):
    memory = "parseFloat(document.querySelector('#methods tr[data-id=lora] .memory b').textContent)"
    opened_with = likely_memory(page, "lora")
    set_number(page, "#batch-size", 64)
    page.wait_for_function(f"(before) => {memory} > before", arg=opened_with)
    before = {name: likely_memory(page, name) for name in ("full", "lora", "prefix")}
    set_number(page, "#batch-size", 1)
    page.wait_for_function(f"(before) => {memory} < before", arg=before["lora"])
    for name, value in before.items():
        assert likely_memory(page, name) < value

    open_part(page, "machine-more")
    page.locator("#measure").click()
    expect(page.locator("#machine-notice")).to_contain_text("Testing")
    page.locator("#measure-stop").click()
    expect(page.locator("#machine-notice")).to_contain_text("Cancelled")
    expect(page.locator("#measure")).to_be_visible()


@pytest.mark.exhaustive
def test_a_column_sorts_up_and_down_and_back(page):
    original_order = method_ids(page)
    sorter = page.locator(".costs-sort select")
    head = page.locator("#methods th[data-column=memory]")
    sorter.select_option("memory least")
    expect(head).to_have_attribute("aria-sort", "ascending")
    ascending = [likely_memory(page, name) for name in method_ids(page)]
    assert ascending == sorted(ascending)
    sorter.select_option("memory most")
    expect(head).to_have_attribute("aria-sort", "descending")
    descending = [likely_memory(page, name) for name in method_ids(page)]
    assert descending == sorted(descending, reverse=True)
    sorter.select_option("")
    assert method_ids(page) == original_order


@pytest.mark.exhaustive
def test_two_pinned_methods_stand_side_by_side_at_the_top(page):
    for name in ("prefix", "full"):
        page.locator(f"#methods tr[data-id={name}]").hover()
        page.locator(f"#methods tr[data-id={name}] .pin").click()
    assert set(method_ids(page)[:2]) == {"prefix", "full"}
    expect(page.locator("#methods .versus thead th")).to_have_count(2)
    expect(page.locator("#methods .versus")).to_contain_text("less memory")
    page.locator("#methods tr[data-id=lora] .pin").click()
    expect(page.get_by_text(SCRIPT_MESSAGES["full"].text)).to_be_visible()
    page.get_by_role("button", name=f"{SCRIPT_MESSAGES['unpin'].text}: Full fine-tuning").click()
    expect(page.locator("#methods .versus thead th")).to_have_count(0)


@pytest.mark.exhaustive
def test_the_table_is_copied_as_csv_with_raw_figures(page):
    page.locator(".costs-export summary").click()
    page.get_by_role("button", name=SCRIPT_MESSAGES["csv"].text).click()
    expect(page.get_by_text(SCRIPT_MESSAGES["copied"].text.format(count=10))).to_be_visible()
    table = list(csv.DictReader(io.StringIO(page.evaluate("navigator.clipboard.readText()"))))
    assert len(table) == 10
    lora = next(row for row in table if row["Method"] == "LoRA")
    assert lora["Parameters trained"] == "4884480"
    assert (
        float(lora["Peak memory, low (GB)"])
        < likely_memory(page, "lora")
        < float(lora["Peak memory, high (GB)"])
    )
    page.get_by_role("button", name=SCRIPT_MESSAGES["image"].text).click()
    expect(page.get_by_text(SCRIPT_MESSAGES["pictured"].text)).to_be_visible()
    types = page.evaluate("navigator.clipboard.read().then((items) => items[0].types)")
    assert types == ["image/png"]


@pytest.mark.exhaustive
def test_what_does_not_fit_says_so_starts_only_when_someone_insists_and_has_offers(page):
    choose(page, "#model", "Qwen3 8B")
    expect(page.locator("#methods tr.chosen .memory .state")).to_have_text("does not fit")
    open_tab(page, "Train")
    expect(page.locator("#summary .check")).to_contain_text("GB too much")
    expect(page.locator("#insist")).to_be_hidden()
    page.locator("#start").click()
    expect(page.locator("#train-notice .bad")).to_contain_text("Start anyway")
    expect(page.locator("#insist")).to_be_visible()

    open_tab(page, "Method")
    choose(page, "#model", "Qwen3 1.7B")
    choose(page, "#machine", "Hugging Face Space, cpu-basic")
    row = page.locator("#methods tr[data-id=qat]")
    expect(row.locator(".memory .state")).to_have_text("does not fit")
    expect(row.locator(".lacks")).to_contain_text("GB more")
    page.get_by_role("button", name="Only what fits").click()
    expect(row).to_be_hidden()
    page.get_by_role("button", name="Only what fits").click()
    row.locator(".offer", has_text="LoRA instead of").click()
    chosen = page.locator("#methods tr.chosen")
    expect(chosen).to_have_attribute("data-id", "lora")
    expect(chosen.locator(".memory .state")).not_to_have_text("does not fit")


@pytest.mark.exhaustive
def test_another_machine_has_its_price_and_elsewhere_has_them_all(page):
    expect(page.locator("#methods tr.chosen .money")).to_contain_text("electricity")
    open_part(page, "machine-more")
    set_number(page, "#kwh-price", 90)
    expect(page.locator("#methods tr.chosen .money b")).not_to_contain_text("<")
    choose(page, "#machine", "L40S")
    expect(page.locator("#methods tr.chosen .money b")).to_contain_text("$")
    expect(page.locator("#methods tr.chosen .money")).not_to_contain_text("electricity")
    open_part(page, "elsewhere")
    expect(page.locator("#elsewhere-tables")).to_contain_text("LoRA with these settings on other machines")
    expect(page.locator("#elsewhere-tables")).to_contain_text("Services that train for you")


@pytest.mark.exhaustive
def test_the_page_with_nothing_opened_is_short_and_when_idle_sends_no_requests(visit):
    page = visit()
    page.locator("#sample-support-tone").click()
    expect(page.locator("#health .health")).to_contain_text("Data health")
    open_tab(page, "Method")
    expect(page.locator("#choice .advice-figures")).to_be_visible()
    expect(page.locator("#methods tr.chosen .memory b")).to_contain_text("GB")
    assert page.evaluate("document.documentElement.scrollHeight") < 2_000
    controls = """[...document.querySelectorAll('button, input, select, a')].filter((control) =>
      control.checkVisibility({ visibilityProperty: true }) && control.getBoundingClientRect().width > 0
      && !control.closest('[aria-hidden=true]')).length"""
    assert page.evaluate(controls) <= 40
    posted = [(monotonic(), "")]
    page.on(
        "request",
        lambda request: posted.append((monotonic(), request.url)) if request.method == "POST" else None,
    )
    end = monotonic() + 80  # estimates that are refined in the background come to an end
    while monotonic() < posted[-1][0] + 4:
        assert monotonic() < end, f"requests of an idle page: {posted}"
        page.wait_for_timeout(200)
