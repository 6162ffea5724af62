"""The page: five tabs in order, the events that connect them, and its launch."""

import os
import socket
import sys
from dataclasses import dataclass
from threading import Thread
from typing import Any

# Gradio reads these when it is imported: nothing is sent anywhere, and idle pages cost nothing.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# Uvicorn believes whoever connects from this machine about where a request came from; see security.py.
os.environ["FORWARDED_ALLOW_IPS"] = ""

import gradio as gr
from gradio.themes.utils import colors, fonts, sizes
from starlette.middleware import Middleware

from studio import export, presets, space
from studio.errors import NotPossible
from studio.i18n import Message, label, languages, next_language_name, register_label
from studio.models import cpu_precision
from studio.storage import home
from studio.ui import access, cleaning, progress_strip, space_note, visitors
from studio.ui.components.events import LATEST_UNQUEUED, UNQUEUED, after_any
from studio.ui.components.gradio_adapter import drop_hidden_progress, hide_api, patch_components
from studio.ui.components.labels import t, translations
from studio.ui.data import details as dataset_details
from studio.ui.data import messages
from studio.ui.data import tab as data_tab
from studio.ui.data.details import DetailsPanel
from studio.ui.data.tab import DataTab
from studio.ui.form.saved_settings import SavedSettings
from studio.ui.help import panel as help_panel
from studio.ui.language import STUDIO_NAME, LanguageMiddleware
from studio.ui.method import machine as machine_panel
from studio.ui.method import recommendation as recommendation_card
from studio.ui.method import tab as method_tab
from studio.ui.method.tab import MethodTab
from studio.ui.playground import tab as playground_tab
from studio.ui.playground.tab import PlaygroundTab
from studio.ui.progress_strip import ProgressStrip
from studio.ui.report_page import ReportMiddleware
from studio.ui.security import (
    LOCAL_HOSTS,
    MAX_UPLOAD_BYTES,
    Access,
    SecurityMiddleware,
    build_access,
    password_check,
)
from studio.ui.share import tab as share_tab
from studio.ui.share.tab import ShareTab
from studio.ui.train import same_again
from studio.ui.train import tab as train_tab
from studio.ui.train.corrections import DataTargets
from studio.ui.train.same_again import FormTargets
from studio.ui.train.tab import TrainTab
from studio.ui.vote_page import VoteMiddleware

if space.is_zero_gpu():  # before torch is imported: without a function for the card the Space does not start
    from studio.ui import zero_gpu  # noqa: F401

# Gradio needs a fixed secret to read what a browser has saved after a restart; that is ids, nothing secret.
STORAGE_SECRET = "studio"  # noqa: S105 - no secret
# Gradio keeps a third of a megabyte for each visitor; beyond this many it forgets who was away longest.
MAX_SESSIONS = 200
# Uploads that nobody takes in are removed after a day, and when the page ends.
SWEEP_SECONDS, MAX_UPLOAD_AGE_SECONDS = 3_600, 86_400
STYLE_SHEETS = (
    "studio.css",
    "data.css",
    "method.css",
    "train.css",
    "runs.css",
    "playground.css",
    "help.css",
    "vote.css",
)
STUDIO_HEADING = label("# Training studio")
CLAIM = label(
    "Teach a language model from your own examples and compare it with the original."
    " Nothing leaves this machine unless you agree."
)
SPACE_CLAIM = label(
    "Teach a language model from your own examples and compare it with the original."
    " This page runs on a Hugging Face Space."
)
ANY_NAME = Message("Any user name will do.")
OPEN_TO_ALL = Message("No password: everyone who reaches this address can use the studio.")
# In the other language, for those who cannot read this one.
OTHER_LANGUAGE = register_label(
    Message(next_language_name("en"), translations={name: next_language_name(name) for name in languages()})
)
# While base model and method have yet to follow the data set, no figures are those of the plan.
SHOW_PLAN_JS = """(followed, ...plan) => {
  const isFollowed = followed === `${plan[0] ?? ''}|${plan[1]}`;
  const props = { plan: isFollowed ? plan : ['follows'] };
  return [{ props, __type__: 'update' }, { text: '' }];
}"""
TAB_LABELS = {
    "data": label("Data", context="tab"),
    "method": label("Method", context="tab"),
    "train": label("Train", context="tab"),
    "playground": label("Playground", context="tab"),
    "share": label("Share", context="tab"),
}
# Settings of the Method tab -> the key under which a browser saves them, and their value before it has.
SAVED_SETTINGS: dict[str, tuple[str, Any]] = {
    "method": ("studio-chosen", method_tab.DEFAULT_METHOD),
    "edited": ("studio-moved", {}),
    "values": ("studio-kept", {}),
    "method_for": ("studio-chosen-for", ""),
    "model": ("studio-model", ""),
    "kwh_price": ("studio-kwh-price", machine_panel.DEFAULT_KWH_PRICE),
}


