"""The Train tab: one sentence, Start, the live view, Stop."""

import importlib
import importlib.util
import json
import math
from typing import Any, NamedTuple

import gradio as gr

from studio import methods, plan, presets, runs
from studio.data import prepare
from studio.errors import StudioError, explain
from studio.home import check_room, home
from studio.methods import defaults
from studio.plan import Plan, Task, Value
from studio.tabs import charts, forms, visitor
from studio.tabs.forms import t
from studio.train import launch
from studio.words import Words, label

# Room a run needs beside what it learns: the split data, the log and the points.
LEAST_ROOM = 200_000_000
HEAD = label("### Train", "### 训练")
NAME = label("Name of this run", "本次运行的名称")
NAME_HELP = label("So that you find it again.", "方便以后找到它。")
START, STOP = label("Start training", "开始训练"), label("Stop and keep what was learned", "停止并保留已学内容")
EARLIER = label("Runs", "运行记录")
EARLIER_HELP = label("Choose one to look at it again. Closing this page stops nothing.", "选择一个以重新查看。关闭页面不会中断训练。")
NEXT = label("Next: compare both models", "下一步：对比两个模型")
NOTHING = Words("Bring examples first: the Data tab takes a file or a sample.", "请先提供样本：在“数据”页上传文件或使用示例。")
SUMMARY = Words(
    "{method} on {model}: {train} examples, each seen {epochs:g}×, {batch} at a time, make {steps} steps. {check} more are kept aside to check on.",
    "用 {method} 训练 {model}：{train} 个样本，学 {epochs:g} 遍，每步 {batch} 个，共 {steps} 步；另留 {check} 个用于检验。",
)
STARTED = Words(
    "Started. You may close this page: the run goes on, and this page finds it again.",
    "已开始。可以关闭页面：训练会继续，重新打开即可看到。",
)
QUEUED = Words(
    "Queued: another run is training. It starts by itself; Stop takes it out of the queue.",
    "已排队：另一个运行正在训练，轮到后自动开始；“停止”可将其移出队列。",
)
STOPPING = Words(
    "“{name}” was asked to stop: it finishes the step it is in, then checks what it has learned and keeps it.",
    "已请求停止“{name}”：完成当前步后，检查并保留学到的内容。",
)
CALLED_OFF = Words(
    "“{name}” was asked to stop before it trains; nothing has been learned yet.", "已请求在训练前停止“{name}”；尚未学到内容。"
)
BEGINS_AGAIN = Words(
    "After a stop this method begins the unfinished stage again; stages that have ended are kept.",
    "停止后继续时，该方法会从未完成的阶段重新开始；已完成的阶段会保留。",
)
GOES_ON = Words("“{name}” goes on from where it was.", "“{name}”从中断处继续。")
CHECKING = label("Checking…", "正在检查…")
NOTHING_RUNS = Words("Nothing is training.", "当前没有训练。")
NOT_RUNNING = Words("There is nothing to stop: the run has ended ({state}).", "无需停止：运行已结束（{state}）。")


class TrainTab(NamedTuple):
    """The components other tabs need."""

    next: gr.Button
    summary: gr.HTML
    inputs: dict[str, Any]


def assemble(source: str, task: Task, columns: str, model: str, chosen: str, name: str, **values: Value) -> Plan:
    """The plan that the page's fields describe; raises BadPlan with everything that is wrong with it."""
    model = str(model or "")
    visitor.check_model(model)
    method = methods.get(chosen)
    training = {field: value for field, value in values.items() if field in plan.Training.model_fields}
    training["learning_rate"] = training.get("learning_rate") or None  # type: ignore[assignment]
    raw = {
        "name": name.strip()[:120] or f"{presets.methods()[chosen].name.en} · {model.split('/')[-1]}",
        "task": task,
        "model": model,
        "data": {
            "source": source,
            "columns": forms.unpack(columns),
            "validation_share": values["validation_share"],
        },
        "method": {"name": chosen, "settings": forms.settings(method, values)},
        "training": training,
    }
    return plan.parse(raw, "the page", (methods.problems,))


