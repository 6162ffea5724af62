"""The panes of the Playground: an answer or labels, and the proof of whose weights answer."""

from collections.abc import Mapping
from typing import Any

from studio.data.targets import LABEL_THRESHOLD
from studio.i18n import Message
from studio.playground.session import Answer, SelfTestResult

SIDE_NAMES = {"base": Message("Base model"), "tuned": Message("Tuned model")}
NO_ANSWER_YET = Message("The answer appears here.")
VERIFIED = {"base": Message("Base weights verified"), "tuned": Message("Tuned weights verified")}
NOT_VERIFIED = {"base": Message("Base weights differ"), "tuned": Message("Tuned weights differ")}
BADGE = Message("{name} · checksum {checksum}")
WEIGHTS_MATCH = {
    "base": Message("The checksum is that of the base model this run started from."),
    "tuned": Message("The checksum is that of the weights this run saved."),
}
WEIGHTS_DIFFER = {
    "base": Message("The checksum is not that of the base model this run started from."),
    "tuned": Message("The checksum is not that of the weights this run saved."),
}
REPORT_CHANGED = Message(
    "report.json was changed after the run ended, so its checksums and scores prove nothing."
)
BASE_PROOF = Message("Self-test: it answers exactly like the untouched base (difference {moved:.3g}).")
TUNED_PROOF = Message(
    "Self-test: it answers differently from the base (largest score difference {moved:.3g})."
)
LABELS_GIVEN = Message("Labels at {threshold:.0%} or more: {labels}.")
UNCALIBRATED = Message("Probabilities as the model gives them; on a sheet they are calibrated.")
NO_LABEL_GIVEN = Message("No label reaches {threshold:.0%}.")
UNTRAINED_HEAD = Message("Not trained for this task yet.")
SPEED = Message("{rate:.1f} tokens/s")
MAX_BARS = 8  # labels shown

PANE_TEMPLATE = """
<article class="pane {{value.side}}" aria-busy="{{value.busy}}" aria-label="{{value.title}}">
  <h3>{{value.title}}</h3>
  {{#if value.bars}}
    <ul class="classes">
      {{#each value.bars}}
        <li>
          <span>{{this.name}}</span>
          <span class="bar" aria-hidden="true"><i style="width:{{this.percent}}%"></i></span>
          <b>{{this.share}}</b>
        </li>
      {{/each}}
    </ul>
  {{else}}<div class="answer">{{value.text}}</div>{{/if}}
  <footer>
    {{#if value.note}}<p>{{value.note}}</p>{{/if}}
    {{#if value.badge}}
      <details class="proof {{value.trust}}">
        <summary>{{value.verdict}}</summary>
        <p>{{value.badge}}</p>
        <p>{{value.proof}}</p>
      </details>
    {{/if}}
  </footer>
</article>
"""


def pane_value(
    side: str,
    partial_answer: Answer | None = None,
    proof: SelfTestResult | None = None,
    lang: str = "en",
    problem_type: str = "",
    busy: bool = False,
) -> dict[str, Any]:
    """The value of one pane; the template escapes everything in it.

    `problem_type` is that of a classifier, "" for models that write.
    """
    value: dict[str, Any] = {
        "side": side,
        "title": SIDE_NAMES[side].render(lang),
        "text": "",
        "bars": [],
        "note": "",
        "badge": "",
        "busy": "true" if busy else "false",
    }
    if partial_answer is None or proof is None:
        return {**value, "note": "" if busy else NO_ANSWER_YET.render(lang)}
    value |= _describe_proof(side, proof, lang)
    error_message = partial_answer.errors.get(side)
    value["text"] = error_message.render(lang) if error_message else getattr(partial_answer, side)
    value["busy"] = "false" if side in partial_answer.done else "true"
    if problem_type:
        return value | _describe_classifier(side, partial_answer, problem_type, lang)
    if side in partial_answer.done and not error_message:
        value["note"] = SPEED.render(lang, rate=partial_answer.speed[side])
    return value


def answer_in_words(partial_answer: Answer, side: str, problem_type: str) -> str:
    """A side's answer as a text, for the history; a classifier's base has none."""
    if not problem_type:
        return str(getattr(partial_answer, side)).strip()
    scores = partial_answer.scores.get(side, {}) if side == "tuned" else {}
    if problem_type == "regression":
        return ", ".join(f"{number:.2f}" for number in scores.values())
    return ", ".join(f"{bar['name']} {bar['share']}" for bar in _format_bars(scores)[:2])


def _describe_proof(side: str, proof: SelfTestResult, lang: str) -> dict[str, str]:
    """Whether these are the weights that they are said to be, and what shows it."""
    badge = getattr(proof, side)
    moved = proof.base_max_change if side == "base" else proof.tuned_max_change
    passed = moved == 0 if side == "base" else moved > 0
    is_verified = badge.holds and passed
    weights = (WEIGHTS_MATCH if badge.as_trained else WEIGHTS_DIFFER)[side]
    weights_text = (weights if badge.is_report_intact else REPORT_CHANGED).render(lang)
    self_test = (BASE_PROOF if side == "base" else TUNED_PROOF).render(lang, moved=moved)
    return {
        "verdict": (VERIFIED if is_verified else NOT_VERIFIED)[side].render(lang),
        "badge": BADGE.render(lang, name=badge.name, checksum=badge.checksum),
        "proof": f"{weights_text} {self_test}",
        "trust": "holds" if is_verified else "fails",
    }


def _describe_classifier(side: str, partial_answer: Answer, problem_type: str, lang: str) -> dict[str, Any]:
    """The labels or the number of a text; a base whose head is new has nothing to say."""
    if side in partial_answer.errors:
        return {}
    if side == "base":
        return {"text": UNTRAINED_HEAD.render(lang)}
    scores = partial_answer.scores.get(side, {})
    if problem_type == "regression":
        return {"text": answer_in_words(partial_answer, side, problem_type)}
    return {"bars": _format_bars(scores), "note": _explain_bars(scores, problem_type, lang)}


def _format_bars(scores: Mapping[str, float]) -> list[dict[str, Any]]:
    """The likeliest labels, each with its probability."""
    ranked = sorted(scores.items(), key=lambda item: -item[1])[:MAX_BARS]
    return [
        {"name": name, "share": f"{share:.0%}", "percent": round(100 * share, 1)} for name, share in ranked
    ]


def _explain_bars(scores: Mapping[str, float], problem_type: str, lang: str) -> str:
    """What the probabilities are; of several labels, which are given."""
    if not scores:
        return ""
    if problem_type != "multi_label_classification":
        return UNCALIBRATED.render(lang)
    likely_labels = [name for name, share in scores.items() if share >= LABEL_THRESHOLD]
    message = LABELS_GIVEN if likely_labels else NO_LABEL_GIVEN
    return message.render(lang, threshold=LABEL_THRESHOLD, labels=likely_labels)