@dataclass(frozen=True)
class _BrowserStates:
    """What a browser saves.

    Attributes:
        source: The data set that is open.
        run: The run trained, or looked at, last.
        run_ids: The runs that this browser has started.
        dataset_sources: The data sets that it has brought.
        test_sources: The separate test set of each data set.
        sheet_id: The sheet that the Playground was given last.
        settings: The settings of the Method tab.
    """

    source: gr.BrowserState
    run: gr.BrowserState
    run_ids: gr.BrowserState
    dataset_sources: gr.BrowserState
    test_sources: gr.BrowserState
    sheet_id: gr.BrowserState
    settings: SavedSettings


@dataclass(frozen=True)
class _Tabs:
    """The tabs: their panels where they are events, and the components that connect them."""

    data: DataTab
    details: DetailsPanel
    to_method: gr.Button
    method: MethodTab
    train_panel: gr.Tab
    train: TrainTab
    playground_panel: gr.Tab
    playground: PlaygroundTab
    share_panel: gr.Tab
    share: ShareTab


def build_page() -> gr.Blocks:
    """The page with all its events."""
    patch_components()
    with gr.Blocks(
        title=STUDIO_NAME.text, fill_width=False, delete_cache=(SWEEP_SECONDS, MAX_UPLOAD_AGE_SECONDS)
    ) as page:
        # Outside the tabs, since Gradio does not mount a tab before it is opened.
        states = _build_browser_states()
        _build_head()
        space_note.build()
        strip = progress_strip.build()
        tabs = _build_tabs(states, strip)
        dataset_details.wire(
            tabs.details,
            tabs.data,
            tabs.method,
            states.source,
            states.dataset_sources,
            states.test_sources,
        )
        _wire_tab_buttons(tabs)
        _wire_summary(tabs, strip)
        _wire_strip(page, tabs, strip, states)
        _wire_run_lists(tabs, states)
        _wire_same_again(tabs, states)
    drop_hidden_progress(page)
    hide_api(page)
    page.queue(max_size=64, api_open=False)
    return page


def _build_browser_states() -> _BrowserStates:
    settings = {
        name: _browser_state(storage_key, default) for name, (storage_key, default) in SAVED_SETTINGS.items()
    }
    return _BrowserStates(
        source=_browser_state("studio-data", ""),
        run=_browser_state("studio-run", ""),
        run_ids=_browser_state("studio-mine", []),
        dataset_sources=_browser_state("studio-sets", []),
        test_sources=_browser_state("studio-tests", {}),
        sheet_id=_browser_state("studio-sheet", ""),
        settings=SavedSettings(**settings),
    )


def _browser_state(storage_key: str, default: Any) -> gr.BrowserState:
    return gr.BrowserState(default, storage_key=storage_key, secret=STORAGE_SECRET)


def _build_head() -> None:
    with gr.Row(elem_id="head"):
        gr.Markdown(t(STUDIO_HEADING), elem_id="studio-name")
        gr.Markdown(t(SPACE_CLAIM if space.space_id() else CLAIM), elem_id="claim")
        with gr.Row(elem_id="head-buttons"):
            help_buttons = help_panel.build_buttons()
            language_button = gr.Button(
                t(OTHER_LANGUAGE), size="sm", elem_id="language", scale=0, min_width=0
            )
        help_panel.build_dialogs(help_buttons)
    language_button.click(None, None, None, js="() => window.studioSwitchLanguage()")


