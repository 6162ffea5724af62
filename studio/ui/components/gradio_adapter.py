"""The only file that relies on Gradio's private parts, or changes how its components behave (Gradio 6.31).

What each part relies on is checked by tests/ui/components/test_gradio_adapter.py: run it after an upgrade.
"""

import re
from pathlib import Path
from typing import Any

import gradio as gr
import gradio.routes
from gradio.route_utils import GradioMultiPartParser, file_response
from starlette.responses import FileResponse, Response

from studio.errors import NotPossible, StudioError, explain
from studio.ui.failures import RELOAD, UNREADABLE, log_failure
from studio.ui.language import request_language

PATCHED_FLAG = "_studio_patched"
# Where Gradio's script of progress decides whether an input of an event follows the event's progress: while a
# stream is open and, though nothing streams, for good once the event has ended.
FOLLOWS_INPUT = re.compile(r"(\.includes\(\w\)&&)(\w)(?=\?`input`:)")
# Where its script of the page looks for a component by walking through all, and a quick way: along the path
# on which it was found before.
FINDS_NODE = re.compile(
    r"function (\w+)\((\w),(\w)\)\{if\(\2\.id===\3\)return \2;if\(\2\.children\)for\(.*?\}return null\}"
)
FIND_NODE_JS = r"""function \1(root, id) {
  const paths = \1.paths ??= new Map();
  const known = (paths.get(id) || []).reduce((node, step) => node?.children?.[step], root);
  if (known?.id === id) return known;
  const walk = (node, path) => {
    paths.set(node.id, path);
    if (node.id === id) return node;
    for (let step = 0; step < (node.children?.length || 0); step += 1) {
      const found = walk(node.children[step], [...path, step]);
      if (found) return found;
    }
    return null;
  };
  return walk(root, []);
}"""
# Where it looks for the events of a component among the targets of all, and a quick way: in a table of them.
FINDS_EVENTS = re.compile(
    r"find_attached_events\((\w),(\w)\)\{let (\w)=\2\.filter\(.*?\.filter\(Boolean\);"
    r"return \1\.props\.shared_props\.attached_events=\3,\1\}"
)
FIND_EVENTS_JS = """find_attached_events(node, events) {
  if (this.tabled_events !== events) {
    this.tabled_events = events;
    this.event_table = new Map();
    for (const event of events) {
      for (const [id, name] of new Map([...event.targets].reverse())) {
        if (name) this.event_table.set(id, [...(this.event_table.get(id) || []), name]);
      }
    }
  }
  node.props.shared_props.attached_events = [...(this.event_table.get(node.id) || [])];
  return node;
}"""


def current_page() -> gr.Blocks:
    """The page that is being built, whose `load` event fires when a browser opens it.

    A function that lays out a tab is called inside `with gr.Blocks()`, and Gradio knows that page only as
    the private `Context.root_block`.

    Raises:
        RuntimeError: No page is being built.
    """
    page = gr.context.Context.root_block
    if page is None:
        raise RuntimeError("no page is being built: call this inside `with gr.Blocks()`")
    return page


def patch_components() -> None:
    """Change fields, events, uploads and CORS for the studio's page; calling it again changes nothing.

    The classes are patched, not instances, since Gradio creates components anew from their class for every
    visitor.
    """
    for component_class in (gr.Slider, gr.Number):
        _patch_once(component_class, _pass_invalid_numbers)
    _patch_once(gr.HTML, _escape_template_values)
    _patch_once(gr.Blocks, _answer_failed_events)
    _patch_once(GradioMultiPartParser, _remove_refused_uploads)
    gradio.routes.CustomCORSMiddleware = SameOriginOnly
    gradio.routes.file_response = _respond_with_file


