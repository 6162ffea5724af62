"""The Method tab: the comparison table, a base model, and the settings of the chosen method."""

import json
from collections import defaultdict
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from studio import methods, presets
from studio.data import prepare, split
from studio.data.columns import role_name
from studio.errors import StudioError
from studio.help import pages
from studio.methods import defaults, fits
from studio.methods.base import Knob, Method
from studio.models import shape
from studio.plan import ROLES, Data, Task, Value, every_role
from studio.tabs import base, choose, data, elsewhere, estimates, forms, help, help_words, machine, remember, story, table, visitor
from studio.tabs import method_words as words
from studio.tabs.choose import Chooser
from studio.tabs.data import DataTab
from studio.tabs.forms import t
from studio.tabs.remember import Remembered
from studio.tabs.training import FEWEST, TRAINING, controls, schedules
from studio.words import Words

FIRST_MODEL = "smollm2-135m"
FIRST_READER = "minilm-l6"
FIRST_METHOD = "lora"
# The names of the fields that make up a plan's method and training, in the order of the components.
FIELDS = tuple(TRAINING)
# What the offer of a row that does not fit may change.
REMEDIED = ("batch_size", "max_length", "recompute", "machine")


class MethodTab(NamedTuple):
    """The components other tabs need."""

    model: gr.Dropdown
    chosen: gr.BrowserState
    knobs: dict[str, Any]
    training: dict[str, Any]
    now: dict[str, Any]
    next: gr.Button
    chooser: Chooser
    tried: Any


def renew(request: gr.Request, **fields: Any) -> tuple[Any, ...]:
    """As `refresh`, where a field has changed: what is still being refined for the old ones ends, and a number says if there is more to refine."""
    turn = estimates.begin(request)
    drawn = refresh(request, **fields)
    return *drawn, turn if drawn[0]["pending"] else gr.skip()


def refresh(request: gr.Request, **fields: Any) -> tuple[Any, ...]:
    """The table, the sentences on the model and on what is trained, and the costs elsewhere, for everything as it is set now."""
    run = str(fields.pop("run", ""))
    lang, chosen, tables = forms.language(request), fields["chosen"], elsewhere.follow(fields.pop("shown", ""), request, **fields)
    about = base.about(str(fields["model"] or ""), lang)[1]
    fields = remember.entered(fields)
    found = estimates.asked(**fields)
    rows = estimates.every(found)
    content, row = estimates.content(found, rows, lang), rows.get(found.plan.method.name)
    stand = story.content(found, row, lang, run)
    given = forms.settings(methods.get(chosen), fields)
    raw = {
        "task": fields["task"],
        "model": found.plan.model if found.base.shape else "",  # what is wrong with a model is said beside it
        "method": {"name": chosen, "settings": given},
    }
    if problems := [problem for problem in methods.problems(raw) if problem.key.startswith("method.settings.")]:
        wrong = forms.settings_problem(problems, field_labels(chosen), lang)
        return content, about, wrong, tables, help.costs(""), stand
    return content, about, _counted(found, chosen, lang), tables, help.costs(estimates.in_words(row, lang)), stand


