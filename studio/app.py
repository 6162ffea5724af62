"""The page: five tabs in order, the few wires between them, and its launch."""

import os
import socket
import sys
from pathlib import Path
from typing import Any

if __package__ in (None, ""):  # started as `python studio/app.py`, as a Space does: this folder must not shadow other packages
    sys.path[:] = [entry for entry in sys.path if Path(entry or ".").resolve() != Path(__file__).resolve().parent]
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# Read by Gradio when it is imported: nothing is sent anywhere, and idle pages cost nothing.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr
from gradio.themes.utils import colors, fonts, sizes
from starlette.middleware import Middleware

from studio import export, presets
from studio.errors import NotPossible
from studio.guard import MOST_UPLOAD, Guard
from studio.home import home
from studio.tabs import choose, data, data_words, forms, help, inspect, method, playground, share, story, train, visitor
from studio.tabs.forms import t
from studio.tabs.remember import Remembered
from studio.tongue import Tongue
from studio.words import Words, label

TITLE = "Training studio"
# Gradio wants a fixed word to find a browser's memory again after a restart; what is kept is ids, no secret.
FIXED = "studio"
LOCAL = ("127.0.0.1", "localhost", "::1")
WELCOME = label(
    "# Training studio\nTeach a language model from your examples, watch it learn, and compare it with the original. Everything stays on this machine.",
    "# 训练工作室\n用你的样本教会语言模型，看着它学习，再与基础模型对比。一切都留在这台机器上。",
)
# Said in the other language, for those who cannot read this one.
OTHER_LANGUAGE = label("中文", "English")
SWITCH = """() => {
  const next = navigator.language.toLowerCase().startsWith('zh') ? 'en' : 'zh';
  document.cookie = `studio-lang=${next}; path=/; max-age=31536000; samesite=lax`;
  location.reload();
}"""
TABS = {
    "data": label("1 · Data", "1 · 数据"),
    "method": label("2 · Method", "2 · 方法"),
    "train": label("3 · Train", "3 · 训练"),
    "playground": label("4 · Playground", "4 · 对比"),
    "share": label("5 · Share", "5 · 分享"),
}


# The settings as they were left.
LEFT: dict[str, Any] = {"chosen": method.FIRST_METHOD, "moved": {}, "kept": {}}


def build() -> gr.Blocks:
    """The whole page, wired."""
    with gr.Blocks(title=TITLE, fill_width=False) as page:
        # What a browser remembers stands outside the tabs: Gradio does not mount a tab before it is opened.
        source = gr.BrowserState("", storage_key="studio-data", secret=FIXED)
        run = gr.BrowserState("", storage_key="studio-run", secret=FIXED)
        mine = gr.BrowserState([], storage_key="studio-mine", secret=FIXED)
        sets = gr.BrowserState([], storage_key="studio-sets", secret=FIXED)
        tests = gr.BrowserState({}, storage_key="studio-tests", secret=FIXED)
        left = {name: gr.BrowserState(first, storage_key=f"studio-{name}", secret=FIXED) for name, first in LEFT.items()}
        with gr.Row(elem_id="head"):
            gr.Markdown(t(WELCOME), elem_id="welcome")
            with gr.Row(elem_id="head-buttons"):
                help.head()
                switch = gr.Button(t(OTHER_LANGUAGE), size="sm", elem_id="language", scale=0, min_width=90)
        switch.click(None, None, None, js=SWITCH)
        stand = story.strip(run)
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab(t(TABS["data"]), id="data"):
                at_data = data.build(source, sets)
                lower = inspect.lay_out()
                to_method = gr.Button(t(data_words.NEXT), variant="primary", elem_id="to-method")
            with gr.Tab(t(TABS["method"]), id="method"):
                at_method = method.build(source, Remembered(**left), at_data, lower.own.test, stand)
            with gr.Tab(t(TABS["train"]), id="train") as train_tab:
                described = {"source": source, "task": at_data.task, "columns": at_data.columns, "test": lower.own.test}
                chosen = {"model": at_method.model, "chosen": at_method.chosen}
                at_train = train.build(run, mine, {**described, **chosen, **at_method.knobs, **at_method.training})
            with gr.Tab(t(TABS["playground"]), id="playground") as playground_tab:
                at_playground = playground.build(run, at_method.model, at_data.task)
            with gr.Tab(t(TABS["share"]), id="share") as share_tab:
                at_share = share.build()
        quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
        inspect.wire(lower, at_data, at_method, source, sets, tests)
        for button, target in ((to_method, "method"), (at_method.next, "train"), (at_train.next, "playground")):
            button.click(None, None, tabs, js=f"() => ({{ selected: '{target}', __type__: 'update' }})")
        attempt = at_method.chooser.result.attempt(choose.prompted, at_method.chooser.result, at_playground.prompt, **quiet)
        attempt.then(None, None, tabs, js="() => ({ selected: 'playground', __type__: 'update' })")
        at_method.tried.then(None, None, tabs, js="() => ({ selected: 'train', __type__: 'update' })").then(
            train.summarise, inputs_kwargs=at_train.inputs, outputs=at_train.summary, **quiet
        )
        train_tab.select(train.summarise, inputs_kwargs=at_train.inputs, outputs=at_train.summary, **quiet)
        for happened in (forms.follow(run.change, page.load), at_train.moved, at_playground.asked, at_share.prepared):
            happened.then(story.reached, run, stand.reached, **quiet)
        for tab, listed in ((playground_tab, at_playground.choose), (share_tab, at_share.choose)):
            tab.select(playground.choices, [listed, run, mine], listed, **quiet)
            listed.input(playground.remember, listed, run, **quiet)
    page.queue(max_size=64, api_open=False)
    return page


