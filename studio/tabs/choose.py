"""The guided chooser on the Method tab: six questions, mostly answered already, and what they come to."""

from typing import Any, NamedTuple

import gradio as gr

from studio import methods, plan, presets, wizard
from studio.data.columns import Guess
from studio.errors import StudioError
from studio.estimate import machines
from studio.estimate.machines import Place
from studio.plan import Task
from studio.tabs import data, estimates, forms, visitor
from studio.tabs.forms import t
from studio.wizard import QUESTIONS, Choice
from studio.wizard.answers import TASKS
from studio.words import Words, label

HEAD = label("Not sure which? Six questions choose for you", "不知道选哪个？回答六个问题，帮你选")
HELP = label(
    "What your data and this machine already answer is filled in; change whatever is wrong.",
    "数据和这台机器已经能回答的都填好了；不对的可以改。",
)
SHOW = label("Show what suits", "看看适合什么")
OPEN = Words("{count} of 6 questions still to answer.", "还有 {count} 个问题没有回答。")
WINNER = Words("{method} suits best", "最适合：{method}")
NO_TRAINING = Words("Better not train yet", "建议先不训练")
OTHERS = Words("Why not the other nine", "为什么不是另外九种")
PROMPT = Words("A prompt to try on the base model first", "可以先在基础模型上试的提示词")
TAKE, TRY = Words("Use this plan", "采用这个方案"), Words("Try the prompt on the base model", "在基础模型上试这段提示词")
TAKEN = Words("Data, base model and method are set as proposed.", "数据、基础模型和方法都已按方案设好。")
TAKEN_DO = Words("Look at the settings below, then train.", "看看下面的设置，然后开始训练。")
# Where the reading goes on when the answer is there, and how long it takes to be drawn (milliseconds).
ANSWER, DRAWN = "#choice h3", 200
TEMPLATE = """
{{#if value.head}}<section class="choice {{value.mood}}"><h3 tabindex="-1">{{value.head}}</h3>
{{#each value.reasons}}<p>{{this}}</p>{{/each}}
{{#if value.advice}}<p><b>{{value.advice}}</b></p>{{/if}}
{{#if value.cost}}<p class="small">{{value.cost}}</p>{{/if}}
{{#if value.note}}<p class="small">{{value.note}}</p>{{/if}}
<div class="choice-acts">{{#if value.take}}<button type="button" class="primary" data-do="take">{{value.take}}</button>{{/if}}
{{#if value.attempt}}<button type="button" data-do="attempt">{{value.attempt}}</button>{{/if}}</div>
{{#if value.lost}}<details><summary>{{value.others}}</summary><dl>{{#each value.lost}}<dt>{{this.name}}</dt><dd>{{this.why}}</dd>{{/each}}</dl></details>{{/if}}
{{#if value.prompt}}<details><summary>{{value.prompted}}</summary><pre tabindex="0">{{value.prompt}}</pre></details>{{/if}}
</section>{{/if}}"""


class Chooser(NamedTuple):
    """The components of the chooser; `filled` holds the answers that nobody gave, but the studio filled in."""

    filled: gr.Textbox
    answers: dict[str, gr.Radio]
    show: gr.Button
    told: gr.HTML
    result: gr.HTML


def prefill(
    source: str, task: Task, columns: str, model: str, machine: str, filled: str, request: gr.Request, **answers: str | None
) -> tuple[Any, ...]:
    """Every question in the visitor's language, answered as far as the data and the machine can answer it; what was answered stays.

    `filled` are the answers that were filled in before: they alone are filled in anew.
    """
    lang, known, before = forms.language(request), {}, forms.unpack(filled)
    try:
        known = wizard.prefill(_source(source), _place(machine), _given(source, task, columns), model=str(model or ""))
    except StudioError:  # what is wrong with the data is said on its own tab
        known = wizard.known("", 0, 0, _place(machine))
    own = {name: value for name, value in answers.items() if value not in (None, before.get(name))}
    asked = [
        gr.update(
            choices=[(said.say(lang), name) for name, said in one.choices],
            label=one.asked.say(lang),
            info=one.why.say(lang),
            value={**known, **own}.get(one.id),
        )
        for one in QUESTIONS
    ]
    return *asked, {}, forms.pack({name: value for name, value in known.items() if name not in own})


def _source(source: str) -> str:
    """The data set a browser names; none where it names something else."""
    try:
        return visitor.dataset(source).source
    except StudioError:
        return ""


def _given(source: str, task: Task, columns: str) -> Guess | None:
    found = forms.unpack(columns)
    return Guess(task, found, True) if _source(source) and found else None


def _place(machine: str) -> Place:
    known = machines.places()
    return known[machine] if machine in known else machines.here()


def decide(source: str, task: Task, columns: str, model: str, machine: str, request: gr.Request, **answers: str | None) -> tuple[Any, ...]:
    """What the answers come to, or how many are still missing."""
    lang = forms.language(request)
    missing = [one.id for one in QUESTIONS if not answers.get(one.id)]
    if missing:
        return forms.notice(OPEN.say(lang, count=len(missing))), {}
    given = {name: str(value) for name, value in answers.items()}
    try:
        base = _model(str(model or ""), task, TASKS.get(given["have"], task))
        found = wizard.choose(given, _source(source), _place(machine), given=_given(source, task, columns), model=base)
    except StudioError as error:
        return forms.problem(error, lang), {}
    return forms.notice(""), content(found, lang)


