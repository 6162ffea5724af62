"""Steps that several browser tests share: tabs, fields, uploads, and the end of a run."""

from playwright.sync_api import expect


def open_tab(page, name):
    heading = page.get_by_role("tab", name=name)
    heading.click()
    expect(heading).to_have_attribute("aria-selected", "true")


def choose_model(page, folder):
    field = page.locator("#model input")
    field.fill(str(folder))
    field.press("Enter")
    expect(page.locator("#model-notice")).to_contain_text(folder.name)


def open_part(page, elem_id):
    """Open a part of the page that is closed at first."""
    header = page.locator(f"#{elem_id} > button.label-wrap")
    if "open" not in header.get_attribute("class").split():
        header.click()


def open_settings(page):
    """Open the settings on the Method tab, those that matter first and the others."""
    open_part(page, "settings")
    open_part(page, "more-training")


def set_number(page, selector, value):
    field = page.locator(f"{selector} input[type=number]").first
    field.fill(str(value))
    field.press("Enter")


def wait_for_end(page, state="done", timeout=120_000):
    page.locator(f"#live .run-state[data-state={state}]").wait_for(timeout=timeout)


def curve_lengths(page):
    return page.evaluate(
        "(document.querySelector('#live .js-plotly-plot')?.data || []).map((trace) => trace.y.length)"
    )


def start_tiny(page, data, model, epochs=4, batch=8):
    """Upload, choose the tiny model, set epochs and batch size, start.

    30 epochs with batches of one last long enough to be interrupted.
    """
    page.locator("#upload input[type=file]").set_input_files(str(data))
    expect(page.locator("#data-notice .good")).to_be_visible()
    page.get_by_role("button", name="Next: choose a method").click()
    choose_model(page, model)
    open_settings(page)
    set_number(page, "#epochs", epochs)
    set_number(page, "#batch-size", batch)
    page.locator("#to-train").click()
    expect(page.locator("#summary")).to_contain_text("steps")
    page.locator("#start").click()


def answer_all_six(page):
    """Answer the chooser's questions like somebody with some answers who wants another tone."""
    answer_questions(
        page, change="tone", have="answers", many="some", where="unknown", budget="any", apart="near"
    )


def answer_questions(page, **answers):
    """Choose an answer of the chooser for each question."""
    for question, answer in answers.items():
        page.locator(f"#ask-{question} input[value={answer}]").check()
