"""The model card, in any language: what was trained on what, how, and how well.

It is written from the run's own files and the licence of its data.
"""

import math
import re
from collections.abc import Mapping
from typing import Any

from huggingface_hub import ModelCardData

from studio import presets, runs
from studio.data import store
from studio.data.intervals import wilson_interval
from studio.errors import BadData
from studio.evaluate import cap_messages, verdict
from studio.evaluate.score_names import FIELD_PREFIX
from studio.export import card_messages as messages
from studio.export import licences, registry, snippets
from studio.export.replay.result import Checked
from studio.export.usage import (
    get_problem_type,
    is_base_local,
    method_name,
    public_base_name,
)
from studio.i18n import Message
from studio.plan import Plan, format_learning_rate
from studio.runs import Run

Report = Mapping[str, Any]
MAX_LISTED_LABELS = 12
# Scores that are shares of the examples, and those that are shares of a number that the report names.
SHARES_OF_EXAMPLES = ("accuracy", "exact_match", "within_half_step", "within_one_step")
COUNTS_OF_SHARES = {"valid_json": "n_json_answers", "answer_accuracy": "n_questions"}


def render_card(
    run: Run,
    export_format: str,
    language: str = "en",
    with_code: bool = True,
    precision: str = "",
    checked: Checked | None = None,
) -> str:
    """The model card of a finished run in one export format.

    Args:
        run: The run; it has a result.
        export_format: The name of the format.
        language: The language of the prose.
        with_code: Whether it has the code that opens the export; the page shows that beside it.
        precision: The format's precision, "" for its first.
        checked: What the check of the exported file came to; None before there is one.

    Returns:
        Markdown with the hub's front matter, its prose in `language`.

    Raises:
        NotPossible: The run has no result, or its report is damaged.
    """
    plan, report = run.plan, runs.complete_report(run)
    sections: list[tuple[Message | None, list[str]]] = [
        (
            None,
            [
                _introduction(plan, report, language),
                "",
                _describe_task(plan, report, language),
                *_ending(run, language),
            ],
        ),
        (messages.VERDICT_HEADING, _verdict_lines(report, language)),
        (
            messages.RESULT_HEADING,
            [*_score_rows(report, language), "", _describe_evaluation(report, plan.training.seed, language)],
        ),
        (messages.QUANTIZATION_HEADING, _quantization_rows(report, language)),
        (messages.CHECK_HEADING, _check_lines(checked, export_format, language)),
        (messages.BASE_HEADING, _base_lines(plan, report, language)),
        (messages.DATA_HEADING, _data_lines(plan, report, language)),
        (messages.TRAINING_HEADING, _training_lines(plan, report, language)),
        (
            messages.USAGE_HEADING,
            _usage_lines(run, export_format, language, precision) if with_code else [],
        ),
        (messages.LIMITS_HEADING, [_limits(report, language)]),
    ]
    lines = [*_front_matter(plan, report, export_format), "", f"# {sanitize_line(plan.name)}", ""]
    for heading, body in sections:
        if not body:
            continue
        if heading:
            lines += [heading.render(language), ""]
        lines += [*body, ""]
    return "\n".join(lines).rstrip() + "\n"


def _verdict_lines(report: Report, language: str) -> list[str]:
    """Whether it worked, in a word and a sentence, and why; nothing for runs of earlier studios."""
    result = verdict.read(report)
    if not result:
        return []
    sentence = f"**{result.word.render(language)}.** {result.headline.render(language)}"
    return [sentence, "", *(f"- {reason.render(language)}" for reason in result.reasons)]


def _check_lines(checked: Checked | None, export_format: str, language: str) -> list[str]:
    """Whether the exported file scores as the model in the studio."""
    if not checked:
        return []
    headline, warnings, details = checked.sentences(bool(registry.get(export_format).precisions))
    bold = [f"**{warning.render(language)}**" for warning in warnings]
    return [" ".join([headline.render(language), *bold, *(detail.render(language) for detail in details)])]


def _introduction(plan: Plan, report: Report, language: str) -> str:
    counts = report["parameters"]
    return messages.INTRO.render(
        language,
        base=report["base"]["name"],
        method=method_name(plan),
        train=report["data"]["train"],
        share=counts["trainable"] / counts["total"],
        **counts,
    )


