"""The page: five tabs in order, the few wires between them, and its launch."""

import os
import socket
import sys
from typing import Any

# Read by Gradio when it is imported: nothing is sent anywhere, and idle pages cost nothing.
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = "1000000"
os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")

import gradio as gr
from gradio.themes.utils import colors, fonts, sizes
from starlette.middleware import Middleware

from studio import export, presets
from studio.errors import NotPossible
from studio.i18n import Message, label, languages, next_language_name, register_label
from studio.storage import home
from studio.ui import access, progress_strip
from studio.ui.components import forms
from studio.ui.components.forms import t
from studio.ui.data import details as dataset_details
from studio.ui.data import messages
from studio.ui.data import tab as data_tab
from studio.ui.form.saved_settings import SavedSettings
from studio.ui.help import panel as help_panel
from studio.ui.language import LanguageMiddleware
from studio.ui.method import chooser as chooser_panel
from studio.ui.method import tab as method_tab
from studio.ui.playground import tab as playground_tab
from studio.ui.security import MAX_UPLOAD_BYTES, SecurityMiddleware
from studio.ui.share import tab as share_tab
from studio.ui.train import tab as train_tab

TITLE = "Training studio"
# Gradio wants a fixed word to find a browser's memory again after a restart; what is kept is ids, no secret.
STORAGE_SECRET = "studio"  # noqa: S105 - no secret
LOCAL_HOSTS = ("127.0.0.1", "localhost", "::1")
WELCOME = label(
    "# Training studio\nTeach a language model from your examples, watch it learn, and compare it with the original. Everything stays on this machine."
)
# Said in the other language, for those who cannot read this one.
OTHER_LANGUAGE = register_label(
    Message(next_language_name("en"), translations={name: next_language_name(name) for name in languages()})
)
SWITCH_LANGUAGE_JS = """() => {
  const names = window.studioLanguages;
  const next = names[(names.indexOf(window.studioLanguage) + 1) % names.length];
  document.cookie = `studio-lang=${next}; path=/; max-age=31536000; samesite=lax`;
  location.reload();
}"""
TAB_LABELS = {
    "data": label("1 · Data"),
    "method": label("2 · Method"),
    "train": label("3 · Train"),
    "playground": label("4 · Playground"),
    "share": label("5 · Share"),
}


# The settings as they were left.
DEFAULT_SAVED_SETTINGS: dict[str, Any] = {"chosen": method_tab.DEFAULT_METHOD, "moved": {}, "kept": {}}