class SameOriginOnly:
    """In place of Gradio's CORS middleware, which lets other ports of this machine in: it allows no site.

    It stands outside the studio's own middleware, so that a preflight would be answered before that is asked.

    Args:
        app: The application behind it.
    """

    def __init__(self, app: Any, **_: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass the request on."""
        await self.app(scope, receive, send)


def drop_hidden_progress(page: gr.Blocks) -> None:
    """Let no component follow the progress of an event that shows none.

    Gradio 6.31 tells every output of every event that has run so far, whenever an event begins or ends, and
    walks through the whole page to find each of them, also where `show_progress` is "hidden".

    Args:
        page: The page with all its events.
    """
    for function in page.fns.values():
        if function.show_progress == "hidden":
            function.show_progress_on = []


def drop_ended_inputs(script: str) -> str:
    """Gradio's script of progress, changed so that no component follows an event that has read it and ended.

    As Gradio 6.31 sends it, all that any event has read so far is told of each event that begins or ends, and
    each is looked for in the whole page: that takes most of the time in which a browser answers.
    """
    return FOLLOWS_INPUT.sub(r"\1\2&&\2!==`closed`", script)


def shorten_searches(script: str) -> str:
    """Gradio's script of the page, changed so that it finds a component and its events without a long search.

    As Gradio 6.31 sends it, each input and output of each event is looked for in the whole page.
    """
    return FINDS_EVENTS.sub(FIND_EVENTS_JS, FINDS_NODE.sub(FIND_NODE_JS, script))


# Scripts of Gradio that are changed on their way to the browser.
CHANGED_SCRIPTS = {"statustracker-*.js": drop_ended_inputs, "core-*.js": shorten_searches}


def _respond_with_file(folder: Any, path: Any) -> Response:
    response: FileResponse = file_response(folder, path)
    for pattern, change in CHANGED_SCRIPTS.items():
        if Path(response.path).match(pattern):
            script = Path(response.path).read_text(encoding="utf-8")
            return Response(change(script), media_type="text/javascript")
    return response


def hide_api(page: gr.Blocks) -> None:
    """Describe no event for callers other than the page, which would make up half of the page's document.

    Args:
        page: The page with all its events.
    """
    for function in page.fns.values():
        function.api_visibility = "private"


def _answer_failed_events(blocks_class: Any) -> None:
    """Answer an event that fails with a sentence, where Gradio would log a traceback.

    A browser can send values that no field holds; Gradio fails before the handler is called, or the handler
    does.
    """
    original_preprocess, original_process = blocks_class.preprocess_data, blocks_class.process_api

    async def preprocess_data(self: Any, block_fn: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return await original_preprocess(self, block_fn, *arguments, **options)
        except Exception as error:
            log_failure(f"values for {block_fn.name}", error)
            raise NotPossible(UNREADABLE, RELOAD) from None

    async def process_api(self: Any, block_fn: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return await original_process(self, block_fn, *arguments, **options)
        except gr.Error as error:
            error.print_exception = False
            raise
        except Exception as error:
            if not isinstance(error, StudioError):
                log_failure(block_fn.name, error)
            sentences = explain(error).render(request_language(options.get("request")))
            raise gr.Error(sentences, print_exception=False) from None

    blocks_class.preprocess_data, blocks_class.process_api = preprocess_data, process_api


def _remove_refused_uploads(parser_class: Any) -> None:
    """Remove from the disk what was received of an upload that is refused, breaks off or is not handed on."""
    original_parse = parser_class.parse

    async def parse(self: Any) -> Any:
        kept_files: set[str] = set()
        try:
            form = await original_parse(self)
            kept_files = {
                str(upload.file.name) for upload in form.getlist("files") if hasattr(upload, "file")
            }
            return form
        finally:
            for file in self._files_to_close_on_error:
                if file.name not in kept_files:
                    file.close()
                    Path(file.name).unlink(missing_ok=True)

    parser_class.parse = parse


def _patch_once(component_class: Any, patch: Any) -> None:
    if PATCHED_FLAG not in vars(component_class):
        patch(component_class)
        setattr(component_class, PATCHED_FLAG, True)


def _pass_invalid_numbers(component_class: Any) -> None:
    """Let a number out of range, or an empty field, reach the studio's checks, which say what is expected.

    Gradio would only show that an error occurred.
    """
    original_preprocess = component_class.preprocess

    def tolerant_preprocess(self: Any, value: Any) -> Any:
        try:
            return original_preprocess(self, value)
        except (gr.Error, TypeError, ValueError):
            return value

    component_class.preprocess = tolerant_preprocess


def _escape_template_values(component_class: Any) -> None:
    """Escape all text that an HTML template shows; a component drawn by a script gets its value as it is."""
    original_preprocess = component_class.preprocess
    original_postprocess = component_class.postprocess

    def unescaped_preprocess(self: Any, value: Any) -> Any:
        return original_preprocess(self, unescape_template(value) if _has_template(self) else value)

    def escaped_postprocess(self: Any, value: Any) -> Any:
        output = original_postprocess(self, value)
        return escape_template(output) if _has_template(self) else output

    component_class.preprocess = unescaped_preprocess
    component_class.postprocess = escaped_postprocess


def _has_template(component: Any) -> bool:
    return "{{" in (component.html_template or "")


def escape_template(value: Any) -> Any:
    """A value whose texts a template shows unchanged, with texts inside dicts and lists escaped too.

    Gradio 6.31 puts the output of a template between backticks and evaluates it as JavaScript: `${…}` in a
    text would be executed, and a backslash would be lost.
    """
    if isinstance(value, dict):
        return {key: escape_template(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [escape_template(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"[\\`$]", r"\\\g<0>", value)
    return value


def unescape_template(value: Any) -> Any:
    """The value that `escape_template` was called with (tuples as lists)."""
    if isinstance(value, dict):
        return {key: unescape_template(item) for key, item in value.items()}
    if isinstance(value, list):
        return [unescape_template(item) for item in value]
    if isinstance(value, str):
        return re.sub(r"\\([\\`$])", r"\1", value)
    return value