def _build_tabs(states: _BrowserStates, strip: ProgressStrip) -> _Tabs:
    with gr.Tabs(elem_id="tabs", overflow_behavior="wrap"):
        with _build_tab("data"):
            data = data_tab.build(states.source, states.dataset_sources)
            details = dataset_details.build_details()
            to_method = gr.Button(t(messages.NEXT_METHOD), variant="primary", elem_id="to-method")
        test = details.test_fields.test
        with _build_tab("method"):
            method = method_tab.build(states.source, states.settings, data, test, strip)
        with _build_tab("train") as train_panel:
            form_fields = {
                "source": states.source,
                "task": data.task,
                "columns": data.columns,
                "test": test,
                "model": method.model,
                "machine": method.machine,
                "method": method.method,
                **method.setting_fields,
                **method.training_fields,
            }
            data_targets = DataTargets(states.source, states.dataset_sources, data.revision)
            train = train_tab.build(train_panel, states.run, states.run_ids, form_fields, data_targets)
        with _build_tab("playground") as playground_panel:
            playground = playground_tab.build(
                states.run,
                states.run_ids,
                states.dataset_sources,
                states.sheet_id,
                method.model,
                data.task,
            )
        with _build_tab("share") as share_panel:
            share = share_tab.build()
    return _Tabs(
        data,
        details,
        to_method,
        method,
        train_panel,
        train,
        playground_panel,
        playground,
        share_panel,
        share,
    )


def _build_tab(name: str) -> gr.Tab:
    return gr.Tab(t(TAB_LABELS[name]), id=name, elem_id=f"tab-{name}")


def _open_tab_js(name: str) -> str:
    """Open a tab, and lead to its heading (assets/navigation.js)."""
    return f"() => {{ window.studioOpenTab('{name}'); }}"


def _wire_tab_buttons(tabs: _Tabs) -> None:
    """Buttons that lead to another tab."""
    for button, target in (
        (tabs.to_method, "method"),
        (tabs.method.next_button, "train"),
        (tabs.train.next, "playground"),
    ):
        button.click(None, None, None, js=_open_tab_js(target))
    choice = tabs.method.chooser.result
    prompt_event = choice.attempt(recommendation_card.read_prompt, choice, tabs.playground.prompt, **UNQUEUED)
    prompt_event.then(None, None, None, js=_open_tab_js("playground"))


def _wire_summary(tabs: _Tabs, strip: ProgressStrip) -> None:
    """Summarise the plan when it becomes another one, and whenever the Train tab is opened."""
    train_opened = tabs.method.attempt_event.then(None, None, None, js=_open_tab_js("train"))
    plan_changed = after_any(strip.followed.change, tabs.method.model.change, tabs.method.method.change)
    for listen, options in (
        (train_opened.then, UNQUEUED),
        (tabs.train_panel.select, UNQUEUED),
        (plan_changed.then, LATEST_UNQUEUED),
    ):
        listen(
            train_tab.summarise,
            inputs_kwargs=tabs.train.inputs,
            outputs=tabs.train.summary,
            **options,
        )


def _wire_strip(page: gr.Blocks, tabs: _Tabs, strip: ProgressStrip, states: _BrowserStates) -> None:
    """Let the progress strip know of all runs that go on, and of what the fields hold now.

    Until the Train tab's sentence is that of the new plan, it is empty.
    """
    for listen in (
        after_any(states.run.change, page.load, strip.timer.tick).then,
        strip.html.seen,
        tabs.train.state_changed.then,
        tabs.playground.answered.then,
        tabs.share.prepared.then,
    ):
        listen(
            progress_strip.read_run_stages,
            [states.run, states.run_ids],
            [strip.run, strip.run_stage, strip.timer],
            **UNQUEUED,
        )
    plan_fields = [
        strip.followed,
        states.source,
        tabs.data.task,
        tabs.method.model,
        tabs.method.method,
    ]
    after_any(*(field.change for field in plan_fields), page.load).then(
        None,
        plan_fields,
        [strip.html, tabs.train.summary],
        js=SHOW_PLAN_JS,
        **UNQUEUED,
    )


def _wire_run_lists(tabs: _Tabs, states: _BrowserStates) -> None:
    """Update the lists of runs when their tab is opened, and remember the run that is chosen there.

    A tab that is open from the start has to wait for the run of the address.
    """
    for panel, run_dropdown in (
        (tabs.playground_panel, tabs.playground.run_dropdown),
        (tabs.share_panel, tabs.share.run_dropdown),
    ):
        for listen in (panel.select, tabs.train.attached.then):
            listen(
                playground_tab.update_run_choices,
                [run_dropdown, states.run, states.run_ids],
                run_dropdown,
                **UNQUEUED,
            )
        run_dropdown.input(playground_tab.remember_run, run_dropdown, states.run, **UNQUEUED)