def _describe_task(plan: Plan, report: Report, language: str) -> str:
    if plan.task != "classify":
        return messages.TASK_DESCRIPTIONS[plan.task].render(language)
    problem_type, labels = get_problem_type(report), [sanitize_line(label) for label in report["labels"]]
    listed: list[Message | str] = [*labels[:MAX_LISTED_LABELS]]
    if len(labels) > MAX_LISTED_LABELS:
        listed.append(messages.MORE_LABELS)
    return messages.PROBLEM_DESCRIPTIONS[problem_type].render(
        language, count=len(labels), problem_type=problem_type, labels=listed
    )


def describe_ending(run: Run) -> Message | None:
    """How a training ended that did not run to its end; None of one that did.

    Args:
        run: The run; it has a result.
    """
    report, state = runs.report(run), runs.status(run).state
    if state == "failed":
        return messages.BROKE_OFF
    if state == "stopped" or report.get("stopped"):
        return cap_messages.describe(report) or messages.STOPPED
    return messages.STOPPED_EARLY if report.get("stopped_early") else None


def _ending(run: Run, language: str) -> list[str]:
    """How a training ended that did not run to its end, as a paragraph."""
    ending = describe_ending(run)
    return ["", f"**{ending.render(language)}**"] if ending else []


def _base_lines(plan: Plan, report: Report, language: str) -> list[str]:
    licence = _model_licence(plan) or messages.UNKNOWN_LICENCE
    return [
        messages.BASE_MODEL_LICENCE.render(language, hub=public_base_name(report), licence=licence),
        messages.TRAINED_ON.render(
            language, weights=_describe_weights(report), checksum=report["base"]["checksum"]
        ),
        messages.TUNED_CHECKSUM.render(language, checksum=report["tuned"]["checksum"]),
        *(f"- {terms.render(language)}" for terms in _licence_terms(plan, report)),
    ]


def _licence_terms(plan: Plan, report: Report) -> list[Message]:
    return licences.list_terms(_model_licence(plan), sanitize_line(data_licence(plan, report["data"])))


def _data_lines(plan: Plan, report: Report, language: str) -> list[str]:
    data = report["data"]
    licence = sanitize_line(data_licence(plan, data)) or messages.LICENCE_NOT_GIVEN
    n_replay = data.get("replay", 0)
    replay_lines = [messages.REPLAY_EXAMPLES.render(language, count=n_replay)] if n_replay else []
    return [
        messages.DATA_FILE.render(language, **{**data, "name": sanitize_line(data["name"])}),
        messages.DATA_LICENCE.render(language, licence=licence),
        messages.SPLIT_SIZES.render(language, **{"test": 0, **data}),
        *replay_lines,
        messages.TRUNCATED_EXAMPLES.render(language, **report["texts"]),
    ]


def _limits(report: Report, language: str) -> str:
    return messages.LIMITS_TEXT.render(language, weights=_describe_weights(report))


def _describe_weights(report: Report) -> Message:
    """Which weights the base had; the name alone of a folder, and where the report does not say."""
    if "weights" not in report["base"]:
        return Message("{name}").format(name=public_base_name(report))
    if is_base_local(report):
        return messages.LOCAL_WEIGHTS.format(name=public_base_name(report))
    return Message.from_json(report["base"]["weights"])


def _model_licence(plan: Plan) -> str:
    """The licence on the base model's card; empty where there is no card."""
    card = presets.models().get(plan.model)
    return card.licence if card else ""


def data_licence(plan: Plan, data: Mapping[str, Any]) -> str:
    """The licence of the data as its card says now; as it said when the run read it where that is gone.

    Empty where nobody has said.
    """
    has_data_card = plan.data.source.partition(":")[0] in ("sample", "dataset")
    try:
        return store.find(plan.data.source).licence if has_data_card else ""
    except BadData:
        return str(data.get("licence", ""))


def _describe_evaluation(report: Report, seed: int, language: str) -> str:
    """What the scores rest on: a test set, or the examples that also chose the best checkpoint."""
    data = report["data"]
    if report.get("measured_on") != "test":
        return messages.ON_VALIDATION.render(language, count=data["validation"], seed=seed)
    test_origin = messages.HELD_OUT_TEST_SET.format(seed=seed)
    if data.get("test_name"):
        test_origin = messages.SEPARATE_TEST_SET.format(name=sanitize_line(data["test_name"]))
    return messages.ON_TEST.render(language, count=data["test"], whose=test_origin)


