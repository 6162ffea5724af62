"""The model card, in English or Chinese: what was trained on what, how, and how well, from the run's own files and the data's licence."""

import re
from typing import Any

from studio import methods, presets, runs
from studio.data import store
from studio.errors import BadData
from studio.export import card_messages as messages
from studio.i18n import Message
from studio.plan import Plan
from studio.runs import Run

CHAT_SNIPPET = """from transformers import AutoModelForCausalLM, AutoTokenizer
{imports}
tokenizer = AutoTokenizer.from_pretrained("{here}")
model = {load}
messages = [{{"role": "user", "content": "…"}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=120)[0][inputs["input_ids"].shape[1]:], skip_special_tokens=True))"""
COMPLETION_SNIPPET = """from transformers import AutoModelForCausalLM, AutoTokenizer
{imports}
tokenizer = AutoTokenizer.from_pretrained("{here}")
model = {load}
inputs = tokenizer("…", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=120)[0], skip_special_tokens=True))"""
CLASSIFICATION_SNIPPET = """from transformers import AutoModelForSequenceClassification, AutoTokenizer
{imports}
tokenizer = AutoTokenizer.from_pretrained("{here}")
model = {load}.eval()
scores = model(**tokenizer("…", return_tensors="pt")).logits[0]
print({labels}[int(scores.argmax())])"""


def _weights_note(base: dict[str, Any]) -> Message:
    """Which weights were used; runs of format 1 hold it as two texts."""
    if isinstance(base["weights"], str):
        return Message.from_card({"en": base["weights"], "zh": base.get("weights_zh", "")})
    return Message.from_json(base["weights"])


def render_card(run: Run, export_format: str, language: str = "en") -> str:
    """The card of a finished run in one form (of export.FORMS), as Markdown with the hub's front matter; its words in a language."""
    plan, report = run.plan, runs.report(run)
    model_card = presets.models().get(plan.model)
    licence = model_card.licence if model_card else ""
    base, data, counts, texts = report["base"], report["data"], report["parameters"], report["texts"]
    weights = {"weights": _weights_note(base)}
    sections = [
        (
            None,
            [
                messages.INTRO.render(
                    language,
                    base=base["name"],
                    method=_method_name(plan),
                    train=data["train"],
                    share=counts["trainable"] / counts["total"],
                    **counts,
                )
            ],
        ),
        (
            messages.RESULT_HEADING,
            [*_score_rows(report, language), "", _describe_evaluation(report, plan.training.seed, language)],
        ),
        (messages.QUANTIZATION_HEADING, _quantization_rows(report, language)),
        (
            messages.BASE_HEADING,
            [
                messages.BASE_MODEL_LICENCE.render(
                    language, hub=base["hub"], licence=licence or messages.UNKNOWN_LICENCE
                ),
                messages.TRAINED_ON.render(language, **base | weights),
                messages.TUNED_CHECKSUM.render(language, checksum=report["tuned"]["checksum"]),
            ],
        ),
        (
            messages.DATA_HEADING,
            [
                messages.DATA_FILE.render(language, **data | {"name": sanitize_line(data["name"])}),
                messages.DATA_LICENCE.render(
                    language, licence=sanitize_line(_data_licence(plan, data)) or messages.LICENCE_NOT_GIVEN
                ),
                messages.SPLIT_SIZES.render(language, **{"test": 0} | data),
                messages.TRUNCATED_EXAMPLES.render(language, **texts),
            ],
        ),
        (messages.TRAINING_HEADING, _training_lines(plan, report, language)),
        (messages.USAGE_HEADING, ["```python", _usage_snippet(plan, report, export_format, language), "```"]),
        (messages.LIMITS_HEADING, [messages.LIMITS_TEXT.render(language, **weights)]),
    ]
    lines = [*_front_matter(plan, report, export_format, licence), "", f"# {sanitize_line(plan.name)}", ""]
    for heading, body in sections:
        lines += [
            *([heading.render(language), ""] if heading and body else []),
            *body,
            *([""] if body else []),
        ]
    return "\n".join(lines).rstrip() + "\n"


def _method_name(plan: Plan) -> Message | str:
    card = presets.methods().get(plan.method.name)
    return card.name if card else plan.method.name


def _data_licence(plan: Plan, data: dict[str, Any]) -> str:
    """The licence of the data as its own card says now, or, where it is gone, as it said when the run read it; "" where nobody has said."""
    has_data_card = plan.data.source.partition(":")[0] in ("sample", "dataset")
    try:
        return store.find(plan.data.source).licence if has_data_card else ""
    except BadData:
        return str(data.get("licence", ""))