def _model(model: str, task: Task, wanted: Task) -> str:
    """The base model on the page, where it can do what is wanted; one that was chosen to write was not chosen to sort."""
    card = presets.models().get(model)
    return "" if card and (wanted not in card.tasks or (wanted == "classify" != task)) else model


def content(found: Choice, lang: str) -> dict[str, Any]:
    """What is shown of a choice; `plan` is what taking it would set."""
    cards = presets.methods()
    name = cards[found.method].name if found.method else None
    cost = estimates.in_words(found.estimate, lang)
    return {
        "head": WINNER.say(lang, method=name) if name else NO_TRAINING.say(lang),
        "mood": "good" if name else "check",
        "reasons": [one.say(lang) for one in found.reasons],
        "advice": found.advice.say(lang) if found.advice else "",
        "cost": cost,
        "note": found.note.say(lang) if found.note else "",
        "others": OTHERS.say(lang),
        "lost": [{"name": cards[other].name.say(lang), "why": why.say(lang)} for other, why in found.lost.items()],
        "prompted": PROMPT.say(lang),
        "prompt": found.prompt.say(lang) if found.prompt else "",
        "take": TAKE.say(lang) if found.plan else "",
        "attempt": TRY.say(lang) if found.prompt else "",
        "plan": found.plan.model_dump(mode="json") if found.plan else {},
    }


def taken(
    shown: object, source: str, task: Task, columns: str, names: tuple[str, ...], many: int, request: gr.Request
) -> tuple[dict[str, Any], ...]:
    """A sentence, then what taking a choice sets: the `many` values of the Data tab, method, model and the settings `names` (METHOD_KNOB).

    What a browser sends is checked as a plan is; one that cannot run sets nothing. Data that is open already stays as it is looked at.
    """
    lang = forms.language(request)
    try:
        made = plan.parse(shown.get("plan") if isinstance(shown, dict) else None, "the page", (methods.problems,))
        visitor.check_model(made.model)
        held = (made.data.source, made.task, made.data.columns) == (source, task, forms.unpack(columns))
        opened = (gr.skip(),) * many if held else data.hold(made.data.source, made.task, made.data.columns, lang)
    except StudioError as error:
        return forms.problem(error, lang), *(gr.skip(),) * (many + 2 + len(names))
    method = made.method.name
    given = {f"{method}_{name}": value for name, value in methods.get(method).settle(made.method.settings).items()}
    told = forms.notice(TAKEN.say(lang), TAKEN_DO.say(lang), kind="good")
    return told, *opened, method, made.model, *(given.get(name, gr.skip()) for name in names)


def prompted(shown: Any) -> Any:
    """The prompt of a choice, for the Playground."""
    text = shown.get("prompt") if isinstance(shown, dict) else None
    return text[:20_000] if isinstance(text, str) and text else gr.skip()


def build() -> Chooser:
    """Lay the questions out."""
    with gr.Accordion(t(HEAD), open=False, elem_id="chooser"):
        gr.Markdown(t(HELP))
        answers = {}
        with gr.Row():
            for one in QUESTIONS:
                choices = [(said.en, name) for name, said in one.choices]
                answers[one.id] = gr.Radio(choices, label=one.asked.en, info=one.why.en, elem_id=f"ask-{one.id}", min_width=420)
        show = gr.Button(t(SHOW), variant="primary", elem_id="choose")
        told = forms.notice_box("choose-notice")
        script = (presets.ASSETS / "choose.js").read_text(encoding="utf-8")
        result = gr.HTML({}, html_template=TEMPLATE, js_on_load=script, elem_id="choice", apply_default_css=False)
        filled = gr.Textbox("{}", visible=False)
    return Chooser(filled, answers, show, told, result)


def wire(chooser: Chooser, changed: Any, asked: dict[str, Any], opened: list[Any], chosen: gr.BrowserState, knobs: dict[str, Any]) -> None:
    """Fill in what is known when it has `changed`, answer when asked, and take a choice over into the fields.

    `asked` are the fields by name, `opened` what the Data tab shows of a data set.
    """
    said, answers = [chooser.told, chooser.result], chooser.answers
    known, filled = {**asked, "filled": chooser.filled, **answers}, [*answers.values(), chooser.result, chooser.filled]
    changed.then(prefill, inputs_kwargs=known, outputs=filled, trigger_mode="always_last", show_progress="hidden", queue=False)
    decided = chooser.show.click(decide, inputs_kwargs={**asked, **answers}, outputs=said, show_progress="hidden")
    decided.then(None, None, None, js=f"() => setTimeout(() => document.querySelector('{ANSWER}')?.focus(), {DRAWN})", queue=False)
    names, many = tuple(knobs), len(opened)

    def take(shown: object, source: str, task: Task, columns: str, request: gr.Request) -> tuple[Any, ...]:
        """The choice, into data, method, model and settings."""
        return taken(shown, source, task, columns, names, many, request)

    held = [asked[name] for name in ("source", "task", "columns")]
    fields = [chooser.told, *opened, chosen, asked["model"], *knobs.values()]
    chooser.result.take(take, [chooser.result, *held], fields, show_progress="hidden", queue=False)
