"""The Playground tab: base and tuned model answer side by side, and a self-test proves which is which."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import gradio as gr

from studio import presets, runs
from studio.data.targets import LABEL_THRESHOLD
from studio.errors import StudioError
from studio.i18n import Message, label
from studio.plan import Task
from studio.playground import base_only
from studio.playground import session as playground_session
from studio.playground.session import Answer, Question, SelfTestResult
from studio.runs import Run
from studio.ui import access
from studio.ui.components import notices
from studio.ui.components.gradio_adapter import current_page
from studio.ui.components.labels import t
from studio.ui.language import request_language
from studio.ui.playground import blind_vote, next_round

COMPARE_HEADING = label(
    "### Compare\nBoth models get the same question, the same settings and the same random seed."
)
RUN_LABEL = label("Result of which run")
PROMPT = label("Your question or text")
PROMPT_HINT = label("Something like your examples, but not one of them")
ASK_BASE_ONLY = label("Ask the base model alone")
BASE_ONLY_TITLE = Message("Base model alone: {model}")
FETCHING_MODEL = Message("Fetching the model… {share:.0%}")
LOADING_BASE = Message("Loading the base model…")
ASK, STOP = label("Ask both"), label("Stop")
TEMPERATURE = label("How random the answers may be (temperature)")
TEMPERATURE_HELP = label("0 always takes the likeliest word.")
MAX_LENGTH = label("Longest answer in tokens")
SEED = label("Random starting point (seed)")
SEED_HELP = label("The same seed gives the same answers.")
SIDE_NAMES = {"base": Message("Base model"), "tuned": Message("Tuned model")}
NO_FINISHED_RUN = Message("No finished run yet. Train one first: LoRA on the sample takes a few minutes.")
NO_PROMPT = Message("Type a question first.")
NO_ANSWER_YET = Message("The answer will appear here.")
LOADING_BOTH = Message("Loading both models and checking which is which…")
BADGE = Message("{name} · weights {checksum}")
WEIGHTS_MATCH = Message("exactly the weights this run saved")
WEIGHTS_DIFFER = Message("not the weights this run saved")
BASE_PROOF = Message("Self-test: answers as the untouched base does (difference {moved:.3g}).")
TUNED_PROOF = Message("Self-test: differs from the base (largest score difference {moved:.3g}).")
LABELS_GIVEN = Message("Labels given (from {threshold:.0%} on): {labels}.")
NO_LABEL_GIVEN = Message("No label reaches {threshold:.0%}, so none is given.")
UNTRAINED_HEAD = Message("Its class head is new and untrained: what it says is random.")
SPEED = Message("{rate:.1f} tokens/s")
SELF_TEST_FAILED = Message(
    "The self-test failed: do not trust this comparison. Train again, or choose another run."
)

PANE_TEMPLATE = """<article class="pane {{value.side}}" aria-busy="{{value.busy}}"><header><h4>{{value.title}}</h4>
{{#if value.badge}}<p class="proof {{value.trust}}"><b>{{value.badge}}</b><span>{{value.proof}}</span></p>{{/if}}</header>
{{#if value.bars}}<ul class="classes">{{#each value.bars}}<li><span>{{this.name}}</span><span class="bar" aria-hidden="true"><i style="width:{{this.percent}}%"></i></span><b>{{this.share}}</b></li>{{/each}}</ul>
{{else}}<div class="answer">{{value.text}}</div>{{/if}}<footer>{{value.note}}</footer></article>"""  # noqa: E501 - HTML

MAX_BARS = 8  # labels shown


class PlaygroundTab(NamedTuple):
    """The components other tabs need."""

    run_dropdown: gr.Dropdown
    prompt: gr.Textbox
    answered: Any


def ask_both(
    run_id: str | None, last: str, prompt: str, request: gr.Request, **sampling: float
) -> Iterator[tuple[Any, ...]]:
    """Stream both answers.

    Args:
        run_id: The chosen run; None while the list of runs is still loading, when the `last` one is asked.
        last: The run that this browser remembers.
        prompt: The question or text.
        request: The browser's request, for its language.
        **sampling: temperature, length (new tokens at most) and seed, as the fields hold them.

    Yields:
        A notice and both panes.
    """
    lang, run_id = request_language(request), run_id or last
    if not run_id:
        yield notices.notice(NO_FINISHED_RUN.render(lang), kind="bad"), gr.skip(), gr.skip()
        return
    if not prompt.strip():
        yield notices.notice(NO_PROMPT.render(lang), kind="bad"), gr.skip(), gr.skip()
        return
    try:
        run = runs.get(run_id)
        yield (
            notices.notice(LOADING_BOTH.render(lang)),
            pane_value("base", lang=lang, busy=True),
            pane_value("tuned", lang=lang, busy=True),
        )
        model_session = playground_session.get_session(run)
        question = _read_question(prompt, sampling)
        notice = notices.notice(
            "" if model_session.self_test.passed else SELF_TEST_FAILED.render(lang), kind="bad"
        )
        problem_type = _problem_type(run)
        for partial_answer in model_session.ask(question):
            panes = [
                pane_value(side, partial_answer, model_session.self_test, lang, problem_type)
                for side in SIDE_NAMES
            ]
            yield notice, *panes
    except Exception as error:  # any error is shown here instead of in Gradio's overlay
        yield notices.error_notice(error, lang), pane_value("base", lang=lang), pane_value("tuned", lang=lang)


def _read_question(prompt: str, sampling: Mapping[str, float]) -> Question:
    """The question with its sampling parameters held within their ranges."""
    temperature = max(0.0, min(2.0, float(sampling["temperature"])))
    max_new_tokens = max(1, min(1024, int(sampling["length"])))
    return Question(prompt, temperature, max_new_tokens, max(0, int(sampling["seed"] or 0)))


def ask_base(
    model: str, task: Task, prompt: str, max_tokens: float, request: gr.Request
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
        for text, fetched_share in base_only.ask(
            str(model), prompt, max(1, min(1024, int(max_tokens))), task
        ):
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


def pane_value(
    side: str,
    partial_answer: Answer | None = None,
    proof: SelfTestResult | None = None,
    lang: str = "en",
    problem_type: str = "",
    busy: bool = False,
) -> dict[str, Any]:
    """The value of one pane; the template escapes everything in it.

    `problem_type` is that of a classifier, "" for models that write.
    """
    value: dict[str, Any] = {
        "side": side,
        "title": SIDE_NAMES[side].render(lang),
        "text": "",
        "bars": [],
        "note": "",
        "badge": "",
        "busy": "true" if busy else "false",
    }
    if partial_answer is None or proof is None:
        return {**value, "note": "" if busy else NO_ANSWER_YET.render(lang)}
    badge, is_base = getattr(proof, side), side == "base"
    if is_base:
        self_test_text = BASE_PROOF.render(lang, moved=proof.base_max_change)
        passed = proof.base_max_change == 0
    else:
        self_test_text = TUNED_PROOF.render(lang, moved=proof.tuned_max_change)
        passed = proof.tuned_max_change > 0
    weights_text = (WEIGHTS_MATCH if badge.as_trained else WEIGHTS_DIFFER).render(lang)
    value["badge"] = BADGE.render(lang, name=badge.name, checksum=badge.checksum)
    value["proof"] = f"{weights_text}. {self_test_text}"
    value["trust"] = "holds" if badge.as_trained and passed else "fails"
    error_message = partial_answer.errors.get(side)
    value["text"] = error_message.render(lang) if error_message else getattr(partial_answer, side)
    value["busy"] = "false" if side in partial_answer.done else "true"
    scores = partial_answer.scores.get(side, {})
    if problem_type == "regression":
        value["text"] = value["text"] or ", ".join(f"{number:.2f}" for number in scores.values())
    else:
        value["bars"] = _format_bars(scores)
    if problem_type:
        value["note"] = _describe_classifier(scores, problem_type, is_base, lang)
    elif side in partial_answer.done and not error_message:
        value["note"] = SPEED.render(lang, rate=partial_answer.speed[side])
    return value


def _problem_type(run: Run) -> str:
    """What a classifier gives; "" for a model that writes. Runs of earlier studios have one class a text."""
    if run.plan.task != "classify":
        return ""
    return runs.report(run).get("problem_type") or "single_label_classification"


def _format_bars(scores: Mapping[str, float]) -> list[dict[str, Any]]:
    """The likeliest labels, each with its probability."""
    ranked = sorted(scores.items(), key=lambda item: -item[1])[:MAX_BARS]
    return [
        {"name": name, "share": f"{share:.0%}", "percent": round(100 * share, 1)} for name, share in ranked
    ]


def _describe_classifier(scores: Mapping[str, float], problem_type: str, is_base: bool, lang: str) -> str:
    """What to know of a classifier's answer: the base's head is new; of several labels, which are given."""
    if is_base:
        return UNTRAINED_HEAD.render(lang)
    if problem_type != "multi_label_classification" or not scores:
        return ""
    given = [name for name, share in scores.items() if share >= LABEL_THRESHOLD]
    message = LABELS_GIVEN if given else NO_LABEL_GIVEN
    return message.render(lang, threshold=LABEL_THRESHOLD, labels=given)


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
    return gr.update(choices=[(runs.describe(run, lang), run.id) for run in usable_runs], value=selected_id)


def remember_run(run_id: str | None) -> Any:
    """Remember the run that was chosen here."""
    return run_id or gr.skip()


def show_empty_panes(request: gr.Request) -> tuple[Any, ...]:
    """Both panes without an answer, in the browser's language."""
    lang = request_language(request)
    return pane_value("base", lang=lang), pane_value("tuned", lang=lang)


def build(
    last_run: gr.BrowserState,
    run_ids: gr.BrowserState,
    dataset_sources: gr.BrowserState,
    model: gr.Dropdown,
    task: gr.Radio,
) -> PlaygroundTab:
    """Build and wire the tab.

    Args:
        last_run: The run trained last.
        run_ids: The runs that this browser has started.
        dataset_sources: The data sets that it has brought.
        model: The base model of the next run.
        task: The task of the next run.
    """
    gr.Markdown(t(COMPARE_HEADING))
    run_dropdown = gr.Dropdown([], label=t(RUN_LABEL), elem_id="compare-run")
    prompt = gr.Textbox(
        "", label=t(PROMPT), placeholder=t(PROMPT_HINT), lines=3, max_length=20_000, elem_id="prompt"
    )
    with gr.Row():
        temperature = gr.Slider(
            0, 2, 0, step=0.1, label=t(TEMPERATURE), info=t(TEMPERATURE_HELP), elem_id="temperature"
        )
        length = gr.Slider(8, 512, 120, step=8, label=t(MAX_LENGTH), elem_id="length")
        seed = gr.Number(0, label=t(SEED), info=t(SEED_HELP), precision=0, minimum=0, elem_id="answer-seed")
    with gr.Row():
        ask_button = gr.Button(t(ASK), variant="primary", elem_id="ask")
        stop_button = gr.Button(t(STOP), elem_id="stop-answer")
        base_only_button = gr.Button(t(ASK_BASE_ONLY), elem_id="ask-alone")
    notice = notices.notice_box("answer-notice")
    with gr.Row(equal_height=True):
        with gr.Column(min_width=300):
            base = gr.HTML(
                pane_value("base"), html_template=PANE_TEMPLATE, elem_id="base", apply_default_css=False
            )
        with gr.Column(min_width=300):
            tuned = gr.HTML(
                pane_value("tuned"), html_template=PANE_TEMPLATE, elem_id="tuned", apply_default_css=False
            )
    ask_inputs = {
        "run_id": run_dropdown,
        "last": last_run,
        "prompt": prompt,
        "temperature": temperature,
        "length": length,
        "seed": seed,
    }
    outputs = [notice, base, tuned]
    answered = gr.on(
        [ask_button.click, prompt.submit],
        ask_both,
        inputs_kwargs=ask_inputs,
        outputs=outputs,
        show_progress="hidden",
        concurrency_limit=4,
    )
    base_answered = base_only_button.click(
        ask_base,
        [model, task, prompt, length],
        [notice, base, tuned],
        show_progress="hidden",
        concurrency_limit=1,
    )
    stop_button.click(
        stop_answers, run_dropdown, None, cancels=base_answered, show_progress="hidden", queue=False
    )
    current_page().load(show_empty_panes, None, [base, tuned], show_progress="hidden", queue=False)
    vote = blind_vote.build(run_dropdown, run_ids)
    next_round.build(vote, last_run, run_ids, dataset_sources)
    return PlaygroundTab(run_dropdown, prompt, answered)