def _describe_evaluation(report: dict[str, Any], seed: int, language: str) -> str:
    """What the scores rest on: examples that nothing was chosen by, or those that also chose the best state."""
    data = report["data"]
    if report.get("measured_on") != "test":
        return messages.ON_VALIDATION.render(language, count=data["validation"], seed=seed)
    test_name = data.get("test_name")
    test_origin = (
        messages.SEPARATE_TEST_SET.format(name=sanitize_line(test_name))
        if test_name
        else messages.HELD_OUT_TEST_SET.format(seed=seed)
    )
    return messages.ON_TEST.render(language, count=data["test"], whose=test_origin)


def _front_matter(plan: Plan, report: dict[str, Any], export_format: str, licence: str) -> list[str]:
    return [
        "---",
        f"base_model: {report['base']['hub']}",
        "license: " + ("apache-2.0" if licence == "Apache-2.0" else "other"),
        "library_name: " + ("peft" if export_format == "adapter" else "transformers"),
        "pipeline_tag: " + ("text-classification" if plan.task == "classify" else "text-generation"),
        "tags: [training-studio]",
        "---",
    ]


def sanitize_line(text: str) -> str:
    """Text from a person, safe within one line of Markdown."""
    return re.sub(r"[\s`<>\[\]|]+", " ", text).strip()


def _score_rows(report: dict[str, dict[str, float]], language: str) -> list[str]:
    rows = [messages.SCORE_TABLE_HEADER.render(language), "|---|---|---|"]
    before = report["before"]
    return rows + [
        f"| {_label(messages.METRIC_LABELS, name, language)} | {before.get(name, float('nan')):.4g} | {value:.4g} |"
        for name, value in report["after"].items()
    ]


def _label(labels: dict[str, Message], name: str, language: str) -> str:
    return labels[name].render(language) if name in labels else name.replace("_", " ")


def _quantization_rows(report: dict[str, Any], language: str) -> list[str]:
    """What rounding costs, where the run measured it: unrounded, rounded after training, and rounded while training."""
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
        cells = " | ".join(f"{metrics[metric]:.4g}" for metric in metric_names)
        rows.append(
            f"| {_label(messages.QUANTIZATION_LABELS, name, language)} | {cells} | {metrics['bytes'] / 1e6:.1f} |"
        )
    return rows


def _training_lines(plan: Plan, report: dict[str, Any], language: str) -> list[str]:
    settings = (
        ", ".join(f"{name} {sanitize_line(str(value))}" for name, value in plan.method.settings.items())
        or messages.NO_SETTINGS
    )
    training_settings = {
        name: value
        for name, value in (report.get("training") or plan.training.model_dump()).items()
        if name != "learning_rate"
    }
    others = ", ".join(f"{name} {value}" for name, value in training_settings.items())
    return [
        messages.METHOD_AND_SETTINGS.render(language, method=plan.method.name, settings=settings),
        messages.LEARNING_RATE.render(language, rate=report["learning_rate"], others=others),
        messages.DURATION.render(
            language, seconds=report["seconds"], device=report["device"], step=report["best_step"]
        ),
    ]


def _usage_snippet(plan: Plan, report: dict[str, list[str]], export_format: str, language: str) -> str:
    auto_class = "AutoModelForSequenceClassification" if plan.task == "classify" else "AutoModelForCausalLM"
    num_labels = f", num_labels={len(report['labels'])}" if plan.task == "classify" else ""
    hub = report["base"]["hub"]  # type: ignore[call-overload]
    load_expression = f'{auto_class}.from_pretrained("."{num_labels})'
    if export_format == "adapter":
        load_expression = f'PeftModel.from_pretrained({auto_class}.from_pretrained("{hub}"{num_labels}), ".")'
    format_imports = {
        "adapter": "from peft import PeftModel",
        "packed": "# Needs: pip install compressed-tensors",
    }
    imports, method = format_imports.get(export_format, ""), methods.get(plan.method.name)
    if export_format == "adapter" and method.extra_file:
        imports += (
            f"\nimport studio{method.extra_file.stem}  # {messages.EXTRA_FILE_COMMENT.render(language)}"
        )
    if export_format == "adapter" and method.weights == "nf4":
        imports += f"\n# {messages.TRAINED_ON_4_BIT_BASE.render(language)}"
    code = {"classify": CLASSIFICATION_SNIPPET, "complete": COMPLETION_SNIPPET}.get(plan.task, CHAT_SNIPPET)
    return code.format(imports=imports, here=".", load=load_expression, labels=report["labels"])
