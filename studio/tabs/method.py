"""The Method tab: the comparison table, a base model, and the settings of the chosen method."""

from collections import defaultdict
from functools import partial
from typing import Any, NamedTuple

import gradio as gr

from studio import methods, presets
from studio.data import prepare
from studio.errors import StudioError
from studio.methods import defaults, fits
from studio.methods.base import Knob, Method
from studio.models import shape
from studio.plan import Task, Value
from studio.tabs import base, elsewhere, estimates, forms, remember, table, visitor
from studio.tabs.data import DataTab
from studio.tabs.forms import t
from studio.tabs.remember import Remembered
from studio.words import Words, label

FIRST_MODEL = "smollm2-135m"
FIRST_READER = "minilm-l6"
FIRST_METHOD = "lora"
HEAD = label(
    "### Choose a method\nAll ten side by side. A row opens its settings below.",
    "### 选择方法\n十种方法并排比较。点选一行，下方会显示它的设置。",
)
MODEL = label("Base model to start from", "作为起点的基础模型")
MODEL_HELP = label(
    "Choose from the list, or type a hub id (owner/name) or a folder.", "从列表选择，或输入 Hub 编号（owner/name）或文件夹路径。"
)
ROUNDS = label("How often every example is seen (epochs)", "每个样本看几遍（epochs）")
ROUNDS_HELP = label(
    "More rounds learn the examples better, until the model repeats them by heart: watch the validation loss.",
    "遍数越多学得越牢，过多就会死记硬背：请留意验证损失。",
)
BATCH = label("Examples per step (batch size)", "每步的样本数（batch size）")
BATCH_HELP = label("More needs more memory and makes steadier, fewer steps.", "越大越占内存，步数更少也更平稳。")
RATE = label("How big each step is (learning rate)", "每一步迈多大（learning rate）")
RATE_HELP = label(
    "0 takes the value that suits the method and model. Too high never settles, too low hardly learns.",
    "填 0 表示使用适合该方法和模型的值。过高无法收敛，过低几乎学不到。",
)
MORE = label("More settings", "更多设置")
LENGTH = label("Longest example in tokens (max length)", "单个样本最长 token 数（max length）")
LENGTH_HELP = label(
    "Longer texts are cut here; a token is about three quarters of an English word.",
    "更长的文本会在此截断；一个 token 约为四分之三个英文单词。",
)
ASIDE = label("Share kept aside to check on (validation)", "留作检验的比例（验证集）")
ASIDE_HELP = label("The model never trains on these; the validation loss is measured on them.", "模型不会用它们训练；验证损失在其上测量。")
PATIENCE = label("Stop after so many checks without progress (early stopping)", "连续多少次无进展就停止（早停）")
PATIENCE_HELP = label("0 never stops early. The best state is kept either way.", "0 表示不提前停止。无论如何都会保留最好的状态。")
RECOMPUTE = label("Save memory by computing twice (gradient checkpointing)", "重算中间结果以节省内存（gradient checkpointing）")
RECOMPUTE_HELP = label(
    "Intermediate results are thrown away and computed again: far less memory, and a quarter to a half more time. Large models on a card do so anyway.",
    "中间结果先丢弃、需要时重算：内存少很多，时间多四分之一到一半。显卡上的大模型本来就会这样做。",
)
SEED = label("Starting point of chance (seed)", "随机种子（seed）")
SEED_HELP = label("The same seed gives the same split and the same training.", "相同的种子会得到相同的划分和训练。")
NEXT = label("Next: train", "下一步：训练")
MORE_OF_METHOD = label("More settings of this method", "该方法的更多设置")
SUITS = Words(
    "Suits {count} training examples: {epochs:g} rounds of {batch} at a time, {steps} steps in all.",
    "适合 {count} 个训练样本：{epochs:g} 轮，每步 {batch} 个，共 {steps} 步。",
)
SUITS_STAGE = Words("This holds for the first stage; the later ones are set above.", "以上适用于第一个阶段；后面的阶段在上方设置。")
NO_KNOBS = label("This method has no settings of its own: everything is trained.", "该方法没有专属设置：训练全部参数。")
# The names of the fields that make up a plan's method and training, in the order of the components.
FIELDS = ("epochs", "batch_size", "learning_rate", "max_length", "validation_share", "patience", "recompute", "seed")
# What the offer of a row that does not fit may change.
REMEDIED = ("batch_size", "max_length", "recompute", "machine")


class MethodTab(NamedTuple):
    """The components other tabs need."""

    model: gr.Dropdown
    chosen: gr.BrowserState
    knobs: dict[str, Any]
    training: dict[str, Any]
    next: gr.Button


def renew(request: gr.Request, **fields: Any) -> tuple[Any, ...]:
    """As `refresh`, where a field has changed: what is still being refined for the old ones ends."""
    estimates.begin(request)
    return refresh(request, **fields)