def build_page() -> gr.Blocks:
    """The whole page, wired."""
    with gr.Blocks(title=TITLE, fill_width=False) as page:
        # What a browser remembers stands outside the tabs: Gradio does not mount a tab before it is opened.
        source = gr.BrowserState("", storage_key="studio-data", secret=STORAGE_SECRET)
        run = gr.BrowserState("", storage_key="studio-run", secret=STORAGE_SECRET)
        run_ids = gr.BrowserState([], storage_key="studio-mine", secret=STORAGE_SECRET)
        dataset_sources = gr.BrowserState([], storage_key="studio-sets", secret=STORAGE_SECRET)
        test_sources = gr.BrowserState({}, storage_key="studio-tests", secret=STORAGE_SECRET)
        settings_states = {
            name: gr.BrowserState(default, storage_key=f"studio-{name}", secret=STORAGE_SECRET)
            for name, default in DEFAULT_SAVED_SETTINGS.items()
        }
        with gr.Row(elem_id="head"):
            gr.Markdown(t(WELCOME), elem_id="welcome")
            with gr.Row(elem_id="head-buttons"):
                help_panel.build_buttons()
                language_button = gr.Button(
                    t(OTHER_LANGUAGE), size="sm", elem_id="language", scale=0, min_width=90
                )
        language_button.click(None, None, None, js=SWITCH_LANGUAGE_JS)
        strip = progress_strip.build(run)
        with gr.Tabs(elem_id="tabs") as tabs:
            with gr.Tab(t(TAB_LABELS["data"]), id="data"):
                data_components = data_tab.build(source, dataset_sources)
                inspection = dataset_details.build_details()
                to_method = gr.Button(t(messages.NEXT_METHOD), variant="primary", elem_id="to-method")
            with gr.Tab(t(TAB_LABELS["method"]), id="method"):
                method_components = method_tab.build(
                    source,
                    SavedSettings(**settings_states),
                    data_components,
                    inspection.test_fields.test,
                    strip,
                )
            with gr.Tab(t(TAB_LABELS["train"]), id="train") as train_panel:
                data_inputs = {
                    "source": source,
                    "task": data_components.task,
                    "columns": data_components.columns,
                    "test": inspection.test_fields.test,
                }
                method_inputs = {"model": method_components.model, "chosen": method_components.chosen}
                train_components = train_tab.build(
                    run,
                    run_ids,
                    {
                        **data_inputs,
                        **method_inputs,
                        **method_components.setting_fields,
                        **method_components.training_fields,
                    },
                )
            with gr.Tab(t(TAB_LABELS["playground"]), id="playground") as playground_panel:
                playground_components = playground_tab.build(
                    run, method_components.model, data_components.task
                )
            with gr.Tab(t(TAB_LABELS["share"]), id="share") as share_panel:
                share_components = share_tab.build()
        event_options: dict[str, Any] = {"show_progress": "hidden", "queue": False}
        dataset_details.wire(
            inspection, data_components, method_components, source, dataset_sources, test_sources
        )
        for button, target in (
            (to_method, "method"),
            (method_components.next_button, "train"),
            (train_components.next, "playground"),
        ):
            button.click(None, None, tabs, js=f"() => ({{ selected: '{target}', __type__: 'update' }})")
        prompt_event = method_components.chooser.result.attempt(
            chooser_panel.read_prompt,
            method_components.chooser.result,
            playground_components.prompt,
            **event_options,
        )
        prompt_event.then(None, None, tabs, js="() => ({ selected: 'playground', __type__: 'update' })")
        method_components.attempt_event.then(
            None, None, tabs, js="() => ({ selected: 'train', __type__: 'update' })"
        ).then(
            train_tab.summarise,
            inputs_kwargs=train_components.inputs,
            outputs=train_components.summary,
            **event_options,
        )
        train_panel.select(
            train_tab.summarise,
            inputs_kwargs=train_components.inputs,
            outputs=train_components.summary,
            **event_options,
        )
        for event in (
            forms.after_any(run.change, page.load),
            train_components.state_changed,
            playground_components.answered,
            share_components.prepared,
        ):
            event.then(progress_strip.read_run_stage, run, strip.run_stage, **event_options)
        for tab, run_dropdown in (
            (playground_panel, playground_components.run_dropdown),
            (share_panel, share_components.run_dropdown),
        ):
            tab.select(
                playground_tab.update_run_choices, [run_dropdown, run, run_ids], run_dropdown, **event_options
            )
            run_dropdown.input(playground_tab.remember_run, run_dropdown, run, **event_options)
    page.queue(max_size=64, api_open=False)
    return page


def build_theme() -> gr.themes.Base:
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
    os.environ[access.OPEN_TO_OTHERS_ENV] = "0" if host in LOCAL_HOSTS else "1"
    page = build_page()
    allowed_hosts = () if host not in LOCAL_HOSTS else LOCAL_HOSTS
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
        max_file_size=MAX_UPLOAD_BYTES,
        footer_links=[],
        theme=build_theme(),
        css_paths=[presets.ASSETS / "studio.css", presets.ASSETS / "help.css"],
        i18n=forms.translations(),
        allowed_paths=[str(export.downloads_folder())],
        app_kwargs={
            "middleware": [
                Middleware(SecurityMiddleware, hosts=allowed_hosts),
                Middleware(LanguageMiddleware),
            ]
        },
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
    sys.stdout.flush()
    launch(host, port)
    return 0
