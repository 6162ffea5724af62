"""Help where it is needed: a page for each method, the exact terms of its settings, a glossary, what curves say, and a first tour."""

import time
from typing import Any

import gradio as gr

from studio import help as cards
from studio import methods, presets
from studio.methods.base import Knob
from studio.tabs import forms
from studio.tabs import help_words as said
from studio.tabs.forms import t
from studio.tabs.training import TRAINING
from studio.words import LANGUAGES, Words

# The drawing is the studio's own file with its words escaped (studio.help.drawing); everything else is escaped by the template.
PAGE = """
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
ON_CLICK = """
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-attempt]');
  if (button) trigger('attempt', { id: button.dataset.attempt });
});"""
TERMS = """
{{#each value.groups}}{{#if this.folded}}<details class="terms"><summary>{{this.head}}</summary>{{else}}<section class="terms"><h4>{{this.head}}</h4>{{/if}}
  <dl>{{#each this.terms}}<div><dt>{{this.label}}</dt><dd>{{this.help}}</dd><dd class="exactly">{{this.exact}}</dd></div>{{/each}}</dl>
{{#if this.folded}}</details>{{else}}</section>{{/if}}{{/each}}"""


def panel() -> gr.HTML:
    """The page of a method; the browser tells `attempt` with its `id`, which may be anything: check it. `cost` is a prop of its own, so
    that a moved slider sends one sentence and no page.
    """
    return gr.HTML({}, html_template=PAGE, js_on_load=ON_CLICK, elem_id="about-method", apply_default_css=False, cost="")


def method_page(name: str, lang: str, cost: str = "") -> dict[str, Any]:
    """What the page of a method shows; `cost` is a sentence on what it would take here. Raises BadPlan where its card is damaged."""
    card, found = presets.methods()[name], cards.pages()[name]
    sample, seconds = presets.samples()[found.attempt.sample], found.attempt.seconds
    attempt = said.TRY.say(lang) if seconds is None else said.TRY_TIMED.say(lang, time=forms.duration(seconds, lang))
    return {
        "name": name,
        "drawing": cards.drawing(name, lang),
        "what": found.what.say(lang),
        "how": [step.say(lang) for step in found.how],
        "steps": list(card.steps[lang]),
        "fits": [one.say(lang) for one in found.fits],
        "fits_not": [one.say(lang) for one in found.fits_not],
        "watch": found.watch.say(lang),
        "source": found.source.say(lang),
        "cost": cost or said.COST_UNKNOWN.say(lang),
        "attempt": attempt,
        "sample": said.WITH_SAMPLE.say(lang, name=sample.name, rows=sample.rows),
        "heads": {name: head.say(lang) for name, head in said.HEADS.items()},
    }


def costs(sentence: str) -> Any:
    """The page as it is, with another sentence on the cost."""
    return gr.update(cost=forms.literal(sentence))


def terms() -> gr.HTML:
    """The exact terms of a method's settings."""
    return gr.HTML({}, html_template=TERMS, js_on_load="", elem_id="exact-terms", apply_default_css=False)


def terms_of(name: str, lang: str) -> list[dict[str, str]]:
    """Every setting of a method and of the training: its key, its label and help in plain words, and the exact sentence.

    `only` is the choice under which it has a say, empty for most.
    """
    knobs = methods.get(name).knobs
    own = [(f"{name}.{knob.name}", knob.label, knob.help, _only(knob, knobs)) for knob in knobs]
    every = [(f"training.{field}", label, about, Words("")) for field, (label, about) in TRAINING.items()]
    return [
        {"key": key, "label": label.say(lang), "help": about.say(lang), "exact": cards.exact()[key].say(lang), "only": only.say(lang)}
        for key, label, about, only in (*own, *every)
    ]


def _only(knob: Knob, knobs: tuple[Knob, ...]) -> Words:
    """What the choice is called under which a knob has a say."""
    name, value = knob.only or ("", "")
    return next((said for other in knobs if other.name == name for choice, said in other.choices if choice == value), Words(""))


def terms_page(name: str, lang: str) -> dict[str, Any]:
    """The terms of a method in groups: its own settings, those of one choice folded under its name, then those of the training."""
    found: dict[str, list[dict[str, str]]] = {}
    for term in terms_of(name, lang):
        own = said.OF_METHOD.say(lang, method=presets.methods()[name].name)
        head = said.OF_TRAINING.say(lang) if term["key"].startswith("training.") else term["only"] or own
        found.setdefault(head, []).append(term)
    groups = [{"head": head, "folded": bool(those[0]["only"]), "terms": those} for head, those in found.items()]
    return {"groups": groups}


def explain(chosen: str, request: gr.Request) -> tuple[Any, Any]:
    """The page and the terms of the chosen method, in the visitor's language; a browser may name anything."""
    lang = forms.language(request)
    if chosen not in {method.name for method in methods.METHODS}:
        return gr.skip(), gr.skip()
    return method_page(chosen, lang), terms_page(chosen, lang)


def glossary(lang: str) -> dict[str, Any]:
    """The field's terms for the dialog; `also` is what a term is called in the other language, so that it is found under both names."""
    other = next(name for name in LANGUAGES if name != lang)
    found = [
        {"name": term.name.say(lang), "also": term.name.say(other), "plain": term.plain.say(lang), "exact": term.exact.say(lang)}
        for term in cards.glossary().values()
    ]
    return {"terms": found, "words": {name: told.say(lang) for name, told in said.GLOSSARY.items()}}


def curve_words(lang: str) -> dict[str, dict[str, str]]:
    """What each measure of a run says, in plain words and exactly, and what it looks like when all is well (good) and when not (bad)."""
    return {
        name: {"plain": one.plain.say(lang), "exact": one.exact.say(lang), "good": one.good.say(lang), "bad": one.bad.say(lang)}
        for name, one in cards.curves().items()
    }


def curve_heads(lang: str) -> dict[str, str]:
    """What stands before the parts of `curve_words`, and the name of the button that opens them."""
    return {name: head.say(lang) for name, head in said.CURVE.items()}


def tour(lang: str) -> dict[str, Any]:
    """The steps of the tour, one for each tab in order, and the words of its buttons."""
    steps = [{"title": title.say(lang), "text": text.say(lang)} for title, text in said.TOUR]
    return {"steps": steps, "words": {name: told.say(lang) for name, told in said.TOUR_WORDS.items()}}


def open_glossary(request: gr.Request) -> dict[str, Any]:
    """The glossary in the visitor's language; each answer is new, so that the dialog opens again."""
    return {**glossary(forms.language(request)), "asked": time.time()}


def greet(request: gr.Request) -> dict[str, Any]:
    """The tour in the visitor's language; the browser knows whether it has been seen."""
    return tour(forms.language(request))


def head() -> None:
    """Lay out and wire what stands in the page's head, in the row that is open: two buttons, the glossary and the tour."""
    quiet: dict[str, Any] = {"show_progress": "hidden", "queue": False}
    around = gr.Button(t(said.AROUND), size="sm", scale=0, min_width=0, elem_id="show-around")
    book = gr.Button(t(said.OPEN_GLOSSARY), size="sm", scale=0, min_width=0, elem_id="open-glossary")
    shown, guide = _drawn_by("glossary"), _drawn_by("tour")
    book.click(open_glossary, None, shown, **quiet)
    around.click(None, None, None, js="() => { document.dispatchEvent(new Event('studio-tour')); }", **quiet)
    gr.context.Context.root_block.load(greet, None, guide, **quiet)


def _drawn_by(name: str) -> gr.HTML:
    """A component that its script draws beside an empty template, so that an update leaves what the script made alone."""
    script = (presets.ASSETS / f"{name}.js").read_text(encoding="utf-8")
    return gr.HTML({}, html_template="<i hidden></i>", js_on_load=script, elem_id=name, apply_default_css=False)