def summarise(
    source: str,
    task: Task,
    columns: str,
    model: str,
    chosen: str,
    name: str,
    request: gr.Request,
    **values: Value,
) -> dict[str, Any]:
    """The plan in one sentence, or what is still missing."""
    lang = forms.language(request)
    if not source:
        return forms.notice(NOTHING.say(lang))
    try:
        made = assemble(source, task, columns, model, chosen, name, **values)
        more = "" if methods.get(chosen).resumes else BEGINS_AGAIN.say(lang)
        return forms.notice(describe(made, lang), more)
    except StudioError as error:
        return forms.problem(error, lang)


def describe(made: Plan, lang: str) -> str:
    """What a plan would do, counted on its real data."""
    found, _ = prepare.examples(visitor.dataset(made.data.source).table(), made.task, made.data.columns)
    train, check = prepare.split(found, made.task, made.data.validation_share, made.training.seed)
    card, method = presets.models().get(made.model), methods.get(made.method.name)
    size = made.training.batch_size or defaults.batch_size(len(train))
    rounds = made.training.epochs or defaults.epochs(len(train), made.task, size, method.patience)
    return SUMMARY.say(
        lang,
        method=presets.methods()[made.method.name].name,
        model=card.name if card else made.model,
        train=len(train),
        check=len(check),
        epochs=rounds,
        batch=size,
        steps=math.ceil(-(-len(train) // size) * rounds),
    )


def start(
    source: str,
    task: Task,
    columns: str,
    model: str,
    chosen: str,
    name: str,
    mine: object,
    request: gr.Request,
    **values: Value,
) -> tuple[Any, ...]:
    """Create the run and start its worker; what is wrong is said before anything starts."""
    lang = forms.language(request)
    if not source:
        return forms.notice(NOTHING.say(lang), kind="bad"), *(gr.skip(),) * 4
    try:
        made = assemble(source, task, columns, model, chosen, name, **values)
        describe(made, lang)  # the data is checked once more: a browser may send anything
        if refused := _tried(made):
            return forms.notice(refused, kind="bad"), *(gr.skip(),) * 4
        check_room(home(), LEAST_ROOM)
        visitor.check_queue()
        busy = any(runs.status(other).state not in runs.ENDED for other in runs.all_runs())
        run = runs.create(made)
        launch.start(run)
    except (StudioError, OSError) as error:
        return forms.problem(explain(error), lang), *(gr.skip(),) * 4
    own = [*visitor.ids(mine), run.id]
    said = QUEUED if busy else STARTED
    return forms.notice(said.say(lang), kind="good"), charts.showing(run.id, lang), run.id, earlier(run.id, own, lang), own


def _tried(made: Plan) -> str:
    """What a short trial of a plan's settings says against them; empty where it says nothing."""
    if importlib.util.find_spec("studio.methods.trial") is None:
        return ""
    trial = importlib.import_module("studio.methods.trial")
    return str(trial.refusal(made) or "")


def go_on(shown: str, mine: object, event: gr.EventData, request: gr.Request) -> tuple[Any, ...]:
    """Let the run that is looked at go on from where it was stopped or broke off."""
    lang = forms.language(request)
    asked = getattr(event, "id", "")
    try:
        run = runs.get(asked if isinstance(asked, str) else "")
        check_room(home(), LEAST_ROOM)
        visitor.check_queue()
        launch.resume(run)
    except (StudioError, OSError) as error:
        return forms.problem(explain(error), lang), charts.showing(shown, lang), gr.skip()
    return forms.notice(GOES_ON.say(lang, name=run.plan.name), kind="good"), charts.showing(run.id, lang), earlier(run.id, mine, lang)


def stop(run_id: str, request: gr.Request) -> dict[str, Any]:
    """Ask the shown run to stop."""
    lang = forms.language(request)
    if not run_id:
        return forms.notice(NOTHING_RUNS.say(lang))
    try:
        run = runs.get(run_id)
    except StudioError as error:
        return forms.problem(error, lang)
    state = runs.status(run).state
    if state in runs.ENDED:
        return forms.notice(NOT_RUNNING.say(lang, state=charts.STATES[state]))
    launch.stop(run)
    said = STOPPING if state == "training" else CALLED_OFF
    return forms.notice(said.say(lang, name=run.plan.name))


def show(run_id: str | None, request: gr.Request) -> tuple[Any, ...]:
    """Look at an earlier run."""
    found = run_id if run_id and runs.ID.fullmatch(run_id) else ""
    return charts.showing(found, forms.language(request)), found


def attach(remembered: str, mine: object, request: gr.Request) -> tuple[Any, ...]:
    """Find a run again after a reload: the one in the address, else the one this browser remembers, else one that is going on."""
    lang = forms.language(request)
    asked = str(request.query_params.get("run", "")) if request is not None else ""
    known = {run.id for run in runs.all_runs()}
    going = [run.id for run in visitor.visible(mine) if runs.status(run).state not in runs.ENDED]
    found = next((run_id for run_id in (asked, remembered, *going) if run_id in known), "")
    return charts.showing(found, lang), found, earlier(found, mine, lang)


def earlier(chosen: str, mine: object, lang: str) -> Any:
    """The list of runs, the newest first; whoever has a run's address may look at it."""
    found = visitor.visible([*visitor.ids(mine), chosen])
    return gr.update(
        choices=[(f"{runs.describe(run, lang)} · {charts.STATES[runs.status(run).state].say(lang)}", run.id) for run in found],
        value=chosen or None,
        visible=bool(found),
    )


def build(run: gr.BrowserState, mine: gr.BrowserState, inputs: dict[str, Any]) -> TrainTab:
    """Lay the tab out and wire it; `run` and `mine` remember runs, `inputs` are the fields of the other tabs by name."""
    gr.Markdown(t(HEAD))
    summary = forms.notice_box("summary")
    name = gr.Textbox("", label=t(NAME), info=t(NAME_HELP), max_lines=1, max_length=120, elem_id="run-name")
    with gr.Row():
        go = gr.Button(t(START), variant="primary", elem_id="start")
        halt = gr.Button(t(STOP), elem_id="stop")
    told = forms.notice_box("train-notice")
    live = charts.view("live")
    choose = gr.Dropdown([], label=t(EARLIER), info=t(EARLIER_HELP), elem_id="runs", visible=False)
    forward = gr.Button(t(NEXT), elem_id="to-playground")
    everything = {**inputs, "name": name}
    started = {**everything, "mine": mine}
    go.click(
        start, inputs_kwargs=started, outputs=[told, live, run, choose, mine], show_progress="hidden", trigger_mode="once", queue=False
    )
    # Said at once by the browser, in its own words: a trial of the settings takes seconds.
    go.click(None, None, told, js=_checking(), show_progress="hidden", queue=False)
    live.resume(go_on, [run, mine], [told, live, choose], show_progress="hidden", trigger_mode="once", queue=False)
    halt.click(stop, run, told, show_progress="hidden", queue=False)
    choose.input(show, choose, [live, run], show_progress="hidden", queue=False)
    root = gr.context.Context.root_block
    found = root.load(attach, [run, mine], [live, run, choose], show_progress="hidden", queue=False)
    found.then(None, None, None, js="() => { window.studioAttached = true; }")  # until then the address may name another run
    run.change(
        None,
        run,
        None,
        js="(run) => { const url = new URL(location.href); if (run && (window.studioAttached || !url.searchParams.get('run'))) { url.searchParams.set('run', run); history.replaceState(null, '', url); } }",
    )
    return TrainTab(forward, summary, everything)


def _checking() -> str:
    said = json.dumps({"en": CHECKING.en, "zh": CHECKING.zh}, ensure_ascii=False)
    return (
        f"() => ({{ text: {said}[navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'], more: '', kind: 'info', bad: false }})"
    )
