"""Help where it is needed: a page for each method, the exact terms of its settings, a glossary, what curves say, and a first tour."""

import time
from typing import Any

import gradio as gr

from studio import methods, presets
from studio.i18n import Message, languages
from studio.methods.spec import Setting
from studio.ui.components import forms
from studio.ui.components.forms import t
from studio.ui.form.training_fields import TRAINING_FIELDS
from studio.ui.help import cards, messages

# The drawing is the studio's own file with its words escaped (studio.ui.help.cards.drawing); everything else is escaped by the template.
METHOD_PAGE_TEMPLATE = """
{{#if value.name}}<article class="about-method">
  <figure>{{{value.drawing}}}</figure>
  <section class="about-what"><h4>{{value.heads.what}}</h4><p>{{value.what}}</p>
    <h4>{{value.heads.cost}}</h4><p>{{#if cost}}{{cost}}{{else}}{{value.cost}}{{/if}}</p>
    <p class="about-try"><button type="button" data-attempt="{{value.name}}">{{value.attempt}}</button> <span class="about-small">{{value.sample}}</span></p></section>
  <section><h4>{{value.heads.how}}</h4><ol>{{#each value.how}}<li>{{this}}</li>{{/each}}</ol></section>
  <section><h4>{{value.heads.steps}}</h4><ol>{{#each value.steps}}<li>{{this}}</li>{{/each}}</ol></section>
  <section class="about-fits"><h4>{{value.heads.fits}}</h4><ul>{{#each value.fits}}<li>{{this}}</li>{{/each}}</ul></section>
  <section class="about-not"><h4>{{value.heads.fits_not}}</h4><ul>{{#each value.fits_not}}<li>{{this}}</li>{{/each}}</ul></section>
  <section class="about-wide"><h4>{{value.heads.watch}}</h4><p>{{value.watch}}</p>
    <p class="about-small"><b>{{value.heads.source}}</b> {{value.source}}</p></section>
</article>{{/if}}"""
ATTEMPT_SCRIPT = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-attempt]');
  if (button) trigger('attempt', { id: button.dataset.attempt });
});"""
TERMS_TEMPLATE = """
{{#each value.groups}}{{#if this.folded}}<details class="terms"><summary>{{this.head}}</summary>{{else}}<section class="terms"><h4>{{this.head}}</h4>{{/if}}
  <dl>{{#each this.terms}}<div><dt>{{this.label}}</dt><dd>{{this.help}}</dd><dd class="exactly">{{this.exact}}</dd></div>{{/each}}</dl>
{{#if this.folded}}</details>{{else}}</section>{{/if}}{{/each}}"""


def build_method_page() -> gr.HTML:
    """The page of a method; the browser tells `attempt` with its `id`, which may be anything: check it. `cost` is a prop of its own, so
    that a moved slider sends one sentence and no page.
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
    """What the page of a method shows; `cost` is a sentence on what it would take here. Raises BadPlan where its card is damaged."""
    card, page = presets.methods()[name], cards.pages()[name]
    sample, seconds = presets.samples()[page.attempt.sample], page.attempt.seconds
    attempt = (
        messages.TRY_SHORT_RUN.render(lang)
        if seconds is None
        else messages.TRY_TIMED.render(lang, time=forms.format_seconds(seconds, lang))
    )
    return {
        "name": name,
        "drawing": cards.drawing(name, lang),
        "what": page.what.render(lang),
        "how": [step.render(lang) for step in page.how],
        "steps": list(card.steps[lang]),
        "fits": [item.render(lang) for item in page.fits],
        "fits_not": [item.render(lang) for item in page.fits_not],
        "watch": page.watch.render(lang),
        "source": page.source.render(lang),
        "cost": cost or messages.COST_UNKNOWN.render(lang),
        "attempt": attempt,
        "sample": messages.WITH_SAMPLE.render(lang, name=sample.name, rows=sample.rows),
        "heads": {name: heading.render(lang) for name, heading in messages.PAGE_HEADINGS.items()},
    }


def update_cost(sentence: str) -> Any:
    """The page as it is, with another sentence on the cost."""
    return gr.update(cost=forms.escape_template(sentence))


def build_terms() -> gr.HTML:
    """The exact terms of a method's settings."""
    return gr.HTML(
        {}, html_template=TERMS_TEMPLATE, js_on_load="", elem_id="exact-terms", apply_default_css=False
    )


def list_terms(name: str, lang: str) -> list[dict[str, str]]:
    """Every setting of a method and of the training: its key, its label and help in plain words, and the exact sentence.

    `only` is the choice under which it has a say, empty for most.
    """
    settings = methods.get(name).settings
    method_terms = [
        (f"{name}.{setting.name}", setting.label, setting.help, _condition_label(setting, settings))
        for setting in settings
    ]
    training_terms = [
        (f"training.{field}", label, help_text, Message(""))
        for field, (label, help_text) in TRAINING_FIELDS.items()
    ]
    return [
        {
            "key": key,
            "label": label.render(lang),
            "help": help_text.render(lang),
            "exact": cards.exact_terms()[key].render(lang),
            "only": condition.render(lang),
        }
        for key, label, help_text, condition in (*method_terms, *training_terms)
    ]


def _condition_label(setting: Setting, settings: tuple[Setting, ...]) -> Message:
    """What the choice is called under which a knob has a say."""
    name, value = setting.depends_on or ("", "")
    return next(
        (
            text
            for other in settings
            if other.name == name
            for choice, text in other.choices
            if choice == value
        ),
        Message(""),
    )


def terms_value(name: str, lang: str) -> dict[str, Any]:
    """The terms of a method in groups: its own settings, those of one choice folded under its name, then those of the training."""
    terms_by_heading: dict[str, list[dict[str, str]]] = {}
    for term in list_terms(name, lang):
        method_heading = messages.METHOD_SETTINGS.render(lang, method=presets.methods()[name].name)
        heading = (
            messages.TRAINING_SETTINGS.render(lang)
            if term["key"].startswith("training.")
            else term["only"] or method_heading
        )
        terms_by_heading.setdefault(heading, []).append(term)
    groups = [
        {"head": heading, "folded": bool(terms[0]["only"]), "terms": terms}
        for heading, terms in terms_by_heading.items()
    ]
    return {"groups": groups}


def explain_method(chosen: str, request: gr.Request) -> tuple[Any, Any]:
    """The page and the terms of the chosen method, in the visitor's language; a browser may name anything."""
    lang = forms.request_language(request)
    if chosen not in {method.name for method in methods.METHODS}:
        return gr.skip(), gr.skip()
    return method_page_value(chosen, lang), terms_value(chosen, lang)


def glossary_value(lang: str) -> dict[str, Any]:
    """The field's terms for the dialog; `also` is what a term is called in the other language, so that it is found under both names."""
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
    """What each measure of a run says, in plain words and exactly, and what it looks like when all is well (good) and when not (bad)."""
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
    """What stands before the parts of `curve_words`, and the name of the button that opens them."""
    return {name: heading.render(lang) for name, heading in messages.CURVE_HEADINGS.items()}


def tour_value(lang: str) -> dict[str, Any]:
    """The steps of the tour, one for each tab in order, and the words of its buttons."""
    steps = [{"title": title.render(lang), "text": text.render(lang)} for title, text in messages.TOUR_STEPS]
    return {
        "steps": steps,
        "words": {name: message.render(lang) for name, message in messages.TOUR_TEXTS.items()},
    }


def open_glossary(request: gr.Request) -> dict[str, Any]:
    """The glossary in the visitor's language; each answer is new, so that the dialog opens again."""
    return {**glossary_value(forms.request_language(request)), "asked": time.time()}


def load_tour(request: gr.Request) -> dict[str, Any]:
    """The tour in the visitor's language; the browser knows whether it has been seen."""
    return tour_value(forms.request_language(request))


def build_buttons() -> None:
    """Lay out and wire what stands in the page's head, in the row that is open: two buttons, the glossary and the tour."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    tour_button = gr.Button(t(messages.SHOW_TOUR), size="sm", scale=0, min_width=0, elem_id="show-around")
    glossary_button = gr.Button(
        t(messages.OPEN_GLOSSARY), size="sm", scale=0, min_width=0, elem_id="open-glossary"
    )
    glossary_dialog, tour_dialog = _build_scripted("glossary"), _build_scripted("tour")
    glossary_button.click(open_glossary, None, glossary_dialog, **quiet)
    tour_button.click(
        None, None, None, js="() => { document.dispatchEvent(new Event('studio-tour')); }", **quiet
    )
    gr.context.Context.root_block.load(load_tour, None, tour_dialog, **quiet)


def _build_scripted(name: str) -> gr.HTML:
    """A component that its script draws beside an empty template, so that an update leaves what the script made alone."""
    script = (presets.ASSETS / f"{name}.js").read_text(encoding="utf-8")
    return gr.HTML(
        {}, html_template="<i hidden></i>", js_on_load=script, elem_id=name, apply_default_css=False
    )
