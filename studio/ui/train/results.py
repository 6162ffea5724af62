"""The outcome of a run in sentences and small tables, from its report; what the report lacks is left out."""

import json
from typing import Any

from studio import runs
from studio.data.text.text_length import shorten
from studio.estimate import history
from studio.evaluate.verdict_wording import MIN_ROWS
from studio.i18n import Message, join_sentences
from studio.methods import spec
from studio.methods.rlhf_stages.schedule import DIRECT_ALGORITHMS
from studio.runs import Run
from studio.training import report_messages, retention_messages
from studio.ui import units

LOSS_FELL = Message(
    "{part} loss fell from {before:.3f} to {after:.3f} (best at step {step}).", style="sentence"
)
LOSS_DID_NOT_FALL = Message(
    "{part} loss did not fall: {before:.3f} before, {after:.3f} after. Try more examples, another learning "
    "rate, or fewer epochs.",
    style="sentence",
)
# Methods whose loss is not what they aim at: it says nothing of the result.
OTHER_OBJECTIVE_METHODS = ("rlhf", "upft")
TOOK = Message("It took {time}.")
ACCURACY = Message("{after:.0%} of {count} {part} texts correct; before, {before:.0%}.")
ACCURACY_ALONE = Message("{after:.0%} of {count} {part} texts correct.")
ACCURACY_OF_FEW = Message("{hits} of {count} {part} texts correct, too few for a percentage.")
CHART_IS_VALIDATION = Message("(The charts show the validation texts.)")
REWARD_MODEL_ACCURACY = Message(
    "Of {count} held-out pairs the reward model ranks {after} as people did; its first guess (a linear fit) "
    "{before}, guessing half."
)
LONGER_ANSWER_BASELINE = Message("Always picking the longer answer: {share}.")
SHORTER_ANSWER_BASELINE = Message("Always picking the shorter answer: {share}.")
SURFACE_BASELINE = Message(
    "The best rule that never reads the answers, taking {rule}: {share} (95% interval {low:.0%} to "
    "{high:.0%}). A reward model no better than that may have learned only this."
)
MEAN_REWARD = Message(
    "Its answers to {count} held-out questions score {after:.3g} on average; before practice, {before:.3g}."
)
NO_REWARD_SIGNAL = Message(
    "Practice changed nothing: choose a reward that some of its answers already earn and others do not, or "
    "allow longer answers."
)
PREFERENCE_ACCURACY = Message(
    "Of {count} held-out pairs it prefers the better answer in {after}; before, in {before}."
)
LABEL_TABLE = {
    "caption": Message("Each label (F1)"),
    "label": Message("Label"),
    "before": Message("Before"),
    "after": Message("After"),
}
VERDICT_ACCURACY = Message(
    "Of {count} held-out answers it prefers the good one to a bad one in {after} of the cases; before, in "
    "{before}."
)
RETENTION_TABLE = {
    "caption": Message("What it still knows (general questions answered correctly)"),
    "suite": Message("Ability"),
    "before": Message("Before"),
    "after": Message("After"),
    "change": Message("Change in questions (interval)"),
}
QUANTISATION_TABLE = {
    "caption": Message("What rounding costs"),
    "full_precision": Message("full precision"),
    "quantised_afterwards": Message("rounded afterwards"),
    "quantised_while_training": Message("rounded while training"),
    "loss": Message("validation loss"),
    "accuracy": Message("accuracy", context="results"),
    "bytes": Message("size of the file"),
}
SAMPLE_TABLE = {
    "caption": Message("Answers before and after practice"),
    "question": Message("Question"),
    "before": Message("Before"),
    "after": Message("After"),
    "reward": Message("Score"),
}
# The split that the figures were measured on.
SPLIT_NAMES = {"validation": Message("validation"), "test": Message("test")}
# How many samples are shown, and how much of each text (characters).
MAX_SAMPLES, MAX_SAMPLE_CHARS = 4, 300
# How much of the file of samples is read, from its end (bytes).
TAIL_BYTES = 30_000


