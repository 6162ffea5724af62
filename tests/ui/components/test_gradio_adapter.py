"""What the studio relies on in Gradio without a promise: after an upgrade, these say what changed."""

import asyncio
import json
import re
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import gradio as gr
import gradio.routes
import pytest
from playwright._impl._driver import compute_driver_executable

from studio.errors import NotPossible
from studio.i18n import Message
from studio.ui import failures
from studio.ui.components.gradio_adapter import (
    current_page,
    drop_hidden_progress,
    escape_template,
    hide_api,
    patch_components,
    unescape_template,
)

FRONTEND = Path(gr.__file__).parent / "templates" / "frontend" / "assets"
HOSTILE = "`; alert(1); ` ${alert(2)} \\n \\` {{value}} C:\\temp"


@pytest.fixture(autouse=True)
def patched():
    patch_components()


def evaluate_template_literal(text):
    """What JavaScript makes of a text between backticks; fails where it would run something."""
    result, position = [], 0
    while position < len(text):
        character = text[position]
        assert character != "`", "a backtick ends the literal"
        assert not text.startswith("${", position), "an expression would be run"
        if character == "\\":
            position += 1
            character = text[position]
            assert character in "\\`$", "any other escape changes the text"
        result.append(character)
        position += 1
    return "".join(result)


def test_the_page_that_is_being_built_is_the_outermost_blocks():
    with gr.Blocks() as page:
        assert current_page() is page
        with gr.Tab("inside"), gr.Row():
            assert current_page() is page


def test_outside_of_a_page_it_says_so():
    with pytest.raises(RuntimeError, match="no page is being built"):
        current_page()


@pytest.mark.parametrize("component_class", [gr.Slider, gr.Number])
def test_a_field_hands_on_what_it_cannot_take(component_class):
    field = component_class(minimum=1, maximum=10, value=2)
    assert [field.preprocess(value) for value in (5, 99, None)] == [5, 99, None]


def test_a_template_shows_every_text_as_it_is_and_runs_nothing():
    pane = gr.HTML({}, html_template="<p>{{value.text}}</p>")
    value = {"text": HOSTILE, "list": [HOSTILE], "pair": (HOSTILE, 3), "count": 3}
    sent = pane.postprocess(value)
    assert evaluate_template_literal(sent["text"]) == HOSTILE
    assert evaluate_template_literal(sent["list"][0]) == HOSTILE
    assert evaluate_template_literal(sent["pair"][0]) == HOSTILE
    assert sent["count"] == 3
    assert pane.preprocess(sent) == {**value, "pair": [HOSTILE, 3]}


def test_a_component_drawn_by_its_script_gets_its_value_as_it_is():
    table = gr.HTML({}, html_template="<div></div>", js_on_load="0")
    assert table.postprocess({"text": HOSTILE}) == {"text": HOSTILE}


def test_patching_twice_escapes_once():
    patch_components()
    pane = gr.HTML({}, html_template="{{value}}")
    assert pane.postprocess(HOSTILE) == escape_template(HOSTILE)
    assert unescape_template(escape_template(HOSTILE)) == HOSTILE


def test_fields_that_gradio_makes_anew_for_a_visitor_are_patched_too():
    field = gr.Number(minimum=1, maximum=10, value=2)
    copied = field.__class__(**field.constructor_args)
    assert copied.preprocess(99) == 99


def test_events_that_show_no_progress_are_followed_by_no_component():
    with gr.Blocks() as page:
        text = gr.Textbox()
        text.change(str.upper, text, text, show_progress="hidden")
        text.submit(str.upper, text, text)
    drop_hidden_progress(page)
    quiet, loud = page.get_config_file()["dependencies"]
    assert quiet["show_progress_on"] == []
    assert loud["show_progress_on"] is None


def test_the_browser_takes_an_empty_list_for_no_component():
    """In JavaScript an empty list is true, so that the outputs do not take its place."""
    scripts = [path.read_text(encoding="utf-8") for path in FRONTEND.glob("Blocks-*.js")]
    assert any("return this.show_progress_on||this.outputs" in script for script in scripts)


