"""The Data tab in a real browser: a messy export is understood, checked, fixed, restored and edited."""

import csv
import random
import re

import pytest
from journey_steps import answer_all_six, answer_questions, open_part, open_tab
from plain_words import WORDS
from playwright.sync_api import expect

pytestmark = pytest.mark.browser


@pytest.fixture
def messy_export(tmp_path):
    """A help desk's export with semicolons and a byte order mark.

    Three rows are repeated, one has no answer, one is damaged, one has an address in it.
    """
    rows = [
        (
            f"T-{n}",
            f"my {word} lamp from shelf {n} hums, what now",
            f"Unplug the {word} lamp and send a film by Friday.",
        )
        for n, word in enumerate(WORDS)
    ]
    rows += [
        *rows[:3],
        ("T-90", "only asked", ""),
        ("T-91", "write to anna.schmidt@example.com please", "That letter leaves today."),
    ]
    path = tmp_path / "export.csv"
    with path.open("w", newline="", encoding="utf-8-sig") as file:
        writer = csv.writer(file, delimiter=";")
        writer.writerows([("Ticket", "Question", "Reply"), *rows])
        file.write("T-99;damaged\n")
    return path


def test_a_messy_export_is_checked_and_fixed_the_fix_undone_and_a_row_edited(visit, messy_export):
    page = visit()
    page.locator("#upload input[type=file]").set_input_files(str(messy_export))
    expect(page.locator("#data-notice .good")).to_contain_text("25 rows, 3 columns")
    expect(page.locator("#data-notice")).to_contain_text("1 damaged row left out")
    report = page.locator("#health .health")
    expect(report).to_contain_text("Data health")
    expect(page.locator("#health-wait, .health-wait")).to_have_count(0)
    expect(page.locator("#health button[data-id=duplicates]")).to_be_visible()
    expect(report).to_contain_text("[email]")
    page.locator("#health button[data-id=duplicates]").click()
    expect(page.locator("#data-notice")).to_contain_text("3 rows removed, 0 cells changed")
    expect(page.locator("#health button[data-id=duplicates]")).to_have_count(0)
    headline = page.locator("#health [data-head]")
    expect(headline).to_be_focused()
    expect(page.locator("#health .health-wait")).to_have_count(0)
    page.locator("#health button[data-do=undo]").press("Enter")
    expect(page.locator("#data-notice")).to_contain_text("Undone")
    expect(page.locator("#health button[data-id=duplicates]")).to_be_visible()
    expect(page.locator("#health .health-wait")).to_have_count(0)
    expect(headline).to_be_focused()

    page.get_by_role("button", name="Browse, search and edit rows").click()
    page.get_by_label("Find rows that contain").press_sequentially("haze")
    expect(page.locator("#row-where")).to_contain_text("rows 1–1 of 1")
    cell = page.locator("#row-table [role=gridcell]", has_text="Unplug the haze lamp").first
    cell.dblclick()
    page.keyboard.press("Control+a")
    page.keyboard.type("A better reply.")
    page.keyboard.press("Enter")
    expect(page.locator("#data-notice")).to_contain_text("0 rows removed, 1 cell changed")
    page.reload(wait_until="domcontentloaded")
    expect(report).to_contain_text("Data health")
    page.get_by_role("button", name="Browse, search and edit rows").click()
    page.get_by_label("Find rows that contain").press_sequentially("better reply")
    expect(page.locator("#row-where")).to_contain_text("rows 1–1 of 1")


@pytest.mark.exhaustive
def test_an_undo_that_failed_can_be_tried_again(visit, messy_export, studio_home):
    page = visit()
    page.locator("#upload input[type=file]").set_input_files(str(messy_export))
    page.locator("#health button[data-id=duplicates]").click()
    undo = page.locator("#health button[data-do=undo]")
    expect(undo).to_be_visible()
    expect(page.locator("#health .health-wait")).to_have_count(0)
    change_files = (studio_home / "datasets").glob("*/changes/*.json")
    latest = max(change_files, key=lambda path: path.stat().st_mtime)
    original = next(latest.parents[1].glob("original*"))
    content = original.read_bytes()
    original.write_bytes(b"")
    undo.click()
    expect(page.locator("#data-notice .bad")).to_be_visible()
    original.write_bytes(content)
    expect(undo).to_be_enabled()
    undo.click()
    expect(page.locator("#data-notice")).to_contain_text("Undone")


@pytest.mark.exhaustive
def test_a_fix_pressed_while_another_is_at_work_follows_it(visit, messy_export):
    page = visit()
    page.locator("#upload input[type=file]").set_input_files(str(messy_export))
    duplicates = page.locator("#health button[data-id=duplicates]")
    personal = page.locator("#health button[data-id=personal]")
    expect(personal).to_be_visible()
    duplicates.click()
    personal.click()
    expect(personal).to_be_disabled()
    expect(personal).to_have_attribute("data-queued", "Next in line")
    expect(personal).to_have_count(0)
    expect(duplicates).to_have_count(0)


