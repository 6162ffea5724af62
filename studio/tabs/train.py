"""The Train tab: one sentence, Start, the live view, Stop."""

import json
from typing import Any, NamedTuple

import gradio as gr

from studio import methods, runs
from studio.errors import StudioError, explain
from studio.estimate import machines, record
from studio.home import check_room, home
from studio.methods import trial
from studio.plan import Task, Value
from studio.tabs import charts, draft, estimates, forms, visitor
from studio.tabs.forms import t
from studio.train import launch
from studio.words import Words, joined, label

# Room a run needs beside what it learns: the split data, the log and the points.
LEAST_ROOM = 200_000_000
HEAD = label("### Train", "### 训练")
NAME = label("Name of this run", "这次训练的名称")
NAME_HELP = label("So that you find it again.", "方便以后找到它。")
START, STOP = label("Start training", "开始训练"), label("Stop and keep what was learned", "停止并保留已学内容")
EARLIER = label("Runs", "训练记录")
EARLIER_HELP = label("Choose one to look at it again. Closing this page stops nothing.", "选择一个以重新查看。关闭页面不会中断训练。")
NEXT = label("Next: compare both models", "下一步：对比两个模型")
NOTHING = Words("Bring examples first: the Data tab takes a file or a sample.", "请先准备样本：在“数据”页上传文件，或使用示例数据。")
STARTED = Words(
    "Started. You may close this page: the run goes on, and this page finds it again.",
    "已开始。可以关闭页面：训练会继续，重新打开即可看到。",
)
QUEUED = Words(
    "Queued: another run is training. It starts by itself; Stop takes it out of the queue.",
    "已排队：有别的训练正在进行，轮到时自动开始；点“停止”可退出排队。",
)
STOPPING = Words(
    "“{name}” was asked to stop: it finishes the step it is in, then checks what it has learned and keeps it.",
    "正在停止“{name}”：做完当前这一步，评估后保留学到的内容。",
)
CALLED_OFF = Words(
    "“{name}” was asked to stop before it trains; nothing has been learned yet.", "“{name}”会在开始训练前停下，还没有学到内容。"
)
BEGINS_AGAIN = Words(
    "After a stop this method begins the unfinished stage again; stages that have ended are kept.",
    "这种方法停止后再继续，会从没做完的阶段重新开始；做完的阶段都保留。",
)
GOES_ON = Words("“{name}” goes on from where it was.", "“{name}”从中断处继续。")
TOO_BIG = Words(
    "The Method tab offers changes that make it fit, in the row of this method. Or insist below, and it ends with a sentence where memory runs out.",
    "“方法”页里这种方法的那一行，列出了怎样改才放得下。也可以在下面选“仍然开始”，内存用尽时会停下并说明原因。",
)
INSIST = label("Start anyway", "仍然开始")
INSIST_HELP = label(
    "It will probably run out of memory. Everything else on this machine stays as it is.", "很可能会内存不足。本机其他程序不受影响。"
)
CHECKING = label("Checking…", "正在检查…")
NOTHING_RUNS = Words("Nothing is training.", "当前没有训练。")
NOT_RUNNING = Words("There is nothing to stop: the run has ended ({state}).", "不用停止：这次训练已经结束（{state}）。")


class TrainTab(NamedTuple):
    """The components other tabs need."""

    next: gr.Button
    summary: gr.HTML
    moved: Any
    inputs: dict[str, Any]


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
        made = draft.assemble(source, task, columns, model, chosen, name, **values)
        more = "" if methods.get(chosen).resumes else BEGINS_AGAIN.say(lang)
        told = estimates.foretold(made)
        over = told.why_not.say(lang) if told and told.fits == "no" and told.why_not else ""
        cost = over or estimates.in_words(told, lang)
        said = joined((cost, draft.later(made, lang), more), lang)
        return forms.notice(draft.describe(made, lang), said, kind="check" if over else "info")
    except StudioError as error:
        return draft.problem(error, chosen, lang)


def start(
    source: str,
    task: Task,
    columns: str,
    model: str,
    chosen: str,
    name: str,
    mine: object,
    request: gr.Request,
    insist: bool = False,
    **values: Value,
) -> tuple[Any, ...]:
    """Create the run and start its worker; what is wrong is said before anything starts, and one that cannot fit is started only on insisting."""
    lang = forms.language(request)
    if not source:
        return forms.notice(NOTHING.say(lang), kind="bad"), *(gr.skip(),) * 5
    try:
        made = draft.assemble(source, task, columns, model, chosen, name, **values)
        draft.describe(made, lang)  # the data is checked once more: a browser may send anything
        if refused := trial.refusal(made, lang):
            return forms.notice(refused, kind="bad"), *(gr.skip(),) * 5
        told = estimates.foretold(made)
        if told and told.fits == "no" and told.why_not and insist is not True:
            return forms.notice(told.why_not.say(lang), TOO_BIG.say(lang), kind="bad"), *(gr.skip(),) * 4, gr.update(visible=True)
        check_room(home(), LEAST_ROOM)
        visitor.check_queue()
        busy = any(runs.status(other).state not in runs.ENDED for other in runs.all_runs())
        run = runs.create(made)
        if told:
            record.foretell(run, told, machines.here())
        launch.start(run)
    except (StudioError, OSError) as error:
        return draft.problem(error, chosen, lang), *(gr.skip(),) * 5
    own = [*visitor.ids(mine), run.id]
    said = QUEUED if busy else STARTED
    shown = forms.notice(said.say(lang), kind="good"), charts.showing(run.id, lang), run.id, earlier(run.id, own, lang), own
    return *shown, gr.update(value=False, visible=False)


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


def moved(run_id: str, mine: object, request: gr.Request) -> tuple[Any, ...]:
    """The shown run is in another state: the list says so too, and what was said of one that has ended is over."""
    lang = forms.language(request)
    try:
        over = runs.status(runs.get(run_id or "")).state in runs.ENDED
    except StudioError:
        return gr.skip(), gr.skip()
    return forms.notice("") if over else gr.skip(), earlier(run_id, mine, lang)


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
    insist = gr.Checkbox(False, label=t(INSIST), info=t(INSIST_HELP), elem_id="insist", visible=False)
    told = forms.notice_box("train-notice")
    live = charts.view("live")
    choose = gr.Dropdown([], label=t(EARLIER), info=t(EARLIER_HELP), elem_id="runs", visible=False)
    forward = gr.Button(t(NEXT), elem_id="to-playground")
    everything = {**inputs, "name": name}
    started = {**everything, "mine": mine, "insist": insist}
    # Said at once by the browser, in its own words: a trial of the settings takes seconds. First, so that the answer comes after it.
    go.click(None, None, told, js=_checking(), show_progress="hidden", queue=False)
    go.click(
        start,
        inputs_kwargs=started,
        outputs=[told, live, run, choose, mine, insist],
        show_progress="hidden",
        trigger_mode="once",
        queue=False,
    )
    changed = live.moved(moved, [run, mine], [told, choose], show_progress="hidden", queue=False)
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
    return TrainTab(forward, summary, changed, everything)


def _checking() -> str:
    said = json.dumps({"en": CHECKING.en, "zh": CHECKING.zh}, ensure_ascii=False)
    return (
        f"() => ({{ text: {said}[navigator.language.toLowerCase().startsWith('zh') ? 'zh' : 'en'], more: '', kind: 'info', bad: false }})"
    )