def _front_matter(plan: Plan, report: Report, export_format: str) -> list[str]:
    """What the hub reads of a card."""
    form = registry.get(export_format)
    has_hub_base = not is_base_local(report)
    data = ModelCardData(
        base_model=report["base"]["hub"] if has_hub_base else None,
        base_model_relation=form.relation if has_hub_base else None,
        license=licences.find(_model_licence(plan)).hub_id,
        library_name=form.library,
        pipeline_tag="text-classification" if plan.task == "classify" else "text-generation",
        tags=["training-studio"],
    )
    return ["---", data.to_yaml().strip(), "---"]


def sanitize_line(text: str) -> str:
    """Text from a person, safe within one line of Markdown."""
    return re.sub(r"[\s`<>\[\]|]+", " ", text).strip()


def _score_rows(report: Report, language: str) -> list[str]:
    """The scores beside those of the base, of a classifier beside those of its linear start."""
    is_linear = bool(report.get("linear_baseline"))
    header = messages.CLASSIFIER_TABLE_HEADER if is_linear else messages.SCORE_TABLE_HEADER
    rows = [header.render(language), "|---|---|---|"]
    before, after = runs.start_scores(report), report["after"]
    for name, tuned_score in after.items():
        label, count = _label(messages.METRIC_LABELS, name, language), _count_of_share(name, report)
        pair = before.get(name, math.nan), tuned_score
        scores = [_format_score(score, count, language) for score in pair]
        rows.append(f"| {' | '.join([label, *scores])} |")
    return rows


def _count_of_share(name: str, report: Report) -> float:
    """Of how many examples or answers a score is a share; 0 where it is no share."""
    if name in SHARES_OF_EXAMPLES:
        return float(report["data"][report.get("measured_on", "validation")])
    count_name = "n_json_answers" if name.startswith(FIELD_PREFIX) else COUNTS_OF_SHARES.get(name)
    return float(report["after"][count_name]) if count_name else 0.0


def _format_score(score: float, count: float, language: str) -> str:
    """A score; a share of `count` with its 95 % interval."""
    if not count or math.isnan(score):
        return f"{score:.4g}"
    low, high = wilson_interval(score * count, count)
    return messages.SHARE_WITH_INTERVAL.render(language, score=score, low=low, high=high)


def _label(labels: Mapping[str, Message], name: str, language: str) -> str:
    return labels[name].render(language) if name in labels else sanitize_line(name.replace("_", " "))


def _quantization_rows(report: Report, language: str) -> list[str]:
    """What rounding costs, where the run measured it: in full, quantised afterwards, and while training."""
    quantization = report.get("method", {}).get("quantisation") or {}
    results = {name: metrics for name, metrics in quantization.items() if metrics}
    if not results:
        return []
    metric_names = [
        name for name in ("loss", "accuracy") if all(name in metrics for metrics in results.values())
    ]
    headings = [
        messages.WEIGHTS_COLUMN.render(language),
        *(_label(messages.METRIC_LABELS, name, language) for name in metric_names),
        messages.SIZE_COLUMN.render(language),
    ]
    rows = [f"| {' | '.join(headings)} |", "|---" * len(headings) + "|"]
    for name, metrics in results.items():
        label = _label(messages.QUANTIZATION_LABELS, name, language)
        scores = " | ".join(f"{metrics[metric]:.4g}" for metric in metric_names)
        rows.append(f"| {label} | {scores} | {metrics['bytes'] / 1e6:.1f} |")
    return rows


def _training_lines(plan: Plan, report: Report, language: str) -> list[str]:
    settings = ", ".join(
        f"{name} {sanitize_line(str(value))}" for name, value in plan.method.settings.items()
    )
    training = report.get("training") or plan.training.model_dump()
    if "precision" in report:
        training = {**training, "precision": report["precision"]}
    others = ", ".join(f"{name} {value}" for name, value in training.items() if name != "learning_rate")
    return [
        messages.METHOD_AND_SETTINGS.render(
            language, method=plan.method.name, settings=settings or messages.NO_SETTINGS
        ),
        messages.LEARNING_RATE.render(
            language, rate=format_learning_rate(report["learning_rate"]), others=others
        ),
        messages.DURATION.render(
            language, seconds=report["seconds"], device=report["device"], step=report["best_step"]
        ),
    ]


def _usage_lines(run: Run, export_format: str, language: str, precision: str) -> list[str]:
    return [snippets.render_snippets(snippets.list_snippets(run, export_format, language, precision))]