def test_what_an_event_has_read_follows_it_no_longer_once_it_has_ended():
    """The `stream_state` of an event that has ended is "closed", also where nothing streamed."""
    (progress_script,) = FRONTEND.glob("statustracker-*.js")
    sent = gradio.routes.file_response(str(FRONTEND), progress_script.name)
    assert sent.body.decode().count("!==`closed`?`input`:") == 1
    assert sent.headers["content-type"].startswith("text/javascript")


@pytest.fixture
def page_script():
    """Gradio's script of the page, as the browser gets it."""
    (path,) = FRONTEND.glob("core-*.js")
    return gradio.routes.file_response(str(FRONTEND), path.name).body.decode()


def run_in_node(script):
    """What a script prints as JSON."""
    node = str(compute_driver_executable()[0])
    done = subprocess.run([node, "-e", script], capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def test_a_component_is_found_where_it_was_before_and_where_it_has_moved_to(page_script):
    find = re.search(r"function (\w+)\(root, id\) \{.*?\n\}", page_script, re.DOTALL)
    moves = """
        const leaf = (id) => ({ id, children: [] });
        const root = { id: 0, children: [leaf(1), { id: 2, children: [leaf(3)] }] };
        const first = [find(root, 3).id, find(root, 3).id, find(root, 9)];
        root.children.reverse();
        root.children[0].children = [leaf(4), leaf(3)];
        const [two, one] = root.children;
        const moved = [find(root, 3) === two.children[1], find(root, 1) === one, find(root, 2) === two];
        console.log(JSON.stringify([first, moved]));"""
    assert run_in_node(f"{find[0]}; const find = {find[1]}; {moves}") == [[3, 3, None], [True, True, True]]


def test_a_component_has_the_events_that_are_aimed_at_it(page_script):
    method = re.search(r"find_attached_events\(node, events\) \{.*?\n\}", page_script, re.DOTALL)
    lookups = """
        const events = [
          { targets: [[1, 'load'], [2, 'click'], [2, 'input']] }, { targets: [] },
          { targets: [[2, 'change'], [3, null]] },
        ];
        const page = new Page();
        const node = (id) => page.find_attached_events({ id, props: { shared_props: {} } }, events);
        console.log(JSON.stringify([1, 2, 3, 4].map((id) => node(id).props.shared_props.attached_events)));"""
    found = run_in_node(f"class Page {{ {method[0]} }}; {lookups}")
    assert found == [["load"], ["click", "change"], [], []]


def test_no_event_is_described_for_other_callers():
    with gr.Blocks() as page:
        text = gr.Textbox()
        text.change(str.upper, text, text)
    assert page.get_api_info()["named_endpoints"]
    hide_api(page)
    assert not page.get_api_info()["named_endpoints"]


def fire_event(handler, values):
    """What an event with one text field replies to these values."""
    with gr.Blocks() as page:
        text = gr.Textbox()
        text.change(handler, text, text)
    # In a thread of its own: Playwright keeps a loop running in this one.
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, page.process_api(page.fns[0], values, request=None)).result()


def fail(text):
    """A handler with a fault."""
    return text + 1


def refuse(text):
    """A handler that says what is wrong."""
    raise NotPossible(Message("Not with this text."), Message("Type another."))


def refuse_in_gradio(text):
    """A handler that says so in Gradio's way."""
    raise gr.Error("Not with this text.")


@pytest.mark.parametrize(
    ("handler", "values", "sentence", "is_logged"),
    [
        (fail, ["a"], "TypeError", True),
        (fail, [], failures.UNREADABLE.render(), True),
        (refuse, ["a"], "Not with this text. Type another.", False),
        (refuse_in_gradio, ["a"], "Not with this text.", False),
    ],
)
def test_an_event_that_fails_is_told_in_a_sentence_and_logged_in_a_line(
    handler, values, sentence, is_logged, capsys
):
    with pytest.raises(gr.Error) as failure:
        fire_event(handler, values)
    assert sentence in failure.value.message
    assert not failure.value.print_exception, "Gradio would log a traceback"
    assert len(capsys.readouterr().err.splitlines()) == is_logged