def describe_results(run: Run, report: dict[str, Any], lang: str) -> str:
    """The outcome in sentences, for the page."""
    parts = [*_describe_accuracy(report, lang)]
    if known_answers := report_messages.describe_known_answers(report):
        parts.append(known_answers.render(lang))
    if own_openings := report_messages.describe_own_openings(run.plan.method.name, report):
        parts.append(own_openings.render(lang))
    parts += [message.render(lang) for message in report_messages.describe_targets(report)]
    parts += [*_describe_stages(_get_section(report, "method"), lang), read_method_notes(run, lang)]
    parts.append(_describe_loss(run, report, lang))
    parts += [part.render(lang) for part in retention_messages.describe_retention(report)]
    parts.append(_describe_cost(run, report, lang))
    if truncation := report_messages.describe_truncation(report):
        parts.append(truncation.render(lang))
    return join_sentences(parts, lang)


def _describe_accuracy(report: dict[str, Any], lang: str) -> list[str]:
    """How many texts are sorted correctly; the charts beside it may show another part of the data."""
    before, after = runs.start_scores(report), _get_section(report, "after")
    linear_baseline = report_messages.describe_linear_baseline(report)
    if not _all_have("accuracy", after, *([] if linear_baseline else [before])):
        return []
    split = _measured_split(report)
    count = after.get("n_examples") or _get_section(report, "data").get(split, 0)
    values = {"after": after["accuracy"], "count": int(count), "part": SPLIT_NAMES[split]}
    if count < MIN_ROWS:
        return [ACCURACY_OF_FEW.render(lang, hits=round(after["accuracy"] * count), **values)]
    if linear_baseline:
        sentences = [ACCURACY_ALONE.render(lang, **values), linear_baseline.render(lang)]
    else:
        sentences = [ACCURACY.render(lang, before=before["accuracy"], **values)]
    if split == "test":
        sentences.append(CHART_IS_VALIDATION.render(lang))
    return sentences


def _measured_split(report: dict[str, Any]) -> str:
    return "test" if report.get("measured_on") == "test" else "validation"


def _describe_loss(run: Run, report: dict[str, Any], lang: str) -> str:
    """What became of the loss; "" where the method aims at something else."""
    before, after = runs.start_scores(report), _get_section(report, "after")
    if kept_start := report_messages.describe_kept_start(report):
        return kept_start.render(lang)
    if run.plan.method.name in OTHER_OBJECTIVE_METHODS or not _all_have("loss", before, after):
        return ""
    message = LOSS_FELL if after["loss"] < before["loss"] else LOSS_DID_NOT_FALL
    values = {"before": before["loss"], "after": after["loss"], "step": report.get("best_step", 0)}
    part = SPLIT_NAMES[_measured_split(report)]
    return message.render(lang, part=part, **values)


def _describe_cost(run: Run, report: dict[str, Any], lang: str) -> str:
    """Time and memory beside their estimate; the time alone where nothing was estimated."""
    if receipt := history.build_receipt(history.load_estimate(run), report):
        return receipt.render(lang)
    seconds = _as_float(report.get("seconds"))
    return TOOK.render(lang, time=units.format_seconds(seconds, lang)) if seconds else ""


def read_method_notes(run: Run, lang: str) -> str:
    """The method's notes so far, also of a run that is still going on."""
    return join_sentences((message.render(lang) for message in spec.read_notes(run.folder)), lang)