def refresh(request: gr.Request, **fields: Any) -> tuple[Any, ...]:
    """The table, the sentences on the model and on what is trained, and the costs elsewhere, for everything as it is set now."""
    lang, chosen, tables = forms.language(request), fields["chosen"], elsewhere.follow(fields.pop("shown", ""), request, **fields)
    about = base.about(str(fields["model"] or ""), lang)[1]
    found = estimates.asked(**fields)
    content = estimates.content(found, lang)
    given = forms.settings(methods.get(chosen), fields)
    raw = {"task": fields["task"], "model": str(fields["model"] or ""), "method": {"name": chosen, "settings": given}}
    if problems := [problem for problem in methods.problems(raw) if problem.startswith("method.settings.")]:
        return content, about, forms.settings_problem(problems, field_labels(chosen), lang), tables
    return content, about, _counted(found, chosen, lang), tables


def take(event: gr.EventData, **fields: Any) -> tuple[Any, ...]:
    """Change what an offer changes; everything else stays."""
    number = getattr(event, "number", None)
    changed = estimates.remedy(str(getattr(event, "id", "")), number, fields)
    chosen = changed.get("chosen")
    shown = _chosen(str(chosen)) if chosen else (gr.skip(),) * (1 + len(methods.METHODS))
    return *(changed.get(name, gr.skip()) for name in REMEDIED), *shown


def field_labels(chosen: str) -> dict[str, Words]:
    """What the fields of a plan's method and training are called on the page, by key."""
    training = dict(zip(FIELDS, (ROUNDS, BATCH, RATE, LENGTH, ASIDE, PATIENCE, RECOMPUTE, SEED), strict=True))
    return {**training, **{knob.name: knob.label for knob in methods.get(chosen).knobs}}


def pick(chosen: str, event: gr.EventData) -> tuple[Any, ...]:
    """Another method, where the browser names one that is built; the settings of the others are hidden."""
    asked = str(getattr(event, "id", ""))
    return _chosen(asked if asked in {method.name for method in methods.METHODS} else chosen)


def change_task(task: Task, chosen: str) -> tuple[Any, ...]:
    """The models and the method that suit a task; a method that trains it stays."""
    choices = [
        (f"{card.name} · {forms.number(shape.of(card.config).total())}", card.id)
        for card in presets.models().values()
        if task in card.tasks
    ]
    able = [method.name for method in methods.METHODS if task in method.tasks]
    name = next((name for name in (chosen, FIRST_METHOD, *able) if name in able), chosen)
    return gr.update(choices=choices, value=FIRST_READER if task == "classify" else FIRST_MODEL), *_chosen(name)


def _chosen(name: str) -> tuple[Any, ...]:
    return name, *(gr.update(visible=method.name == name) for method in methods.METHODS)


def suit(
    source: str,
    task: Task,
    columns: str,
    chosen: str,
    moved: object,
    validation_share: float,
    request: gr.Request,
) -> tuple[Any, ...]:
    """Rounds and portions by the amount of data, where the person has not moved them (`moved` says which were), and why."""
    lang = forms.language(request)
    method = next((method for method in methods.METHODS if method.name == chosen), None)
    try:
        table = visitor.dataset(source).table()
        found, _ = prepare.examples(table, task, forms.unpack(columns))
    except StudioError:
        return gr.skip(), gr.skip(), forms.notice("")
    if not method or task not in method.tasks:
        return gr.skip(), gr.skip(), forms.notice("")
    count = len(found) - round((validation_share or 0) * len(found))
    batch = defaults.batch_size(count)
    epochs = defaults.epochs(count, task, batch, method.patience)
    said = SUITS.say(lang, count=count, epochs=epochs, batch=batch, steps=defaults.steps(count, batch, epochs))
    more = SUITS_STAGE.say(lang) if method.name == "rlhf" else ""
    return (
        gr.skip() if "epochs" in remember.names_of(source, moved) else epochs,
        gr.skip() if "batch_size" in remember.names_of(source, moved) else batch,
        forms.notice(said, more),
    )


def speak(request: gr.Request) -> Any:
    """The choices of every method's settings in the browser's language: labels it says itself, choices it does not."""
    lang, choices = forms.language(request), _choices()
    found = [
        gr.skip() if lang == "en" else gr.update(choices=[(said.say(lang), name) for name, said in knob.choices]) for _, knob in choices
    ]
    return found if len(found) > 1 else found[0]


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