def _wire_same_again(tabs: _Tabs, states: _BrowserStates) -> None:
    """Let a run's row put its plan into the form."""
    targets = FormTargets(
        data=tabs.data.outputs,
        method=tabs.method.method,
        method_for=states.settings.method_for,
        model=tabs.method.model,
        edited=states.settings.edited,
        test_sets=states.test_sources,
        name=tabs.train.inputs["name"],
        change_notice=tabs.method.change_notice,
        fields={**tabs.method.setting_fields, **tabs.method.training_fields},
    )
    same_again.wire(tabs.train.table, tabs.train.run_notice, targets, states.run_ids, states.dataset_sources)


def build_theme() -> gr.themes.Base:
    """The studio's theme: one accent colour, fonts that Gradio ships or the system has."""
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
        layout_gap="16px",
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
        button_border_width="1px",
        button_secondary_background_fill="white",
        button_secondary_background_fill_hover="*neutral_100",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_600",
        input_border_color_focus="*primary_500",
    )


def launch(
    host: str, port: int, block: bool = True, allowed: Access | None = None, password: str = ""
) -> tuple[gr.Blocks, str]:
    """Build the page and open it.

    Args:
        host: The address to listen on; any but this machine's own opens the page to others.
        port: The port to listen on.
        block: Whether to return only when the page is closed.
        allowed: Who is answered; by default whoever reaches the address by one of its own names.
        password: What visitors have to type; "" for no log-in.

    Returns:
        The page and its address.

    Raises:
        NotPossible: STUDIO_PRECISION names a precision that does not exist.
    """
    os.environ[access.OPEN_TO_OTHERS_ENV] = "0" if host in LOCAL_HOSTS else "1"
    os.environ[visitors.PUBLIC_ENV] = "1" if visitors.is_for_strangers(bool(password)) else "0"
    if visitors.is_public():
        cleaning.start()
    if cpu_precision.requested_precision() == "auto":  # measured at the first start, so that no visitor waits
        Thread(target=cpu_precision.bf16_speedup, daemon=True).start()
    page = build_page()
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
        auth=password_check(password) if password else None,
        auth_message=" · ".join(ANY_NAME.render(language) for language in languages()),
        max_file_size=MAX_UPLOAD_BYTES,
        state_session_capacity=MAX_SESSIONS,
        footer_links=[],
        theme=build_theme(),
        head=f"<script>{(presets.ASSETS / 'navigation.js').read_text(encoding='utf-8')}</script>",
        css_paths=[presets.ASSETS / name for name in STYLE_SHEETS],
        i18n=translations(),
        allowed_paths=[str(export.downloads_folder())],
        app_kwargs={
            "middleware": [
                Middleware(SecurityMiddleware, access=allowed or build_access(host)),
                Middleware(VoteMiddleware),
                Middleware(ReportMiddleware),
                Middleware(LanguageMiddleware),
            ]
        },
    )
    if block:
        page.block_thread()
    return page, address


def serve(host: str, port: int, allowed: Access, password: str = "") -> int:
    """Open the page and stay until it is interrupted.

    Args:
        host: The address to listen on.
        port: The port to listen on.
        allowed: Who is answered.
        password: What visitors have to type; "" for no log-in.

    Returns:
        The exit code.

    Raises:
        NotPossible: The port is taken.
    """
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise NotPossible(
                Message("The page cannot open on {host}:{port}: {why}."),
                Message("Another studio may be open there. Choose another port: studio --port {other}."),
                host=host,
                port=port,
                why=error.strerror,
                other=port + 1,
            ) from None
    sys.stdout.write(
        f"Training studio: http://{host}:{port}  (files in {home()}; Ctrl-C closes the page, runs go on)\n"
    )
    if host not in LOCAL_HOSTS:
        sys.stdout.write(f"Answers to: {', '.join(allowed.hosts)} and this machine's addresses.\n")
    if host not in LOCAL_HOSTS and not password:
        sys.stdout.write(f"{OPEN_TO_ALL.render()}\n")
    sys.stdout.flush()
    launch(host, port, allowed=allowed, password=password)
    return 0
