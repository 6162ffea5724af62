"""The Playground tab: base and tuned model answer side by side, and a run is put to use."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import gradio as gr

from studio import presets, runs
from studio.errors import DamagedFile, StudioError
from studio.i18n import Message, label
from studio.plan import Task
from studio.playground import base_only, questions
from studio.playground import session as playground_session
from studio.playground.session import Question
from studio.runs import Run
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.events import UNQUEUED, read_event
from studio.ui.components.gradio_adapter import current_page
from studio.ui.components.labels import t
from studio.ui.language import request_language
from studio.ui.playground import blind_vote, history, next_round, sheet
from studio.ui.playground.panes import PANE_TEMPLATE, SIDE_NAMES, answer_in_words, pane_value
from studio.ui.train import runs_table

HEADING = label("## Playground\nThe base model and yours answer the same question, side by side.")
RUN_LABEL = label("Run")
PROMPT = label("Your question or text")
PROMPT_HINT = label("Something like your examples, but not one of them")
TRY_ONE = Message("Try one your model has not seen:")
ASK_BASE_ONLY = label("Ask the base model only")
BASE_ONLY_TITLE = Message("Base model only: {model}")
FETCHING_MODEL = Message("Downloading the model… {share:.0%}")
LOADING_BASE = Message("Loading the base model…")
ASK, FOLLOW_UP, STOP = label("Ask both"), label("Ask as follow-up"), label("Stop")
OPTIONS = label("Options: system prompt, temperature, length, seed")
SYSTEM = label("System prompt")
SYSTEM_HELP = label("Both models read it before your question. Leave it empty unless you trained with one.")
TEMPERATURE = label("Temperature")
TEMPERATURE_HELP = label("0 = most predictable; higher values vary more.")
MAX_LENGTH, MAX_LENGTH_HELP = label("Max length"), label("Longest answer, in tokens.")
SEED = label("Seed")
SEED_HELP = label("The same seed gives the same answers.")
NO_FINISHED_RUN = Message("No finished run yet. Train one first; a sample takes a few minutes.")
NO_PROMPT = Message("Type a question first.")
LOADING_BOTH = Message("Loading both models and verifying their weights…")
SELF_TEST_FAILED = Message(
    "The self-test failed: don't trust this comparison. Train again or choose another run."
)
MAX_PROMPT_CHARS, MAX_SYSTEM_CHARS = 20_000, 4_000
# The questions are buttons; which one is pressed travels as its number.
CHIPS_TEMPLATE = """
{{#if value.questions}}
<p id="chips-label">{{value.title}}</p>
<ul class="chips" aria-labelledby="chips-label">
  {{#each value.questions}}
    <li><button type="button" data-number="{{@index}}" title="{{this}}">{{this}}</button></li>
  {{/each}}
</ul>
{{/if}}
{{#if value.fault}}<p>{{value.fault}}</p>{{/if}}
"""
CHIPS_SCRIPT = """
element.addEventListener('click', (event) => {
  const chip = event.target.closest('button[data-number]');
  if (chip) trigger('click', { number: Number(chip.dataset.number) });
});
"""


class PlaygroundTab(NamedTuple):
    """The components other tabs need."""

    run_dropdown: gr.Dropdown
    prompt: gr.Textbox
    answered: Any


class Asked(NamedTuple):
    """What asking updates, in the order of the components."""

    notice: Any = gr.skip()
    base: Any = gr.skip()
    tuned: Any = gr.skip()
    prompt: Any = gr.skip()
    history: Any = gr.skip()
    follow_up: Any = gr.skip()


def ask_both(
    run_id: str | None, last: str, prompt: str, event: gr.EventData, request: gr.Request, **options: Any
) -> Iterator[Asked]:
    """Stream both answers to a new question, or to one of those that are offered.

    Args:
        run_id: The chosen run; None while the list of runs is still loading, when the `last` one is asked.
        last: The run that this browser remembers.
        prompt: The question or text.
        event: A press of one of the offered questions has its `number`.
        request: The browser's request, for its language.
        **options: temperature, length (new tokens at most), seed, system and past (the history), as the page
            holds them.
    """
    number = read_event(event, "number")
    yield from _ask(run_id or last, prompt if number is None else number, request, options)


def ask_follow_up(
    run_id: str | None, last: str, prompt: str, request: gr.Request, **options: Any
) -> Iterator[Asked]:
    """Stream both answers to a question that continues the conversation; arguments as in `ask_both`."""
    turns = history.read_turns(options.get("past"))
    yield from _ask(run_id or last, prompt, request, {**options, "turns": turns})


def _ask(run_id: str, prompt: str | int, request: gr.Request, options: Mapping[str, Any]) -> Iterator[Asked]:
    lang = request_language(request)
    if not run_id:
        yield Asked(notices.notice(NO_FINISHED_RUN.render(lang), kind="bad"))
        return
    try:
        run = runs.get(run_id)
        text = _offered_question(run, prompt) if isinstance(prompt, int | float) else str(prompt)
        if not text.strip():
            yield Asked(notices.notice(NO_PROMPT.render(lang), kind="bad"))
            return
        busy = {side: pane_value(side, lang=lang, busy=True) for side in SIDE_NAMES}
        yield Asked(notices.notice(LOADING_BOTH.render(lang)), **busy, prompt=text)
        yield from _stream_answers(run, _read_question(text, options), options.get("past"), lang)
    except Exception as error:  # any error is shown here instead of in Gradio's overlay
        empty = {side: pane_value(side, lang=lang) for side in SIDE_NAMES}
        yield Asked(notices.error_notice(error, lang), **empty)


def _stream_answers(run: Run, question: Question, past: object, lang: str) -> Iterator[Asked]:
    session = playground_session.get_session(run)
    problem = "" if session.self_test.passed else SELF_TEST_FAILED.render(lang)
    notice = notices.notice(problem, kind="bad")
    problem_type = _problem_type(run)
    for answer in session.ask(question):
        panes = {side: pane_value(side, answer, session.self_test, lang, problem_type) for side in SIDE_NAMES}
        yield Asked(notice, **panes)
    sides = {side: answer_in_words(answer, side, problem_type) for side in SIDE_NAMES}
    entry = {"question": question.prompt, **sides}
    yield Asked(
        history=history.add_entry(past, entry, bool(question.turns), lang),
        follow_up=gr.update(visible=_is_chat(run)),
    )


def _offered_question(run: Run, number: float) -> str:
    """One of the questions that are offered; empty for a number that none of them has."""
    offered = dict(enumerate(questions.offer(run)))
    return offered.get(int(number), "")


def _read_question(prompt: str, options: Mapping[str, Any]) -> Question:
    """The question with its sampling parameters held within their ranges."""
    return Question(
        prompt,
        temperature=max(0.0, min(2.0, float(options["temperature"]))),
        length=max(1, min(1024, int(options["length"]))),
        seed=max(0, int(options["seed"] or 0)),
        system=str(options.get("system") or "").strip()[:MAX_SYSTEM_CHARS],
        turns=options.get("turns", ()),
    )


def ask_base(
    model: str, task: Task, prompt: str, request: gr.Request, **options: Any
) -> Iterator[tuple[Any, ...]]:
    """Stream the answer of the base model chosen on the Method tab, before anything is trained."""
    lang = request_language(request)
    if not prompt.strip():
        yield notices.notice(NO_PROMPT.render(lang), kind="bad"), gr.skip(), gr.skip()
        return
    card = presets.models().get(str(model or ""))
    base_pane = {
        **pane_value("base", lang=lang, busy=True),
        "title": BASE_ONLY_TITLE.render(lang, model=card.name if card else str(model)),
    }
    tuned_pane = pane_value("tuned", lang=lang)
    yield notices.notice(LOADING_BASE.render(lang)), base_pane, tuned_pane
    try:
        access.check_model(str(model or ""))
        text = ""
        for text, fetched_share in base_only.ask(str(model), _read_question(prompt, options), task):
            yield (
                notices.notice(
                    "" if fetched_share >= 1 else FETCHING_MODEL.render(lang, share=fetched_share)
                ),
                {**base_pane, "text": text},
                tuned_pane,
            )
        yield notices.notice(""), {**base_pane, "text": text, "busy": "false"}, tuned_pane
    except StudioError as error:
        yield notices.error_notice(error, lang), {**base_pane, "busy": "false"}, tuned_pane


def stop_answers(run_id: str | None) -> None:
    """Stop both answers where they are."""
    try:
        if run_id:
            playground_session.stop_answers(runs.get(run_id))
    except StudioError:
        return  # a run that is gone has nothing to stop


def _problem_type(run: Run) -> str:
    """What a classifier gives; "" for a model that writes. Runs of earlier studios have one class a text."""
    if run.plan.task != "classify":
        return ""
    return runs.report(run).get("problem_type") or "single_label_classification"


def _is_chat(run: Run) -> bool:
    """Whether a run answers in a conversation, which can go on."""
    return run.plan.task not in ("classify", "complete")


def update_run_choices(
    current_id: str | None, remembered_id: str, browser_runs: object, request: gr.Request
) -> Any:
    """The runs with a result; the remembered run is selected unless another one was chosen."""
    lang = request_language(request)
    usable_runs = [
        run
        for run in access.visible_runs([*access.read_run_ids(browser_runs), remembered_id])
        if runs.is_usable(run)
    ]
    usable_ids = [run.id for run in usable_runs]
    selected_id = next(
        (run_id for run_id in (remembered_id, current_id, *usable_ids) if run_id in usable_ids), None
    )
    return gr.update(choices=runs_table.list_choices(usable_runs, lang), value=selected_id)


def remember_run(run_id: str | None) -> Any:
    """Remember the run that was chosen here."""
    return run_id or gr.skip()


def show_run(run_id: str | None, request: gr.Request) -> tuple[Any, ...]:
    """What suits the run that was chosen: questions to try, options, and panes and history without answers.

    A classifier has no options, and only a conversation has a system prompt.
    """
    lang = request_language(request)
    panes = [pane_value(side, lang=lang) for side in SIDE_NAMES]
    past, hidden = history.history_value([], lang), gr.update(visible=False)
    try:
        run = runs.get(run_id or "")
    except StudioError:
        return {}, gr.update(visible=True), hidden, *panes, past, hidden
    writes = gr.update(visible=run.plan.task != "classify")
    return _offer_questions(run, lang), writes, gr.update(visible=_is_chat(run)), *panes, past, hidden


def _offer_questions(run: Run, lang: str) -> dict[str, Any]:
    """The questions to try; in their place a sentence where the rows they come from are damaged."""
    try:
        return {"questions": questions.offer(run), "title": TRY_ONE.render(lang)}
    except DamagedFile as error:
        return {"fault": error.render(lang)}


def show_empty_panes(request: gr.Request) -> tuple[Any, ...]:
    """Both panes without an answer, in the browser's language."""
    lang = request_language(request)
    return pane_value("base", lang=lang), pane_value("tuned", lang=lang)


class _Compare(NamedTuple):
    """The components of the comparison."""

    chips: gr.HTML
    prompt: gr.Textbox
    ask: gr.Button
    follow_up: gr.Button
    stop: gr.Button
    base_only: gr.Button
    notice: gr.HTML
    panes: list[gr.HTML]
    options_panel: gr.Accordion
    options: dict[str, Any]
    past: gr.HTML


def _build_compare() -> _Compare:
    chips = gr.HTML(
        {}, html_template=CHIPS_TEMPLATE, js_on_load=CHIPS_SCRIPT, elem_id="chips", apply_default_css=False
    )
    prompt = gr.Textbox(
        "",
        label=t(PROMPT),
        placeholder=t(PROMPT_HINT),
        lines=2,
        max_lines=8,
        max_length=MAX_PROMPT_CHARS,
        elem_id="prompt",
    )
    with gr.Row(elem_id="ask-buttons"):
        ask = gr.Button(t(ASK), variant="primary", elem_id="ask")
        follow_up = gr.Button(t(FOLLOW_UP), visible=False, elem_id="ask-follow-up")
        stop = gr.Button(t(STOP), elem_id="stop-answer")
        base_only_button = gr.Button(t(ASK_BASE_ONLY), elem_id="ask-alone")
    notice = notices.notice_box("answer-notice")
    with gr.Row(equal_height=True, elem_id="panes"):
        panes = [_build_pane(side) for side in SIDE_NAMES]
    past = gr.HTML({}, html_template=history.HISTORY_TEMPLATE, elem_id="history", apply_default_css=False)
    with gr.Accordion(t(OPTIONS), open=False, elem_id="answer-options") as options_panel:
        options = _build_options()
    return _Compare(
        chips, prompt, ask, follow_up, stop, base_only_button, notice, panes, options_panel, options, past
    )


def _build_pane(side: str) -> gr.HTML:
    with gr.Column(min_width=300):
        return gr.HTML(pane_value(side), html_template=PANE_TEMPLATE, elem_id=side, apply_default_css=False)


def _build_options() -> dict[str, Any]:
    system = gr.Textbox(
        "", label=t(SYSTEM), info=t(SYSTEM_HELP), lines=2, max_length=MAX_SYSTEM_CHARS, elem_id="system"
    )
    with gr.Row():
        temperature = gr.Slider(
            0, 2, 0, step=0.1, label=t(TEMPERATURE), info=t(TEMPERATURE_HELP), elem_id="temperature"
        )
        length = gr.Slider(
            8, 512, 120, step=8, label=t(MAX_LENGTH), info=t(MAX_LENGTH_HELP), elem_id="length"
        )
        seed = gr.Number(0, label=t(SEED), info=t(SEED_HELP), precision=0, minimum=0, elem_id="answer-seed")
    return {"system": system, "temperature": temperature, "length": length, "seed": seed}


def build(
    last_run: gr.BrowserState,
    run_ids: gr.BrowserState,
    dataset_sources: gr.BrowserState,
    sheet_id: gr.BrowserState,
    model: gr.Dropdown,
    task: gr.Radio,
) -> PlaygroundTab:
    """Build and wire the tab.

    Args:
        last_run: The run trained last.
        run_ids: The runs that this browser has started.
        dataset_sources: The data sets that it has brought.
        sheet_id: The sheet that it has brought last.
        model: The base model of the next run.
        task: The task of the next run.
    """
    with gr.Column(elem_id="compare"):
        with gr.Row(elem_id="compare-head"):
            gr.Markdown(t(HEADING))
            run_dropdown = gr.Dropdown([], label=t(RUN_LABEL), elem_id="compare-run")
        compare = _build_compare()
    inputs = {
        "run_id": run_dropdown,
        "last": last_run,
        "prompt": compare.prompt,
        "past": compare.past,
        **compare.options,
    }
    outputs = [compare.notice, *compare.panes, compare.prompt, compare.past, compare.follow_up]
    answered = gr.on(
        [compare.ask.click, compare.prompt.submit, compare.chips.click],
        ask_both,
        inputs_kwargs=inputs,
        outputs=outputs,
        show_progress="hidden",
        concurrency_limit=4,
    )
    followed = compare.follow_up.click(
        ask_follow_up,
        inputs_kwargs=inputs,
        outputs=outputs,
        show_progress="hidden",
        concurrency_limit=4,
    )
    base_answered = compare.base_only.click(
        ask_base,
        inputs_kwargs={"model": model, "task": task, "prompt": compare.prompt, **compare.options},
        outputs=[compare.notice, *compare.panes],
        show_progress="hidden",
        concurrency_limit=1,
    )
    compare.stop.click(stop_answers, run_dropdown, None, cancels=base_answered, **UNQUEUED)
    current_page().load(show_empty_panes, None, compare.panes, **UNQUEUED)
    run_dropdown.change(
        show_run,
        run_dropdown,
        [
            compare.chips,
            compare.options_panel,
            compare.options["system"],
            *compare.panes,
            compare.past,
            compare.follow_up,
        ],
        cancels=[answered, followed],  # they would write the answers of the run before
        **UNQUEUED,
    )
    sheet.build(run_dropdown, sheet_id)
    with gr.Accordion(t(blind_vote.HEADING), open=False, elem_id="blind-vote"):
        vote_panel = blind_vote.build(run_dropdown, run_ids)
        with vote_panel.column:
            next_round.build(vote_panel.vote, last_run, run_ids, dataset_sources)
    return PlaygroundTab(run_dropdown, compare.prompt, answered)