STOP_AT_ONCE = """() => {
  const button = document.querySelector('#health [data-do=halt]');
  button?.click();
  return Boolean(button);
}"""


@pytest.fixture
def long_table(tmp_path):
    """20,000 rows, two of which are nearly the same: a check of it lasts long enough to be cancelled."""
    path, rng = tmp_path / "many.csv", random.Random(1)
    words = [f"{word}{n}" for word in WORDS for n in range(9)]
    rows = [(" ".join(rng.choices(words, k=14)), " ".join(rng.choices(words, k=30))) for _ in range(20_000)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerows([("question", "answer"), *rows, (rows[0][0], f"{rows[0][1]} indeed")])
    return path


@pytest.mark.exhaustive
def test_a_long_check_is_cancelled(visit, long_table):
    page = visit()
    page.locator("#upload input[type=file]").set_input_files(str(long_table))
    page.wait_for_function(STOP_AT_ONCE)  # the button is drawn anew with the progress before it
    expect(page.locator("#health .health-wait")).to_contain_text("Near-duplicates were not looked for")
    expect(page.locator("#health [data-do=again]")).to_be_visible()


@pytest.mark.exhaustive
def test_a_cancelled_check_is_started_again_and_a_long_fix_cancelled(visit, long_table):
    page = visit()
    report = page.locator("#health .health")
    fix_button = page.locator("#health [data-id=near_duplicates]")
    page.locator("#upload input[type=file]").set_input_files(str(long_table))
    page.wait_for_function(STOP_AT_ONCE)
    page.locator("#health [data-do=again]").click()
    expect(report).to_contain_text("Data health", timeout=60_000)
    expect(fix_button).to_be_visible(timeout=60_000)
    expect(page.locator("#health [data-do=halt]")).to_have_count(0)
    fix_button.click()
    page.wait_for_function(STOP_AT_ONCE)
    expect(page.locator(".health-wait")).to_have_count(0)
    expect(fix_button).to_be_enabled()
    expect(page.locator("#health [data-do=undo]")).to_have_count(0)


@pytest.mark.exhaustive
def test_pasted_rows_are_saved_renamed_and_deleted_after_a_confirmation(visit):
    page = visit()
    page.get_by_role("button", name=re.compile("Other ways")).click()
    page.get_by_label("Paste rows from a spreadsheet").fill(
        "question\tanswer\n"
        + "\n".join(f"how is {word} made here\tby hand, from {word} and time" for word in WORDS)
    )
    page.get_by_role("button", name="Use this text").click()
    expect(page.locator("#data-notice .good")).to_contain_text("20 rows, 2 columns")
    page.locator("#sources > button").click()
    page.get_by_role("button", name="Your data sets").click()
    page.get_by_label("Name", exact=True).fill("Workshop questions")
    page.locator("#set-save").click()
    expect(page.locator("#sets-notice")).to_contain_text("Saved as “Workshop questions”")
    page.get_by_role("button", name="Delete this data set…").click()
    page.get_by_role("button", name="Keep it").click()
    expect(page.locator("#set-delete-yes")).to_be_hidden()
    page.get_by_role("button", name="Delete this data set…").click()
    page.get_by_role("button", name="Yes, delete permanently").click()
    expect(page.locator("#data-notice")).to_contain_text("was deleted")
    expect(page.locator("#data-notice")).to_contain_text("No data yet")


@pytest.fixture
def judge_csv(tmp_path):
    """A test set of 20 rows."""
    path = tmp_path / "judge.csv"
    rows = "".join(f"where is the {word},on the shelf with the {word}\n" for word in WORDS)
    path.write_text(f"customer,reply\n{rows}", encoding="utf-8")
    return path


def use_own_test_set(page, path):
    """Take a sample, and a file as its test set."""
    page.locator("#sample-support-tone").click()
    expect(page.locator("#data-notice .good")).to_be_visible()
    page.get_by_role("button", name="Use your own test set").click()
    page.locator("#test-upload input[type=file]").set_input_files(str(path))
    expect(page.locator("#split-notice")).to_contain_text("the 20 of “judge.csv”")


@pytest.mark.exhaustive
def test_a_test_set_is_there_after_a_reload_and_gone_with_other_data(visit, judge_csv):
    page = visit()
    use_own_test_set(page, judge_csv)
    expect(page.locator("#test-choose input")).to_have_value(re.compile("judge.csv"))
    page.reload(wait_until="domcontentloaded")
    expect(page.locator("#split-notice")).to_contain_text("the 20 of “judge.csv”")
    page.locator("#sources > button").click()
    page.locator("#sample-support-zh").click()
    expect(page.locator("#split-notice")).to_contain_text("23 test the result")


@pytest.mark.exhaustive
def test_a_test_set_is_there_again_with_its_data_and_can_be_given_up(visit, judge_csv):
    page = visit()
    use_own_test_set(page, judge_csv)
    for sample, sentence in (("support-zh", "23 test the result"), ("support-tone", "the 20 of “judge.csv”")):
        page.locator("#sources > button").click()
        page.locator(f"#sample-{sample}").click()
        expect(page.locator("#split-notice")).to_contain_text(sentence)
    page.get_by_role("button", name="Use your own test set").click()
    page.locator("#test-choose input").click()
    page.get_by_role("option", name="part of my data").click()
    expect(page.locator("#split-notice")).not_to_contain_text("judge.csv")


HOSTILE = (
    "${window.hacked = 1}` + alert(1) + `<img src=x onerror='window.hacked = 2'> C:\\new\\table {{value}}"
)


def test_the_content_of_a_file_is_displayed_and_never_executed(visit, tmp_path):
    path = tmp_path / "${window.hacked = 3}.csv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["question", HOSTILE])
        writer.writerows(
            (f"what about {word} {HOSTILE}", f"{HOSTILE} the {word} is <b>here</b>, write to a@b.example.com")
            for word in WORDS
        )
    page = visit()
    page.locator("#upload input[type=file]").set_input_files(str(path))
    expect(page.locator("#data-notice .notice")).to_contain_text("20 rows")
    expect(page.locator("#seen-examples .seen-text").first).to_contain_text(HOSTILE)
    page.locator("#health details", has=page.locator("q")).first.locator("summary").click()
    expect(page.locator("#health q").first).to_be_visible()
    page.get_by_role("button", name="Browse, search and edit rows").click()
    page.get_by_label("Find rows that contain").press_sequentially("${1} <b>x</b>")
    expect(page.locator("#row-where")).to_contain_text("No row contains “${1} <b>x</b>”")
    page.get_by_role("button", name="Next: choose a method").click()
    open_part(page, "chooser")
    answer_all_six(page)
    page.locator("#choice summary").last.click()
    expect(page.locator("#choice pre")).to_contain_text("what about amber")
    assert page.evaluate("window.hacked") is None


@pytest.mark.exhaustive
def test_a_recommended_method_is_used_and_its_prompt_tried(visit):
    page = visit()
    page.locator("#sample-support-tone").click()
    expect(page.locator("#data-notice .good")).to_be_visible()
    page.locator("#to-method").click()
    expect(page.locator("#choice .advice-figures")).to_be_visible()
    page.locator("#choice [data-do=ask]").first.click()
    expect(page.locator("#ask-change input[value=knowledge]")).to_be_focused()
    answer_questions(page, change="format", where="phone", apart="near", budget="any")
    expect(page.locator("#choice [data-do=ask]")).to_have_count(0)
    take = page.locator("#choice [data-do=take]")
    expect(take).to_be_visible()
    name = page.locator("#choice h3").inner_text().split(": ")[1]
    take.click()
    expect(page.locator("#summary")).to_contain_text(f"{name} on")
    open_tab(page, "Method")
    expect(page.locator("#methods tr.chosen .name")).to_have_text(name)
    expect(page.locator("#method-change")).to_contain_text(f"→ {name}")
    page.locator("#method-change [data-do=undo]").click()
    expect(page.locator("#methods tr.chosen .name")).to_have_text("LoRA")
    page.locator("#choice summary").last.click()
    page.locator("#choice details [data-do=attempt]").click()
    expect(page.locator("#prompt textarea")).to_have_value(re.compile(r"\S"))


@pytest.mark.exhaustive
def test_a_recommendation_on_other_data_is_used_completely_and_can_start(visit):
    page = visit()
    page.locator("#sample-support-tone").click()
    expect(page.locator("#data-notice .good")).to_be_visible()
    page.locator("#to-method").click()
    open_part(page, "chooser")
    expect(page.locator("#ask-have input[value=answers]")).to_be_checked()
    answer_questions(page, have="labels", change="decisions", where="unknown", apart="near", budget="any")
    expect(page.locator("#choice [data-do=ask]")).to_have_count(0)
    take = page.locator("#choice [data-do=take]")
    expect(take).to_be_visible()
    name = page.locator("#choice h3").inner_text().split(": ")[1]
    take.click()
    expect(page.locator("#summary")).to_contain_text(re.compile(f"{name} on .*MiniLM.* steps"))
    open_tab(page, "Method")
    expect(page.locator("#methods tr.chosen .name")).to_have_text(name)
    expect(page.locator("#model input")).to_have_value(re.compile("MiniLM"))


@pytest.mark.exhaustive
def test_the_glossary_and_the_tour_are_searched_and_closed_by_keyboard(visit):
    page = visit()
    page.get_by_role("button", name="Glossary").click()
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("Learning rate")
    page.keyboard.type("perplex")
    expect(dialog).to_contain_text("Perplexity")
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.get_by_role("button", name="Tour").click()
    expect(page.locator("#tour-title")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("#tour-title")).to_be_hidden()
