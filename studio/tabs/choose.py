"""The guided chooser on the Method tab: six questions, mostly answered already, and what they come to."""

from typing import Any, NamedTuple

import gradio as gr

from studio import methods, presets, wizard
from studio.data.columns import Guess
from studio.errors import StudioError
from studio.estimate import machines
from studio.estimate.machines import Place
from studio.plan import Task
from studio.tabs import estimates, forms, visitor
from studio.tabs.forms import t
from studio.wizard import QUESTIONS, Choice
from studio.words import Words, label

HEAD = label("Not sure which? Six questions choose for you", "不知道选哪个？回答六个问题，帮你选")
HELP = label(
    "What your data and this machine already say is filled in; change whatever is not so.",
    "数据和这台机器已经能回答的都填好了；不对的可以改。",
)
SHOW = label("Show what suits", "看看适合什么")
OPEN = Words("{count} of 6 questions still to answer.", "还有 {count} 个问题没有回答。")
WINNER = Words("{method} suits best", "最适合：{method}")
NO_TRAINING = Words("Better not train yet", "建议先不训练")
OTHERS = Words("Why not the other nine", "为什么不是另外九种")
PROMPT = Words("A prompt to try on the base model first", "可以先在基础模型上试的提示词")
TAKE, TRY = Words("Take this method", "用这个方法"), Words("Try the prompt on the base model", "在基础模型上试这段提示词")
TEMPLATE = """
{{#if value.head}}<section class="choice {{value.mood}}"><h3>{{value.head}}</h3>
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
    """The components of the chooser."""

    answers: dict[str, gr.Radio]
    show: gr.Button
    told: gr.HTML
    result: gr.HTML


def prefill(source: str, task: Task, columns: str, model: str, machine: str, request: gr.Request) -> tuple[Any, ...]:
    """Every question in the visitor's language, answered as far as the data and the machine can answer it."""
    lang, known = forms.language(request), {}
    try:
        known = wizard.prefill(_source(source), _place(machine), _given(source, task, columns), model=str(model or ""))
    except StudioError:  # what is wrong with the data is said on its own tab
        known = wizard.known("", 0, 0, _place(machine))
    asked = [
        gr.update(
            choices=[(said.say(lang), name) for name, said in one.choices],
            label=one.asked.say(lang),
            info=one.why.say(lang),
            value=known.get(one.id),
        )
        for one in QUESTIONS
    ]
    return *asked, {}


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
        found = wizard.choose(given, _source(source), _place(machine), given=_given(source, task, columns), model=_model(model, task))
    except StudioError as error:
        return forms.problem(error, lang), {}
    return forms.notice(""), content(found, lang)


def _model(model: str, task: Task) -> str:
    """The base model on the page, where it can do what the data asks."""
    card = presets.models().get(str(model or ""))
    return "" if card and task not in card.tasks else str(model or "")


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
        "plan": {"method": found.method, "model": found.plan.model, "settings": found.plan.method.settings} if found.plan else {},
    }


def taken(shown: Any, chosen: str, model: str, names: tuple[str, ...]) -> tuple[Any, ...]:
    """Method, model and the settings `names` (METHOD_KNOB) that taking a choice sets; what a browser sends is checked."""
    plan = shown.get("plan", {}) if isinstance(shown, dict) else {}
    method = next((one for one in methods.METHODS if isinstance(plan, dict) and one.name == plan.get("method")), None)
    if not method:
        return chosen, gr.skip(), *(gr.skip() for _ in names)
    given: dict[str, Any] = plan["settings"] if isinstance(plan.get("settings"), dict) else {}
    sound = {
        f"{method.name}_{knob.name}": given[knob.name] for knob in method.knobs if knob.name in given and not knob.problem(given[knob.name])
    }
    wanted = str(plan.get("model") or "")
    known = wanted in presets.models() or wanted == model
    return method.name, wanted if known else gr.skip(), *(sound.get(name, gr.skip()) for name in names)


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
    return Chooser(answers, show, told, result)


def wire(chooser: Chooser, asked: dict[str, Any], chosen: gr.BrowserState, knobs: dict[str, Any]) -> Any:
    """Answer when asked, and take a choice over into the fields; returns the event of the latter. `asked` are the fields by name."""
    said = [chooser.told, chooser.result]
    chooser.show.click(decide, inputs_kwargs={**asked, **chooser.answers}, outputs=said, show_progress="hidden")
    names, model = tuple(knobs), asked["model"]

    def take(shown: Any, now: str, model: str) -> tuple[Any, ...]:
        """The choice, into method, model and settings."""
        return taken(shown, now, model, names)

    fields = [chosen, model, *knobs.values()]
    return chooser.result.take(take, [chooser.result, chosen, model], fields, show_progress="hidden", queue=False)
