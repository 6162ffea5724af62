"""The rows of a data set on the Data tab: paged, searched, edited, deleted, previewed and drawn."""

from types import SimpleNamespace

import gradio as gr
import pytest
import xlsxwriter
from data_tab_steps import PAIRS_CSV, data_fields, delete_rows, read_first_page, read_outputs, upload
from form_fields import ENGLISH

from studio.data import store
from studio.errors import BadData
from studio.ui.data import messages, row_browser
from studio.ui.data import tab as data_tab

NEW_ANSWER = "Another answer."


def save_edits(source, page, revision=0):
    return row_browser.save_edits(source, [source], page, revision, ENGLISH)


def test_rows_are_paged_searched_and_numbered(dataset):
    rows, label, page_number = row_browser.show_page(dataset.source, "", 2, ENGLISH)
    assert label == messages.PAGE_RANGE.render(page=2, pages=2, first=21, last=40, count=40)
    assert (page_number["value"], page_number["maximum"]) == (2, 2)
    assert [row[0] for row in rows["value"]["data"]] == list(range(21, 41))
    prompt = dataset.table().rows[7]["prompt"]
    rows, _, _ = row_browser.show_page(dataset.source, prompt.upper(), 1, ENGLISH)
    assert 8 in [row[0] for row in rows["value"]["data"]]
    _, label, _ = row_browser.show_page(dataset.source, "nowhere to be found", 9, ENGLISH)
    assert label == messages.NO_MATCHING_ROWS.render(text="nowhere to be found")


def test_a_cell_changed_in_place_is_saved_and_the_others_stay(dataset):
    before = dataset.table().rows
    page = read_first_page(dataset.source)
    assert save_edits(dataset.source, page) == (gr.skip(),) * 3
    page.loc[4, "response"] = NEW_ANSWER
    _, revision, notice = save_edits(dataset.source, page)
    assert (revision, notice["kind"]) == (1, "good")
    after = dataset.table().rows
    assert after[4] == {**before[4], "response": NEW_ANSWER}
    assert after[:4] + after[5:] == before[:4] + before[5:]


@pytest.fixture
def workbook(tmp_path):
    """A workbook of two sheets with the same columns and other answers."""
    with xlsxwriter.Workbook(tmp_path / "tickets.xlsx") as book:
        for name in ("May", "June"):
            sheet = book.add_worksheet(name)
            sheet.write_row(0, 0, ["prompt", "response"])
            for n in range(20):
                sheet.write_row(n + 1, 0, [f"where is parcel {n}?", f"It came in {name}, number {n}."])
    return store.add(tmp_path / "tickets.xlsx")


def test_another_sheet_shows_its_own_rows_and_takes_no_edit_of_the_old_ones(workbook):
    source = workbook.source
    old_page = read_first_page(source)
    *values, revision = data_tab.choose_sheet(source, "June", [source], 3, ENGLISH)
    assert (read_outputs(values).sheet["value"], revision) == ("June", 4)
    before = store.find(source).table().rows
    old_page.loc[0, "response"] = "Edited on the rows of May."
    _, revision, notice = save_edits(source, old_page, revision)
    assert (revision, notice["kind"]) == (5, "bad")
    assert notice["text"] == messages.ROWS_CHANGED.render()
    assert delete_rows(source, "1", revision)[2]["kind"] == "bad"
    assert store.find(source).table().rows == before
    assert before[0]["response"] == "It came in June, number 0."
    new_page = read_first_page(source)
    new_page.loc[0, "response"] = "Edited on the rows of June."
    assert save_edits(source, new_page, revision)[2]["kind"] == "good"
    assert store.find(source).table().rows[0]["response"] == "Edited on the rows of June."


def test_rows_changed_in_another_window_take_no_edit_of_what_they_were(dataset):
    other_window = SimpleNamespace(**{**vars(ENGLISH), "session_hash": "another window"})
    page = read_first_page(dataset.source)
    row_browser.show_page(dataset.source, "", 1, other_window)
    assert delete_rows(dataset.source, "1", visitor=other_window)[2]["kind"] == "good"
    page.loc[4, "response"] = NEW_ANSWER
    before = dataset.table().rows
    assert save_edits(dataset.source, page)[2]["kind"] == "bad"
    assert dataset.table().rows == before


def test_edits_in_quick_succession_are_all_saved(dataset):
    page = read_first_page(dataset.source)
    for index in (4, 5):
        page.loc[index, "response"] = NEW_ANSWER
        assert save_edits(dataset.source, page)[2]["kind"] == "good"
    rows = dataset.table().rows
    assert [rows[index]["response"] for index in (4, 5)] == [NEW_ANSWER] * 2


@pytest.mark.parametrize(
    ("text", "row_indices"),
    [("3", [2]), ("3, 7-9", [2, 6, 7, 8]), ("9-9；1", [0, 8]), ("3、7", [2, 6]), (" 2 2 ", [1])],
)
def test_row_numbers_are_read_as_people_write_them(text, row_indices):
    assert row_browser.parse_row_numbers(text, 9) == row_indices