def look() -> gr.themes.Base:
    """The studio's theme: calm, one accent, fonts that Gradio ships or the system has."""
    sans = (fonts.LocalFont("IBM Plex Sans", weights=(400, 700)), "ui-sans-serif", "system-ui", "sans-serif")
    mono = (fonts.LocalFont("IBM Plex Mono", weights=(400, 700)), "ui-monospace", "monospace")
    theme = gr.themes.Base(
        primary_hue=colors.indigo,
        neutral_hue=colors.slate,
        spacing_size=sizes.spacing_lg,
        radius_size=sizes.radius_lg,
        font=sans,
        font_mono=mono,
    )
    return theme.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_label_text_color="*neutral_700",
        block_label_text_color_dark="*neutral_200",
        block_title_text_weight="700",
        block_info_text_color="*neutral_600",
        block_info_text_color_dark="*neutral_300",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_300",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="white",
        input_border_color_focus="*primary_500",
    )


def launch(host: str, port: int, block: bool = True) -> tuple[gr.Blocks, str]:
    """Build and open the page on `host` and `port`; returns it and its address at once where `block` is False."""
    os.environ[visitor.OPEN] = "0" if host in LOCAL else "1"
    page = build()
    hosts = () if host not in LOCAL else LOCAL
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        prevent_thread_lock=True,
        quiet=True,
        show_error=True,
        ssr_mode=False,
        run_history=False,
        inbrowser=False,
        share=False,
        max_file_size=MOST_UPLOAD,
        footer_links=[],
        theme=look(),
        css_paths=[presets.ASSETS / "studio.css", presets.ASSETS / "help.css"],
        i18n=forms.translations(),
        allowed_paths=[str(export.downloads())],
        app_kwargs={"middleware": [Middleware(Guard, hosts=hosts), Middleware(Tongue)]},
    )
    if block:
        page.block_thread()
    return page, address


def serve(host: str, port: int) -> int:
    """Open the page and stay until it is interrupted; returns the exit code. Raises NotPossible where the port is taken."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise NotPossible(
                Words("The page cannot open on {host}:{port}: {why}.", "页面无法在 {host}:{port} 打开：{why}。"),
                Words(
                    "Another studio may be open there. Choose another port: studio --port {other}.",
                    "那里可能已有另一个工作室。请换一个端口：studio --port {other}。",
                ),
                host=host,
                port=port,
                why=error.strerror,
                other=port + 1,
            ) from None
    sys.stdout.write(f"Training studio: http://{host}:{port}  (files in {home()}; Ctrl-C closes the page, runs go on)\n")
    sys.stdout.flush()
    launch(host, port)
    return 0


if __name__ == "__main__":
    from studio.__main__ import main

    sys.exit(main())
