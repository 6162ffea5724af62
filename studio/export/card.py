"""The model card: what was trained on what, how, and how well, from the run's own files and nothing else."""

import re
from typing import Any

from studio import methods, presets, runs
from studio.plan import Plan
from studio.runs import Run

CHAT = """from transformers import AutoModelForCausalLM, AutoTokenizer
{imports}
tokenizer = AutoTokenizer.from_pretrained("{here}")
model = {load}
messages = [{{"role": "user", "content": "…"}}]
inputs = tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=True, return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=120)[0][inputs["input_ids"].shape[1]:], skip_special_tokens=True))"""
COMPLETE = """from transformers import AutoModelForCausalLM, AutoTokenizer
{imports}
tokenizer = AutoTokenizer.from_pretrained("{here}")
model = {load}
inputs = tokenizer("…", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=120)[0], skip_special_tokens=True))"""
CLASSIFY = """from transformers import AutoModelForSequenceClassification, AutoTokenizer
{imports}
tokenizer = AutoTokenizer.from_pretrained("{here}")
model = {load}.eval()
scores = model(**tokenizer("…", return_tensors="pt")).logits[0]
print({labels}[int(scores.argmax())])"""


def write(run: Run, form: str) -> str:
    """The card of a finished run in one form (of export.FORMS), as Markdown with the hub's front matter."""
    plan, report = run.plan, runs.report(run)
    known = presets.models().get(plan.model)
    licence = known.licence if known else "unknown: see the base model"
    data, counts = report["data"], report["parameters"]
    lines = [
        *_front(plan, report, form, licence),
        "",
        f"# {one_line(plan.name)}",
        "",
        f"{report['base']['name']}, tuned with {plan.method.name} ({counts['trainable']:,} of {counts['total']:,} parameters, "
        f"{counts['trainable'] / counts['total']:.2%}) on {data['train']} examples.",
        "",
        "## Result on examples it has not seen",
        "",
        *_scores(report),
        "",
        _measured(report, plan.training.seed),
        "",
        *_rounding(report),
        "## Base model",
        "",
        f"- {report['base']['hub']}, licence {licence}",
        f"- trained on {report['base']['weights']} (checksum `{report['base']['checksum']}`)",
        f"- checksum of the tuned weights: `{report['tuned']['checksum']}`",
        "",
        "## Data",
        "",
        f"- {one_line(data['name'])}: {data['rows']} rows, SHA-256 `{data['sha256']}`",
        f"- {data['train']} to train on, {data['validation']} to check on, {data.get('test', 0)} for the verdict alone; "
        f"left out: {data['incomplete']} incomplete, {data['damaged']} damaged",
        f"- {report['texts']['cut']} examples were cut at {report['texts']['max_length']} tokens, {report['texts']['dropped']} dropped",
        "",
        "## Training",
        "",
        *_settings(plan, report),
        "",
        "## Use it",
        "",
        "```python",
        _code(plan, report, form),
        "```",
        "",
        "## Limits",
        "",
        f"The figures above were measured on {report['base']['weights']}; on other weights of the same name they can differ. "
        "It has learned from these examples alone and shares the base model's weaknesses. Try it on your own questions before anyone relies on it.",
    ]
    return "\n".join(lines) + "\n"


def _measured(report: dict[str, Any], seed: int) -> str:
    """What the scores rest on: examples that nothing was chosen by, or those that also chose the best state."""
    data = report["data"]
    if report.get("measured_on") != "test":
        return (
            f"Measured on {data['validation']} examples kept aside (seed {seed}), which also chose the best state of the training. "
            "Few examples make an uncertain figure."
        )
    whose = f"the test set {one_line(data['test_name'])}" if data.get("test_name") else f"kept aside (seed {seed})"
    return f"Measured on {data['test']} examples, {whose}, that neither the training nor the choice of its best state has seen."


def _front(plan: Plan, report: dict[str, Any], form: str, licence: str) -> list[str]:
    return [
        "---",
        f"base_model: {report['base']['hub']}",
        "license: " + ("apache-2.0" if licence == "Apache-2.0" else "other"),
        "library_name: " + ("peft" if form == "adapter" else "transformers"),
        "pipeline_tag: " + ("text-classification" if plan.task == "classify" else "text-generation"),
        "tags: [training-studio]",
        "---",
    ]


def one_line(text: str) -> str:
    """Text from a person, safe within one line of Markdown."""
    return re.sub(r"[\s`<>\[\]|]+", " ", text).strip()


def _scores(report: dict[str, dict[str, float]]) -> list[str]:
    rows = ["| measure | base | tuned |", "|---|---|---|"]
    return rows + [f"| {name} | {report['before'].get(name, float('nan')):.4g} | {value:.4g} |" for name, value in report["after"].items()]


def _rounding(report: dict[str, Any]) -> list[str]:
    """What rounding costs, where the run measured it: unrounded, rounded after training, and rounded while training."""
    found = report.get("method", {}).get("quantisation") or {}
    rounded = {name.replace("_", " "): figures for name, figures in found.items() if figures}
    if not rounded:
        return []
    measures = [name for name in ("loss", "accuracy") if all(name in figures for figures in rounded.values())]
    rows = [f"| weights | {' | '.join(measures)} | size (MB) |", "|---" * (len(measures) + 2) + "|"]
    for name, figures in rounded.items():
        rows.append(f"| {name} | {' | '.join(f'{figures[one]:.4g}' for one in measures)} | {figures['bytes'] / 1e6:.1f} |")
    return ["## What rounding costs", "", *rows, ""]


def _settings(plan: Plan, report: dict[str, Any]) -> list[str]:
    settings = ", ".join(f"{name} {one_line(str(value))}" for name, value in plan.method.settings.items()) or "none"
    chosen = {name: value for name, value in (report.get("training") or plan.training.model_dump()).items() if name != "learning_rate"}
    return [
        f"- method: {plan.method.name}; settings: {settings}",
        f"- learning rate {report['learning_rate']:g}; " + ", ".join(f"{name} {value}" for name, value in chosen.items()),
        f"- took {report['seconds']:.0f} s on {report['device']}; best validation at step {report['best_step']}",
    ]


def _code(plan: Plan, report: dict[str, list[str]], form: str) -> str:
    kind = "AutoModelForSequenceClassification" if plan.task == "classify" else "AutoModelForCausalLM"
    count = f", num_labels={len(report['labels'])}" if plan.task == "classify" else ""
    hub = report["base"]["hub"]  # type: ignore[call-overload]
    load = f'{kind}.from_pretrained("."{count})'
    if form == "adapter":
        load = f'PeftModel.from_pretrained({kind}.from_pretrained("{hub}"{count}), ".")'
    needed = {"adapter": "from peft import PeftModel", "packed": "# Needs: pip install compressed-tensors"}
    imports, method = needed.get(form, ""), methods.get(plan.method.name)
    if form == "adapter" and method.beside:
        imports += f"\nimport studio{method.beside.stem}  # lies beside this card and teaches PEFT this kind of adapter"
    if form == "adapter" and method.weights == "nf4":
        imports += "\n# Learned on a base in 4 bits (NF4): on the unrounded base its answers can differ; the merged form gives exactly those learned."
    code = {"classify": CLASSIFY, "complete": COMPLETE}.get(plan.task, CHAT)
    return code.format(imports=imports, here=".", load=load, labels=report["labels"])