def _describe_stages(notes: dict[str, Any], lang: str) -> list[str]:
    """Sentences on the stages of RLHF: reward model, policy optimisation, preference pairs."""
    sentences = []
    reward_model, rl = (_get_section(notes, name) for name in ("reward_model", "rl"))
    n_pairs = _get_section(reward_model, "pairs").get("held_out", "?")
    if _all_have("accuracy", _get_section(reward_model, "before"), _get_section(reward_model, "after")):
        sentences.append(
            REWARD_MODEL_ACCURACY.render(
                lang,
                after=_describe_share(reward_model["after"]["accuracy"], n_pairs),
                before=_describe_share(reward_model["before"]["accuracy"], n_pairs),
                count=n_pairs,
            )
        )
        if (share := _as_float(reward_model.get("the_longer_one_is_better"))) is not None:
            length_baseline = LONGER_ANSWER_BASELINE if share >= 0.5 else SHORTER_ANSWER_BASELINE
            sentences.append(
                length_baseline.render(lang, share=_describe_share(max(share, 1 - share), n_pairs))
            )
        if _all_have("share", surface := _get_section(reward_model, "surface")):
            described = {
                "rule": Message.from_json(surface["rule"]),
                "share": _describe_share(surface["share"], n_pairs),
            }
            sentences.append(SURFACE_BASELINE.render(lang, **{**surface, **described}))
    if _all_have("reward", _get_section(rl, "before"), _get_section(rl, "after")):
        n_questions = _get_section(rl, "questions").get("held_out", "?")
        sentences.append(
            MEAN_REWARD.render(
                lang, after=rl["after"]["reward"], before=rl["before"]["reward"], count=n_questions
            )
        )
        if rl["after"]["reward"] == rl["before"]["reward"]:
            sentences.append(NO_REWARD_SIGNAL.render(lang))
    sentences += [_describe_direct(notes, name, lang) for name in DIRECT_ALGORITHMS]
    return sentences


def _describe_direct(notes: dict[str, Any], algorithm: str, lang: str) -> str:
    """What an algorithm that learns from judged answers directly came to; "" where it did not run."""
    section = _get_section(notes, algorithm)
    before, after = _get_section(section, "before"), _get_section(section, "after")
    if not _all_have("preferred", before, after):
        return ""
    message = VERDICT_ACCURACY if algorithm == "kto" else PREFERENCE_ACCURACY
    n_held_out = _get_section(section, "pairs").get("held_out", "?")
    shares = {
        name: _describe_share(scores["preferred"], n_held_out)
        for name, scores in (("before", before), ("after", after))
    }
    return message.render(lang, count=n_held_out, **shares)


def _describe_share(share: float, count: object) -> str:
    """A share of held-out rows as a percentage; of fewer than MIN_ROWS the number of them."""
    return str(round(share * count)) if isinstance(count, int) and count < MIN_ROWS else f"{share:.0%}"


def build_tables(report: dict[str, Any], lang: str) -> list[dict[str, Any]]:
    """The tables of the outcome: each label, what rounding costs, answers before and after practice."""
    notes = _get_section(report, "method")
    tables = (
        _label_table(report, lang),
        _retention_table(report, lang),
        _quantisation_table(notes, lang),
        _sample_table(notes, lang),
    )
    return [table for table in tables if table]


def _label_table(report: dict[str, Any], lang: str) -> dict[str, Any] | None:
    rows = report_messages.label_rows(report)
    n_held_out = _get_section(report, "data").get(_measured_split(report), MIN_ROWS)
    if not rows or n_held_out < MIN_ROWS:
        return None
    return {
        "caption": LABEL_TABLE["caption"].render(lang),
        "heads": [LABEL_TABLE[key].render(lang) for key in ("label", "before", "after")],
        "rows": [
            [shorten(name, MAX_SAMPLE_CHARS), f"{before:.0%}", f"{after:.0%}"] for name, before, after in rows
        ],
    }


def _retention_table(report: dict[str, Any], lang: str) -> dict[str, Any] | None:
    rows = retention_messages.retention_rows(report)
    if not rows:
        return None
    return {
        "caption": RETENTION_TABLE["caption"].render(lang),
        "heads": [RETENTION_TABLE[key].render(lang) for key in ("suite", "before", "after", "change")],
        "rows": [[name.render(lang), before, after, change] for name, before, after, change in rows],
        "folded": True,
    }