@pytest.mark.parametrize("text", ["", "0", "10", "3-1", "a", "1-99", "-1", "1e3"])
def test_invalid_row_numbers_are_refused_with_an_example(text):
    with pytest.raises(BadData) as refusal:
        row_browser.parse_row_numbers(text, 9)
    assert refusal.value.hint.text == messages.INVALID_ROW_NUMBERS_ADVICE.text


def test_the_last_row_is_not_deleted(dataset):
    row_browser.show_page(dataset.source, "", 1, ENGLISH)
    notice = delete_rows(dataset.source, "1-40")[2]
    assert "would leave no row" in notice["text"]
    assert len(dataset.table().rows) == 40


def test_the_preview_marks_what_is_learned(dataset):
    preview = row_browser.preview_examples(ENGLISH, **data_fields(dataset.source))
    row = dataset.table().rows[0]
    question, answer = preview["examples"][0]["turns"]
    assert (question["learned"], answer["learned"]) == (False, True)
    assert (question["text"], answer["text"]) == (row["prompt"].strip(), row["response"].strip())
    assert preview["examples"][0]["raw"] == [], "without the model nobody knows its template"


@pytest.mark.parametrize(("lines", "is_long"), [(6, False), (7, True)])
def test_a_text_of_more_than_six_lines_is_clipped(tmp_path, lines, is_long):
    answer = "\\n".join(f"line {n}" for n in range(lines))
    rows = "".join(f'{{"prompt": "what is {n}?", "response": "{answer} of {n}"}}\n' for n in range(9))
    source = upload(tmp_path, "long.jsonl", rows).source
    preview = row_browser.preview_examples(ENGLISH, **data_fields(source))
    assert preview["examples"][0]["turns"][1]["long"] is is_long


def test_a_pair_shows_the_better_and_the_worse_answer(tmp_path):
    result = upload(tmp_path, "pairs.csv", PAIRS_CSV)
    preview = row_browser.preview_examples(ENGLISH, **data_fields(result.source, result.columns, "prefer"))
    turns = preview["examples"][0]["turns"]
    assert [turn["who"] for turn in turns] == [
        message.render() for message in (messages.USER, messages.BETTER, messages.WORSE)
    ]


def test_no_column_is_narrower_than_its_longest_word_and_texts_have_room(tmp_path):
    rows = "".join(f"{n},{'a long ticket text ' * 6},ok\n" for n in range(9))
    source = upload(tmp_path, "a.csv", f"no,ticket,Zufriedenheit (1-5)\n{rows}").source
    number, text, rating = row_browser._column_widths(store.find(source).table())
    assert text > 300 > rating > number
    assert rating > len("Zufriedenheit") * row_browser.PIXELS_PER_CHARACTER


@pytest.mark.thorough
def test_under_the_model_s_own_template_only_the_answer_and_its_end_are_marked(dataset, tiny_chat):
    preview = row_browser.preview_examples(ENGLISH, **data_fields(dataset.source, model=str(tiny_chat)))
    parts = preview["examples"][0]["raw"][0]["parts"]
    row = dataset.table().rows[0]
    assert parts[0]["text"].startswith("<|user|>")
    assert [part["learned"] for part in parts] == [False, True]
    assert parts[1]["text"].rstrip().endswith("</s>")
    assert row["response"].split()[0].lower() in parts[1]["text"].lower()


def draw_charts(tmp_path, content):
    """The figures of lengths and classes of texts with labels."""
    result = upload(tmp_path, "texts.csv", content)
    lengths, classes = row_browser.draw_charts(
        ENGLISH, **data_fields(result.source, result.columns, "classify")
    )
    return lengths["value"], classes["value"]


def test_the_bars_count_every_example_and_labels_that_look_like_numbers_stay_names(tmp_path):
    rows = [f"text number {n} {'long ' * (n % 30)},{1 if n % 3 else 5}\n" for n in range(600)]
    lengths, classes = draw_charts(tmp_path, "text,label\n" + "".join(rows))
    bars = lengths.data[0]
    assert len(bars.y) < 600
    assert sum(bars.y) == pytest.approx(600)
    assert messages.LENGTHS_SAMPLED.render() in lengths.layout.title.subtitle.text
    assert (classes.layout.yaxis.type, list(classes.data[0].y)) == ("category", ["5", "1"])
    assert list(classes.data[0].x) == [200, 400]


def test_few_examples_are_counted_without_a_sample_and_of_many_classes_the_largest_are_drawn(tmp_path):
    rows = [f"text number {n} and {m},{'very ' * 10}long name {n}\n" for n in range(45) for m in range(2)]
    lengths, classes = draw_charts(tmp_path, "text,label\n" + "".join(rows))
    assert list(lengths.data[0].y) == [1] * 90
    assert messages.LENGTHS_SAMPLED.render() not in lengths.layout.title.subtitle.text
    assert len(set(classes.data[0].y)) == row_browser.MAX_CLASS_BARS == 40, (
        "alike in their first letters, yet bars of their own"
    )
    assert classes.layout.title.subtitle.text == messages.LARGEST_CLASSES.render(shown=40, count=45)