def attempt(event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
    """A short run on the sample that suits a method: its data, the method, and the fewest rounds; a browser may name anything."""
    name = str(getattr(event, "id", ""))
    if name not in {method.name for method in methods.METHODS}:
        raise gr.Error(words.UNKNOWN.say(forms.language(request)))
    source = f"sample:{pages()[name].attempt.sample}"
    short = {"source": source, "names": ["epochs"]}
    return *data.sample(pages()[name].attempt.sample, request), name, short, FEWEST


def take(event: gr.EventData, **fields: Any) -> tuple[Any, ...]:
    """Change what an offer changes; everything else stays."""
    number = getattr(event, "number", None)
    changed = estimates.remedy(str(getattr(event, "id", "")), number, fields)
    return tuple(changed.get(name, gr.skip()) for name in (*REMEDIED, "chosen"))


def field_labels(chosen: str) -> dict[str, Words]:
    """What the fields of a plan are called on the page, by key; those of its method's settings and training by the last part of it."""
    training = {name: label for name, (label, _) in TRAINING.items()}
    known = {"model": words.MODEL, "method.name": words.METHOD}
    known |= {f"data.columns.{role}": role_name("chat", role) for task in ROLES for role in every_role(task)}
    return {**known, **training, **{knob.name: knob.label for knob in methods.get(chosen).knobs}}


def pick(chosen: str, event: gr.EventData) -> str:
    """Another method, where the browser names one that is built."""
    asked = str(getattr(event, "id", ""))
    return asked if asked in {method.name for method in methods.METHODS} else chosen


def change_task(task: Task, chosen: str, model: str | None) -> tuple[Any, ...]:
    """The models and the method that suit a task; what can do it stays, but a model that writes gives way to one that only sorts."""
    choices = [
        (f"{card.name} · {forms.number(shape.of(card.config).total())}", card.id)
        for card in presets.models().values()
        if task in card.tasks
    ]
    able = [method.name for method in methods.METHODS if task in method.tasks]
    name = next((name for name in (chosen, FIRST_METHOD, *able) if name in able), chosen)
    card = presets.models().get(model or "")
    stays = card and task in card.tasks and (task != "classify" or card.tasks == ("classify",))
    first = FIRST_READER if task == "classify" else FIRST_MODEL
    return gr.update(choices=choices, value=model if stays else first), name


def suit(
    source: str,
    task: Task,
    columns: str,
    chosen: str,
    moved: object,
    validation_share: float,
    test_share: float,
    test: str,
    request: gr.Request,
) -> tuple[Any, ...]:
    """Rounds, portions and the part for the verdict by the amount of data, where the person has not moved them (`moved` says which), and why."""
    lang = forms.language(request)
    method = next((method for method in methods.METHODS if method.name == chosen), None)
    try:
        table = visitor.dataset(source).table()
        found, _ = prepare.examples(table, task, forms.unpack(columns))
    except StudioError:
        return *(gr.skip(),) * 3, forms.notice("")
    if not method or task not in method.tasks:
        return *(gr.skip(),) * 3, forms.notice("")
    kept = remember.names_of(source, moved)
    share = split.test_share(Data(source=source, test=test or ""), len(found))
    tested = (test_share or 0) if "test_share" in kept else share
    count = len(found) - round((validation_share or 0) * len(found)) - round(tested * len(found))
    batch = defaults.batch_size(count)
    epochs = defaults.epochs(count, task, batch, method.patience)
    said = words.SUITS.say(lang, count=count, epochs=epochs, batch=batch, steps=defaults.steps(count, batch, epochs))
    more = words.SUITS_STAGE.say(lang) if method.name == "rlhf" else ""
    return (
        gr.skip() if "epochs" in kept else epochs,
        gr.skip() if "batch_size" in kept else batch,
        gr.skip() if "test_share" in kept else share,
        forms.notice(said, more),
    )


def speak(request: gr.Request) -> list[Any]:
    """The choices of every method's settings, and of the schedule, in the browser's language: labels it says itself, choices it does not."""
    lang = forms.language(request)
    every = [[(said.say(lang), name) for name, said in knob.choices] for _, knob in _choices()] + [schedules(lang)]
    return [gr.skip() if lang == "en" else gr.update(choices=those) for those in every]


def _choices() -> list[tuple[str, Knob]]:
    return [(f"{method.name}_{knob.name}", knob) for method in methods.METHODS for knob in method.knobs if knob.kind == "choice"]


def reveal(wanted: tuple[str, ...], value: Value) -> Any:
    """Show the fields that belong to this choice of their method, each wanting one value of it; hide the others."""
    found = [gr.update(visible=value == want) for want in wanted]
    return found if len(found) > 1 else found[0]


def _counted(found: estimates.Asked, chosen: str, lang: str) -> dict[str, Any]:
    method, shape = methods.get(chosen), found.base.shape
    if not shape or fits.refusal(chosen, found.plan.task, shape):
        return forms.notice("")
    labels = (found.lengths.labels if found.lengths else 2) if found.plan.task == "classify" else 0
    return forms.notice(table.sentence(method.footprint(shape, found.settings[chosen], labels), lang))


def build(source: gr.BrowserState, remembered: Remembered, at_data: DataTab, test: gr.Textbox, stand: story.Strip) -> MethodTab:
    """Lay the tab out and wire it; `remembered` is what the browser keeps of it, `test` the source of a test set of one's own, `stand` says
    above all tabs where one stands."""
    gr.Markdown(t(words.HEAD))
    chooser = choose.build()
    model = gr.Dropdown([], label=t(words.MODEL), info=t(words.MODEL_HELP), allow_custom_value=True, elem_id="model")
    about = forms.notice_box("model-notice")
    at = machine.build(model)
    rows = table.table("methods")
    other, told = elsewhere.build()
    with gr.Accordion(t(help_words.HOW), open=False, elem_id="how"):
        page = help.panel()
    chosen = remembered.chosen
    groups, knobs = _groups()
    counted = forms.notice_box("counted")
    training, suits = controls()
    with gr.Accordion(t(help_words.EXACT), open=False, elem_id="exact"):
        exact = help.terms()
    forward = gr.Button(t(words.NEXT), variant="primary", elem_id="to-train")

    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    task, columns = at_data.task, at_data.columns
    gr.context.Context.root_block.load(speak, None, [*(knobs[name] for name, _ in _choices()), training["schedule"]], **quiet)
    rows.pick(pick, chosen, chosen, **quiet)
    names = json.dumps([method.name for method in methods.METHODS])
    js = f"(chosen) => {names}.map((name) => ({{ visible: name === chosen, __type__: 'update' }}))"
    gr.on([chosen.change, gr.context.Context.root_block.load], None, chosen, groups, js=js, **quiet)
    gr.on([task.change, gr.context.Context.root_block.load], change_task, [task, chosen, model], [model, chosen], **quiet)
    described = {"source": source, "task": task, "columns": columns, "chosen": chosen, "test": test}
    own = {method.name: {name: knobs[name] for name in knobs if name.startswith(f"{method.name}_")} for method in methods.METHODS}
    now = remember.gather({"training": training, **own}, **quiet)
    inputs = {**described, "run": stand.run, "shown": told, "model": model, "machine": at.machine, **now}
    watched = (*described.values(), model, at_data.touched, at.machine, stand.reached, *now.values())
    last = {**quiet, "trigger_mode": "always_last"}
    _redraw([field.change for field in watched], inputs, [rows, about, counted, told, page, stand.shown], at.told)
    other.click(elsewhere.turn, inputs_kwargs=inputs, outputs=told, **quiet)
    rows.remedy(take, inputs_kwargs=inputs, outputs=[*({**training, "machine": at.machine}[name] for name in REMEDIED), chosen], **quiet)
    suited = [source.change, chosen.change, task.change, columns.change, at_data.touched.change, test.change]
    shares = {name: training[name] for name in ("validation_share", "test_share")}
    forms.follow(*suited, *(field.change for field in shares.values())).then(
        suit,
        inputs_kwargs={**described, "moved": remembered.moved, **shares},
        outputs=[training["epochs"], training["batch_size"], training["test_share"], suits],
        **last,
    )
    asked = {"source": source, "task": task, "columns": columns, "model": model, "machine": at.machine}
    forms.follow(chosen.change, gr.context.Context.root_block.load).then(help.explain, chosen, [page, exact], **last)
    first = forms.follow(source.change, columns.change, at_data.touched.change, at.machine.change, gr.context.Context.root_block.load)
    choose.wire(chooser, first, asked, at_data.shown, chosen, knobs)
    remember.wire(remembered, source, {**knobs, **training}, tuple(now.values()), ("epochs", "batch_size", "test_share"))
    tried = page.attempt(attempt, None, [*at_data.shown, chosen, remembered.moved, training["epochs"]], **quiet)
    return MethodTab(model, chosen, knobs, training, now, forward, chooser, tried)


def _groups() -> tuple[list[gr.Group], dict[str, Any]]:
    """The settings of every method, of which one method's are seen; and all their fields by METHOD_KNOB."""
    groups: list[gr.Group] = []
    knobs: dict[str, Any] = {}
    for method in methods.METHODS:
        with gr.Group(visible=method.name == FIRST_METHOD, elem_id=f"knobs-{method.name}") as group:
            knobs |= _knobs(method)
        groups.append(group)
    return groups, knobs


def _redraw(changed: list[Any], inputs: dict[str, Any], drawn: list[Any], measured: gr.HTML) -> None:
    """Draw the table and what goes with it anew after any change, then once more when it was refined or this machine measured."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "trigger_mode": "always_last"}
    # What is traced says only that it is done, and the table is drawn from the fields as they are then: an old answer overwrites nothing.
    wanted, done = gr.Number(0, visible=False), gr.Number(0, visible=False)
    forms.follow(*changed).then(renew, inputs_kwargs=inputs, outputs=[*drawn, wanted], queue=False, **quiet)
    wanted.change(estimates.sharpen, inputs_kwargs={**inputs, "number": done}, outputs=done, **quiet)
    forms.follow(done.change, measured.change).then(refresh, inputs_kwargs=inputs, outputs=drawn, queue=False, **quiet)


def _knobs(method: Method) -> dict[str, Any]:
    """The fields of a method's settings by METHOD_KNOB: the first in sight, the rest behind one click."""
    if not method.knobs:
        gr.Markdown(t(words.NO_KNOBS), container=True)
    start = {knob.name: knob.default for knob in method.knobs}
    found = {knob.name: forms.field(method.name, knob, knob.applies(start)) for knob in method.knobs if knob.first}
    rest = [knob for knob in method.knobs if not knob.first]
    if rest:
        with gr.Accordion(t(words.MORE_OF_METHOD), open=False, elem_id=f"more-{method.name}"):
            found |= {knob.name: forms.field(method.name, knob, knob.applies(start)) for knob in rest}
    bound: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for knob in method.knobs:
        if knob.only:
            bound[knob.only[0]].append((knob.name, knob.only[1]))
    for name, those in bound.items():
        shown = partial(reveal, tuple(value for _, value in those))
        found[name].change(shown, found[name], [found[other] for other, _ in those], show_progress="hidden", queue=False)
    return {f"{method.name}_{name}": made for name, made in found.items()}