def _quantisation_table(notes: dict[str, Any], lang: str) -> dict[str, Any] | None:
    quantisation = _get_section(notes, "quantisation")
    columns = [
        name
        for name in ("full_precision", "quantised_afterwards", "quantised_while_training")
        if _get_section(quantisation, name)
    ]
    if not columns:
        return None
    rows = []
    for key in ("loss", "accuracy", "bytes"):
        values = [_as_float(quantisation[name].get(key)) for name in columns]
        if any(value is not None for value in values):
            rows.append(
                [QUANTISATION_TABLE[key].render(lang), *(_format_cell(key, value) for value in values)]
            )
    return {
        "caption": QUANTISATION_TABLE["caption"].render(lang),
        "heads": ["", *(QUANTISATION_TABLE[name].render(lang) for name in columns)],
        "rows": rows,
    }


def _sample_table(notes: dict[str, Any], lang: str) -> dict[str, Any] | None:
    samples = _get_section(notes, "rl").get("samples")
    if not isinstance(samples, list) or not samples:
        return None
    keys = ("question", "before", "after", "reward")
    return {
        "caption": SAMPLE_TABLE["caption"].render(lang),
        "heads": [SAMPLE_TABLE[key].render(lang) for key in keys],
        "rows": [_format_sample(sample, keys) for sample in samples[:MAX_SAMPLES]],
    }


def read_samples(run: Run, known_bytes: int) -> tuple[int, list[dict[str, str]] | None]:
    """The latest answers of policy optimisation.

    Args:
        run: The run whose `stages/samples.jsonl` is read.
        known_bytes: The size of that file when it was read last.

    Returns:
        The size of the file in bytes, and the answers of its last step; None for these if the size is
        unchanged.
    """
    path = run.folder / "stages" / "samples.jsonl"
    size_bytes = path.stat().st_size if path.is_file() else 0
    if size_bytes == known_bytes:
        return size_bytes, None
    if not size_bytes:
        return 0, []
    with path.open("rb") as file:
        file.seek(max(0, size_bytes - TAIL_BYTES))
        lines = file.read().split(b"\n")
    samples = [sample for line in lines if (sample := _parse_sample(line))]
    last_step = [sample for sample in samples if sample.get("step") == samples[-1].get("step")]
    keys = ("question", "answer", "reward")
    return size_bytes, [
        dict(zip(keys, _format_sample(sample, keys), strict=True)) for sample in last_step[:MAX_SAMPLES]
    ]


def _parse_sample(line: bytes) -> dict[str, Any]:
    """One line of the samples; empty where it is damaged."""
    try:
        sample = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return sample if isinstance(sample, dict) and "answer" in sample else {}


def _format_sample(sample: Any, keys: tuple[str, ...]) -> list[str]:
    """The cells of a sample as text: a score with two digits, a text shortened."""
    fields = sample if isinstance(sample, dict) else {}
    return [shorten(_format_value(fields.get(key, "")), MAX_SAMPLE_CHARS) for key in keys]


def _format_value(value: Any) -> str:
    if isinstance(value, str):
        return value
    return f"{value:.2f}" if isinstance(value, int | float) else json.dumps(value)


def _format_cell(key: str, value: float | None) -> str:
    if value is None:
        return "–"
    if key == "bytes":
        return f"{value / 1e6:,.1f} MB"
    return f"{value:.0%}" if key == "accuracy" else f"{value:.3f}"


def _get_section(parent: Any, name: str) -> dict[str, Any]:
    section = parent.get(name) if isinstance(parent, dict) else None
    return section if isinstance(section, dict) else {}


def _as_float(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _all_have(key: str, *sections: dict[str, Any]) -> bool:
    return all(_as_float(section.get(key)) is not None for section in sections)