def build(source: gr.BrowserState, remembered: Remembered, at_data: DataTab) -> MethodTab:
    """Lay the tab out and wire it; `remembered` is what the browser keeps of it."""
    gr.Markdown(t(HEAD))
    model = gr.Dropdown([], label=t(MODEL), info=t(MODEL_HELP), allow_custom_value=True, elem_id="model")
    about = forms.notice_box("model-notice")
    at = estimates.build(model)
    rows = table.table("methods")
    other, told = elsewhere.build()
    chosen = remembered.chosen
    groups: list[gr.Group] = []
    knobs: dict[str, Any] = {}
    for method in methods.METHODS:
        with gr.Group(visible=method.name == FIRST_METHOD, elem_id=f"knobs-{method.name}") as group:
            knobs |= _knobs(method)
        groups.append(group)
    counted = forms.notice_box("counted")
    training, suits = _training()
    forward = gr.Button(t(NEXT), variant="primary", elem_id="to-train")

    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    task, columns = at_data.task, at_data.columns
    gr.context.Context.root_block.load(speak, None, [knobs[name] for name, _ in _choices()], **quiet)
    rows.pick(pick, chosen, [chosen, *groups], **quiet)
    gr.on([task.change, gr.context.Context.root_block.load], change_task, [task, chosen], [model, chosen, *groups], **quiet)
    described = {"source": source, "task": task, "columns": columns, "chosen": chosen}
    inputs = {**described, "shown": told, "model": model, "machine": at.machine, **knobs, **training}
    changed = [field.change for field in (model, chosen, task, columns, source, at.machine, *knobs.values(), *training.values())]
    # One handler for all that follows a change: with a second one on the same changes Gradio fires them again, for ever.
    drawn = gr.on(changed, renew, inputs_kwargs=inputs, outputs=[rows, about, counted, told], trigger_mode="always_last", **quiet)
    # What is traced says only that it is done, and the table is drawn from the fields as they are then: an old answer overwrites nothing.
    done = gr.Number(0, visible=False)
    drawn.then(
        estimates.sharpen, inputs_kwargs={**inputs, "number": done}, outputs=done, show_progress="hidden", trigger_mode="always_last"
    )
    gr.on(
        [done.change, at.told.change],
        refresh,
        inputs_kwargs=inputs,
        outputs=[rows, about, counted, told],
        trigger_mode="always_last",
        **quiet,
    )
    other.click(elsewhere.turn, inputs_kwargs=inputs, outputs=told, **quiet)
    rows.remedy(
        take, inputs_kwargs=inputs, outputs=[*({**training, "machine": at.machine}[name] for name in REMEDIED), chosen, *groups], **quiet
    )
    suited = [source.change, chosen.change, task.change, columns.change]
    gr.on(
        [*suited, training["validation_share"].change],
        suit,
        inputs_kwargs={**described, "moved": remembered.moved, "validation_share": training["validation_share"]},
        outputs=[training["epochs"], training["batch_size"], suits],
        trigger_mode="always_last",
        **quiet,
    )
    remember.wire(remembered, source, {**knobs, **training}, ("epochs", "batch_size"), **quiet)
    return MethodTab(model, chosen, knobs, training, forward)


def _knobs(method: Method) -> dict[str, Any]:
    """The fields of a method's settings by METHOD_KNOB: the first in sight, the rest behind one click."""
    if not method.knobs:
        gr.Markdown(t(NO_KNOBS), container=True)
    start = {knob.name: knob.default for knob in method.knobs}
    found = {knob.name: forms.field(method.name, knob, knob.applies(start)) for knob in method.knobs if knob.first}
    rest = [knob for knob in method.knobs if not knob.first]
    if rest:
        with gr.Accordion(t(MORE_OF_METHOD), open=False, elem_id=f"more-{method.name}"):
            found |= {knob.name: forms.field(method.name, knob, knob.applies(start)) for knob in rest}
    bound: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for knob in method.knobs:
        if knob.only:
            bound[knob.only[0]].append((knob.name, knob.only[1]))
    for name, those in bound.items():
        shown = partial(reveal, tuple(value for _, value in those))
        found[name].change(shown, found[name], [found[other] for other, _ in those], show_progress="hidden", queue=False)
    return {f"{method.name}_{name}": made for name, made in found.items()}


def _training() -> tuple[dict[str, Any], gr.HTML]:
    """The fields of the training, three in sight, the rest behind one click; and the place for what suits the data."""
    with gr.Row():
        epochs = gr.Slider(0.5, 100, 3, step=0.5, label=t(ROUNDS), info=t(ROUNDS_HELP), elem_id="epochs")
        batch = gr.Slider(1, 64, 8, step=1, label=t(BATCH), info=t(BATCH_HELP), elem_id="batch-size")
        rate = gr.Number(0, label=t(RATE), info=t(RATE_HELP), elem_id="learning-rate", minimum=0, maximum=1, step=0.00001)
    suits = forms.notice_box("suits")
    with gr.Accordion(t(MORE), open=False), gr.Row():
        length = gr.Slider(16, 2048, 256, step=16, label=t(LENGTH), info=t(LENGTH_HELP), elem_id="max-length")
        aside = gr.Slider(0.05, 0.5, 0.1, step=0.05, label=t(ASIDE), info=t(ASIDE_HELP), elem_id="validation-share")
        patience = gr.Slider(0, 10, 0, step=1, label=t(PATIENCE), info=t(PATIENCE_HELP), elem_id="patience")
        again = gr.Checkbox(False, label=t(RECOMPUTE), info=t(RECOMPUTE_HELP), elem_id="recompute")
        seed = gr.Number(42, label=t(SEED), info=t(SEED_HELP), precision=0, minimum=0, elem_id="seed")
    return dict(zip(FIELDS, (epochs, batch, rate, length, aside, patience, again, seed), strict=True)), suits
