"""The samples on the Data tab: what each takes on this machine, the quickest first."""

from functools import lru_cache
from typing import Any

import gradio as gr

from studio import methods, presets
from studio.chooser import autofill, dataset_summary
from studio.chooser.dataset_summary import DatasetSummary
from studio.data.quality import base_languages, language_id
from studio.data.schema.infer_roles import RoleGuess
from studio.estimate import all_methods
from studio.estimate.machines import catalogue, rates
from studio.estimate.types import Estimate
from studio.plan import Plan, Task
from studio.presets import SampleCard
from studio.ui.data import messages
from studio.ui.language import request_language
from studio.ui.method.estimates import format_memory_and_time

# The method that the page proposes for every task that it can train.
USUAL_METHOD = "lora"
SAMPLES_TEMPLATE = """{{#if value.samples}}<p class="hint">{{value.hint}}</p>
<ul class="samples">{{#each value.samples}}<li>
<button type="button" id="sample-{{this.id}}" data-sample="{{this.id}}">
<b>{{this.name}}</b>{{#if this.badge}} <span class="badge">{{this.badge}}</span>{{/if}}
<span>{{this.size}}</span>
{{#if this.cost}}<span>{{this.cost}}</span>{{/if}}
{{#if this.caution}}<span class="caution">{{this.caution}}</span>{{/if}}
</button></li>{{/each}}</ul>
<p class="hint">{{value.note}}</p>{{/if}}"""


def build() -> gr.HTML:
    """The component; the browser sends the event `pick` with the name of a sample, which handlers check."""
    script = (presets.ASSETS / "samples.js").read_text(encoding="utf-8")
    return gr.HTML(
        {}, html_template=SAMPLES_TEMPLATE, js_on_load=script, elem_id="samples", apply_default_css=False
    )


def describe_samples(request: gr.Request) -> dict[str, Any]:
    """The samples in the visitor's language, with what a run with the default settings takes here."""
    lang = request_language(request)
    measured_at = rates.load_rates(catalogue.local_machine()).when
    estimates = {name: _estimate(name, measured_at) for name in presets.samples()}
    ordered = sorted(presets.samples(), key=lambda name: autofill.likely_minutes(estimates[name]))
    best = next((name for name in ordered if estimates[name].minutes and not _unknown_languages(name)), "")
    return {
        "hint": messages.SAMPLE_HINT.render(lang),
        "note": messages.SAMPLE_COST_NOTE.render(lang),
        "samples": [
            {
                **_describe(presets.samples()[name], estimates[name], lang),
                "badge": messages.BEST_FIRST_TRY.render(lang) if name == best else "",
            }
            for name in ordered
        ],
    }


def _describe(card: SampleCard, estimate: Estimate, lang: str) -> dict[str, str]:
    memory, time = format_memory_and_time(estimate, lang)
    languages = [language_id.language_name(code) for code in _unknown_languages(card.id)]
    return {
        "id": card.id,
        "name": card.name.render(lang),
        "size": messages.SAMPLE_SIZE.render(lang, task=messages.SHORT_TASKS[card.task], rows=card.rows),
        "cost": messages.SAMPLE_COST.render(lang, time=time, memory=memory) if time and memory else "",
        "caution": messages.SAMPLE_LANGUAGE.render(lang, languages=languages) if languages else "",
    }


@lru_cache
def default_plan(name: str) -> Plan:
    """The plan that the page proposes for a sample: its defaults on the embedded model."""
    dataset = _summarize(name)
    trained_by = [method.name for method in methods.METHODS if dataset.task in method.tasks]
    method = USUAL_METHOD if USUAL_METHOD in trained_by else autofill.first_method(dataset.task)
    return autofill.build_plan(dataset, _embedded_model(dataset.task), method, {})


def _summarize(name: str) -> DatasetSummary:
    card = presets.samples()[name]
    dataset = dataset_summary.summarize(f"sample:{name}", RoleGuess(card.task, dict(card.columns), True))
    assert dataset is not None
    return dataset


def _embedded_model(task: Task) -> str:
    return dataset_summary.ENCODER_MODEL if task == "classify" else dataset_summary.SMALL_GENERATIVE_MODEL


@lru_cache
def _estimate(name: str, measured_at: float) -> Estimate:
    """What the default plan takes here; `measured_at` is when the rates of this machine were measured."""
    return all_methods.estimate_chosen_method(default_plan(name), catalogue.local_machine())


@lru_cache
def _unknown_languages(name: str) -> tuple[str, ...]:
    """The languages of a sample that the embedded model for it hardly knows."""
    dataset = _summarize(name)
    return base_languages.unknown_languages(dataset.languages, _embedded_model(dataset.task))
