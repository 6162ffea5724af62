"""Help where it is needed: method pages, exact terms, a glossary, what curves say, and a first tour."""

import time
from typing import Any, NamedTuple

import gradio as gr

from studio import methods, presets
from studio.errors import BadPlan
from studio.i18n import Message, languages
from studio.methods.spec import Setting
from studio.presets import MethodPage
from studio.ui import units
from studio.ui.components import gradio_adapter
from studio.ui.components.events import UNQUEUED
from studio.ui.components.gradio_adapter import current_page
from studio.ui.components.labels import t
from studio.ui.form.training_fields import TRAINING_FIELDS
from studio.ui.help import cards, messages
from studio.ui.language import request_language

# The drawing is the studio's own file with its words escaped (studio.ui.help.cards.drawing); everything else
# is escaped by the template. What a method's card leaves out is left out of its page.
METHOD_PAGE_TEMPLATE = """
{{#if value.name}}<article class="about-method">
  {{#if value.drawing}}<figure>{{{value.drawing}}}</figure>{{/if}}
  <section class="about-what"><h3>{{value.heads.what}}</h3><p>{{value.what}}</p>
    <h3>{{value.heads.cost}}</h3><p>{{#if cost}}{{cost}}{{else}}{{value.cost}}{{/if}}</p>
    {{#if value.attempt}}<p class="about-try">
      <button type="button" data-attempt="{{value.name}}">{{value.attempt}}</button>
      <span class="about-small">{{value.sample}}</span></p>{{/if}}</section>
  {{#if value.how}}<section><h3>{{value.heads.how}}</h3>
    <ol>{{#each value.how}}<li>{{this}}</li>{{/each}}</ol></section>{{/if}}
  {{#if value.steps}}<section><h3>{{value.heads.steps}}</h3>
    <ol>{{#each value.steps}}<li>{{this}}</li>{{/each}}</ol></section>{{/if}}
  {{#if value.fits}}<section class="about-fits"><h3>{{value.heads.fits}}</h3>
    <ul>{{#each value.fits}}<li>{{this}}</li>{{/each}}</ul></section>{{/if}}
  {{#if value.fits_not}}<section class="about-not"><h3>{{value.heads.fits_not}}</h3>
    <ul>{{#each value.fits_not}}<li>{{this}}</li>{{/each}}</ul></section>{{/if}}
  {{#if value.watch}}<section class="about-wide"><h3>{{value.heads.watch}}</h3><p>{{value.watch}}</p>
    <p class="about-small"><b>{{value.heads.source}}</b> {{value.source}}</p></section>{{/if}}
</article>{{/if}}"""
ATTEMPT_SCRIPT = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-attempt]');
  if (button) trigger('attempt', { id: button.dataset.attempt });
});"""
TERMS_TEMPLATE = """
{{#each value.groups}}
  {{#if this.folded}}<details class="terms"><summary>{{this.head}}</summary>
  {{else}}<section class="terms"><h3>{{this.head}}</h3>{{/if}}
  <dl>{{#each this.terms}}<div><dt>{{this.label}}</dt><dd>{{this.help}}</dd>
    {{#if this.exact}}<dd class="exactly">{{this.exact}}</dd>{{/if}}</div>{{/each}}</dl>
  {{#if this.folded}}</details>{{else}}</section>{{/if}}
{{/each}}"""


def build_method_page() -> gr.HTML:
    """The page of a method; the browser reports `attempt` with its `id`, which may be anything: check it.

    `cost` is a prop of its own, so that a moved slider sends one sentence and no page.
    """
    return gr.HTML(
        {},
        html_template=METHOD_PAGE_TEMPLATE,
        js_on_load=ATTEMPT_SCRIPT,
        elem_id="about-method",
        apply_default_css=False,
        cost="",
    )


def method_page_value(name: str, lang: str, cost: str = "") -> dict[str, Any]:
    """What the page of a method shows; what its card leaves out is empty.

    Args:
        name: The method, which has a card.
        lang: The language to show it in.
        cost: A sentence on what the method would take here; "" says what is missing for an estimate.
    """
    card = presets.methods()[name]
    value = {
        "name": name,
        "drawing": _drawing_or_nothing(name, lang),
        "what": card.principle.render(lang),
        "how": [],
        "steps": [step.render(lang) for step in card.steps],
        "fits": [],
        "fits_not": [],
        "watch": "",
        "source": "",
        "cost": cost or messages.COST_UNKNOWN.render(lang),
        "attempt": "",
        "sample": "",
        "heads": {name: heading.render(lang) for name, heading in messages.PAGE_HEADINGS.items()},
    }
    return value | (_page_texts(card.help, lang) if card.help else {})


def _page_texts(page: MethodPage, lang: str) -> dict[str, Any]:
    texts: dict[str, Any] = {
        "what": page.what.render(lang),
        "how": [step.render(lang) for step in page.how],
        "fits": [item.render(lang) for item in page.fits],
        "fits_not": [item.render(lang) for item in page.fits_not],
        "watch": page.watch.render(lang),
        "source": page.source.render(lang),
    }
    sample = presets.samples().get(page.sample_run.sample)
    if sample:
        texts["attempt"] = _attempt_label(page.sample_run.seconds, lang)
        texts["sample"] = messages.WITH_SAMPLE.render(lang, name=sample.name, rows=sample.rows)
    return texts


def _attempt_label(seconds: float | None, lang: str) -> str:
    if seconds is None:
        return messages.TRY_SHORT_RUN.render(lang)
    return messages.TRY_TIMED.render(lang, time=units.format_seconds(seconds, lang))


def _drawing_or_nothing(name: str, lang: str) -> str:
    """The drawing of a method; empty where there is none, or a word of it is missing."""
    try:
        return cards.drawing(name, lang)
    except BadPlan:
        return ""


def update_cost(sentence: str) -> Any:
    """The page as it is, with another sentence on the cost."""
    return gr.update(cost=gradio_adapter.escape_template(sentence))


def build_terms() -> gr.HTML:
    """The exact terms of a method's settings."""
    return gr.HTML(
        {}, html_template=TERMS_TEMPLATE, js_on_load="", elem_id="exact-terms", apply_default_css=False
    )


def list_terms(name: str, lang: str) -> list[dict[str, str]]:
    """The settings of a method, then those of the training, each explained on two levels.

    Each has its `key`, its `label` and `help` in plain words, the `exact` sentence (empty where there is
    none), and `condition`, the choice under which alone it applies (empty for most).
    """
    settings = methods.get(name).settings
    terms = []
    for setting in settings:
        key, condition = f"{name}.{setting.name}", _condition_label(setting, settings)
        terms.append(_term(key, setting.label, setting.help, lang) | {"condition": condition.render(lang)})
    for field, (label, help_text) in TRAINING_FIELDS.items():
        terms.append(_term(f"{cards.TRAINING}.{field}", label, help_text, lang) | {"condition": ""})
    return terms


def _term(key: str, label: Message, help_text: Message, lang: str) -> dict[str, str]:
    exact = cards.exact_term(key)
    return {
        "key": key,
        "label": label.render(lang),
        "help": help_text.render(lang),
        "exact": exact.render(lang) if exact else "",
    }


def _condition_label(setting: Setting, settings: tuple[Setting, ...]) -> Message:
    """What the choice is called under which alone a setting applies; empty where it always does."""
    if not setting.depends_on:
        return Message("")
    name, value = setting.depends_on
    choices = {choice: text for other in settings if other.name == name for choice, text in other.choices}
    return choices.get(value, Message(""))


def terms_value(name: str, lang: str) -> dict[str, Any]:
    """The terms of a method in groups: its own settings, those of one choice folded, the training's."""
    method_heading = messages.METHOD_SETTINGS.render(lang, method=presets.methods()[name].name)
    training_heading = messages.TRAINING_SETTINGS.render(lang)
    groups: dict[str, dict[str, Any]] = {}
    for term in list_terms(name, lang):
        is_training = term["key"].startswith(f"{cards.TRAINING}.")
        heading = training_heading if is_training else term["condition"] or method_heading
        group = groups.setdefault(heading, {"head": heading, "folded": bool(term["condition"]), "terms": []})
        group["terms"].append(term)
    return {"groups": list(groups.values())}


def explain_method(chosen: str, request: gr.Request) -> tuple[Any, Any]:
    """The page and the terms of the chosen method, in the visitor's language; a browser may name anything."""
    lang = request_language(request)
    if chosen not in {method.name for method in methods.METHODS}:
        return gr.skip(), gr.skip()
    return method_page_value(chosen, lang), terms_value(chosen, lang)


def glossary_value(lang: str) -> dict[str, Any]:
    """The field's terms for the dialog.

    `also` is what a term is called in another language, so that it is found under both names.
    """
    other_language = next(name for name in languages() if name != lang)
    entries = [
        {
            "name": term.name.render(lang),
            "also": term.name.render(other_language),
            "plain": term.plain.render(lang),
            "exact": term.exact.render(lang),
        }
        for term in cards.glossary().values()
    ]
    return {
        "terms": entries,
        "words": {name: message.render(lang) for name, message in messages.GLOSSARY_TEXTS.items()},
    }


def curve_texts(lang: str) -> dict[str, dict[str, str]]:
    """What each measure of a run says, plainly and exactly, and what it looks like when good and when bad."""
    return {
        name: {
            "plain": curve.plain.render(lang),
            "exact": curve.exact.render(lang),
            "good": curve.good.render(lang),
            "bad": curve.bad.render(lang),
        }
        for name, curve in cards.curves().items()
    }


def curve_headings(lang: str) -> dict[str, str]:
    """The headings of the parts of `curve_texts`, and the label of the button that opens them."""
    return {name: heading.render(lang) for name, heading in messages.CURVE_HEADINGS.items()}


def tour_value(lang: str) -> dict[str, Any]:
    """The steps of the tour, one for each tab in order, and the words of its buttons."""
    steps = [{"title": title.render(lang), "text": text.render(lang)} for title, text in messages.TOUR_STEPS]
    return {
        "steps": steps,
        "words": {name: message.render(lang) for name, message in messages.TOUR_TEXTS.items()},
    }


def open_glossary(request: gr.Request) -> dict[str, Any]:
    """The glossary in the visitor's language; every answer is new, so that the dialog opens again."""
    return {**glossary_value(request_language(request)), "asked": time.time()}


def load_tour(request: gr.Request) -> dict[str, Any]:
    """The tour in the visitor's language; the browser knows whether it has been seen."""
    return tour_value(request_language(request))


class HelpButtons(NamedTuple):
    """The buttons of the page's head that open help."""

    glossary: gr.Button
    tour: gr.Button


def build_buttons() -> HelpButtons:
    """Lay out the buttons in the open row."""
    size: dict[str, Any] = {"size": "sm", "scale": 0, "min_width": 0}
    return HelpButtons(
        gr.Button(t(messages.OPEN_GLOSSARY), elem_id="open-glossary", **size),
        gr.Button(t(messages.SHOW_TOUR), elem_id="show-around", **size),
    )


def build_dialogs(buttons: HelpButtons) -> None:
    """Lay out what the buttons open, and wire both."""
    glossary_dialog, tour_dialog = _build_scripted("glossary"), _build_scripted("tour")
    buttons.glossary.click(open_glossary, None, glossary_dialog, **UNQUEUED)
    buttons.tour.click(
        None, None, None, js="() => { document.dispatchEvent(new Event('studio-tour')); }", **UNQUEUED
    )
    current_page().load(load_tour, None, tour_dialog, **UNQUEUED)


def _build_scripted(name: str) -> gr.HTML:
    """A component that its script draws beside an empty template, so that an update leaves that alone."""
    parts = [(presets.ASSETS / file).read_text(encoding="utf-8") for file in ("dialog.js", f"{name}.js")]
    script = "\n".join(parts)
    return gr.HTML(
        {}, html_template="<i hidden></i>", js_on_load=script, elem_id=name, apply_default_css=False
    )
