"""The model card, in English or Chinese: what was trained on what, how, and how well, from the run's own files and the data's licence."""

import re
from typing import Any

from studio import methods, presets, runs
from studio.data import keep
from studio.errors import BadData
from studio.export import card_words as words
from studio.plan import Plan
from studio.runs import Run
from studio.words import Words

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


def write(run: Run, form: str, language: str = "en") -> str:
    """The card of a finished run in one form (of export.FORMS), as Markdown with the hub's front matter; its words in a language."""
    plan, report = run.plan, runs.report(run)
    known = presets.models().get(plan.model)
    licence = known.licence if known else ""
    base, data, counts, texts = report["base"], report["data"], report["parameters"], report["texts"]
    weights = {"weights": base.get("weights_zh" if language == "zh" else "weights") or base["weights"]}
    sections = [
        (
            None,
            [
                words.INTRO.say(
                    language,
                    base=base["name"],
                    method=_method(plan),
                    train=data["train"],
                    share=counts["trainable"] / counts["total"],
                    **counts,
                )
            ],
        ),
        (words.RESULT, [*_scores(report, language), "", _measured(report, plan.training.seed, language)]),
        (words.ROUNDING, _rounding(report, language)),
        (
            words.BASE,
            [
                words.HUB.say(language, hub=base["hub"], licence=licence or words.UNKNOWN),
                words.TRAINED_ON.say(language, **base | weights),
                words.TUNED.say(language, checksum=report["tuned"]["checksum"]),
            ],
        ),
        (
            words.DATA,
            [
                words.ROWS.say(language, **data | {"name": one_line(data["name"])}),
                words.LICENCE.say(language, licence=one_line(_licence(plan, data)) or words.NOT_GIVEN),
                words.PARTS.say(language, **{"test": 0} | data),
                words.CUT.say(language, **texts),
            ],
        ),
        (words.TRAINING, _settings(plan, report, language)),
        (words.USE, ["```python", _code(plan, report, form, language), "```"]),
        (words.LIMITS, [words.LIMITED.say(language, **weights)]),
    ]
    lines = [*_front(plan, report, form, licence), "", f"# {one_line(plan.name)}", ""]
    for head, said in sections:
        lines += [*([head.say(language), ""] if head and said else []), *said, *([""] if said else [])]
    return "\n".join(lines).rstrip() + "\n"


def _method(plan: Plan) -> Words | str:
    card = presets.methods().get(plan.method.name)
    return card.name if card else plan.method.name


def _licence(plan: Plan, data: dict[str, Any]) -> str:
    """The licence of the data as its own card says now, or, where it is gone, as it said when the run read it; "" where nobody has said."""
    known = plan.data.source.partition(":")[0] in ("sample", "dataset")
    try:
        return keep.find(plan.data.source).licence if known else ""
    except BadData:
        return str(data.get("licence", ""))


def _measured(report: dict[str, Any], seed: int, language: str) -> str:
    """What the scores rest on: examples that nothing was chosen by, or those that also chose the best state."""
    data = report["data"]
    if report.get("measured_on") != "test":
        return words.ON_VALIDATION.say(language, count=data["validation"], seed=seed)
    own = data.get("test_name")
    whose = words.OWN_TEST.filled(name=one_line(own)) if own else words.KEPT_ASIDE.filled(seed=seed)
    return words.ON_TEST.say(language, count=data["test"], whose=whose)


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


def _scores(report: dict[str, dict[str, float]], language: str) -> list[str]:
    rows = [words.HEADINGS.say(language), "|---|---|---|"]
    before = report["before"]
    return rows + [
        f"| {_named(words.MEASURES, name, language)} | {before.get(name, float('nan')):.4g} | {value:.4g} |"
        for name, value in report["after"].items()
    ]


def _named(known: dict[str, Words], name: str, language: str) -> str:
    return known[name].say(language) if name in known else name.replace("_", " ")


def _rounding(report: dict[str, Any], language: str) -> list[str]:
    """What rounding costs, where the run measured it: unrounded, rounded after training, and rounded while training."""
    found = report.get("method", {}).get("quantisation") or {}
    rounded = {name: figures for name, figures in found.items() if figures}
    if not rounded:
        return []
    measures = [name for name in ("loss", "accuracy") if all(name in figures for figures in rounded.values())]
    heads = [words.WEIGHTS.say(language), *(_named(words.MEASURES, name, language) for name in measures), words.SIZE.say(language)]
    rows = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, figures in rounded.items():
        told = " | ".join(f"{figures[one]:.4g}" for one in measures)
        rows.append(f"| {_named(words.ROUNDED, name, language)} | {told} | {figures['bytes'] / 1e6:.1f} |")
    return rows


def _settings(plan: Plan, report: dict[str, Any], language: str) -> list[str]:
    settings = ", ".join(f"{name} {one_line(str(value))}" for name, value in plan.method.settings.items()) or words.NO_SETTINGS
    chosen = {name: value for name, value in (report.get("training") or plan.training.model_dump()).items() if name != "learning_rate"}
    others = ", ".join(f"{name} {value}" for name, value in chosen.items())
    return [
        words.METHOD.say(language, method=plan.method.name, settings=settings),
        words.RATE.say(language, rate=report["learning_rate"], others=others),
        words.TOOK.say(language, seconds=report["seconds"], device=report["device"], step=report["best_step"]),
    ]


def _code(plan: Plan, report: dict[str, list[str]], form: str, language: str) -> str:
    kind = "AutoModelForSequenceClassification" if plan.task == "classify" else "AutoModelForCausalLM"
    count = f", num_labels={len(report['labels'])}" if plan.task == "classify" else ""
    hub = report["base"]["hub"]  # type: ignore[call-overload]
    load = f'{kind}.from_pretrained("."{count})'
    if form == "adapter":
        load = f'PeftModel.from_pretrained({kind}.from_pretrained("{hub}"{count}), ".")'
    needed = {"adapter": "from peft import PeftModel", "packed": "# Needs: pip install compressed-tensors"}
    imports, method = needed.get(form, ""), methods.get(plan.method.name)
    if form == "adapter" and method.beside:
        imports += f"\nimport studio{method.beside.stem}  # {words.BESIDE.say(language)}"
    if form == "adapter" and method.weights == "nf4":
        imports += f"\n# {words.ON_4_BITS.say(language)}"
    code = {"classify": CLASSIFY, "complete": COMPLETE}.get(plan.task, CHAT)
    return code.format(imports=imports, here=".", load=load, labels=report["labels"])
