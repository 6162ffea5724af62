"""The findings of the health check: what was found, what it means, and the label of its one-click fix."""

import itertools
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from studio.data.quality import pii
from studio.i18n import Message, label

Grade = Literal["stop", "warn", "hint", "open"]
GRADES: tuple[Grade, ...] = ("stop", "warn", "hint", "open")
# How much of a finding is listed: row indices, excerpts, characters of an excerpt.
MAX_ROWS, MAX_EXAMPLES, MAX_EXCERPT_CHARS = 200, 3, 160
# From this share of the rows on (0–1) a problem is a warning instead of a hint.
MIN_WARN_SHARE = 0.05


@dataclass(frozen=True)
class Finding:
    """One problem that a check found in a data set.

    Attributes:
        kind: The id of the problem, such as "duplicates".
        grade: How severe it is: "stop" (training makes no sense yet), "warn" (the result suffers), "hint"
            (worth a look) or "open" (could not be checked).
        message: What was found.
        why: What that means and what to do about it.
        count: The number of rows concerned.
        rows: The first MAX_ROWS of these rows, 0-based.
        examples: Up to MAX_EXAMPLES excerpts, with personal data masked.
        fix: The label of the one-click fix; None if there is none.
        cost: The points it takes from the score; None for the usual cost of its grade.
    """

    kind: str
    grade: Grade
    message: Message
    why: Message
    count: int
    rows: tuple[int, ...] = ()
    examples: tuple[str, ...] = ()
    fix: Message | None = None
    cost: int | None = None


def finding_to_json(finding: Finding) -> dict[str, Any]:
    """A finding as plain values for another process, its messages as `Message.to_json` returns them."""
    fix = finding.fix.to_json() if finding.fix else None
    return {**vars(finding), "message": finding.message.to_json(), "why": finding.why.to_json(), "fix": fix}


def finding_from_json(fields: Mapping[str, Any]) -> Finding:
    """The finding that `finding_to_json` turned into plain values."""
    parsed = dict(fields)
    parsed["message"] = Message.from_json(fields["message"])
    parsed["why"] = Message.from_json(fields["why"])
    parsed["fix"] = Message.from_json(fields["fix"]) if fields["fix"] else None
    parsed["rows"] = tuple(fields["rows"])
    parsed["examples"] = tuple(fields["examples"])
    return Finding(**parsed)


FINDING_MESSAGES: dict[str, Message] = {
    "empty": Message("In {count:,} of {total:,} rows a cell that is needed is empty or cannot be read."),
    "few": Message("There are {full:,} complete rows; {method} wants at least {least:,}."),
    "too_few": Message("Only {full:,} of {total:,} rows make an example."),
    "duplicates": Message("In {count:,} of {total:,} rows an earlier row is repeated word for word."),
    "near_duplicates": Message("In {count:,} of {total:,} rows nearly the same is said as in another row."),
    "contradictions": Message(
        "In {count:,} of {total:,} rows the question is that of another row, but the answer differs."
    ),
    "two_labels": Message("In {count:,} of {total:,} rows the text also stands under another label."),
    "both_ways": Message("In {count:,} of {total:,} rows the preference is the opposite of another row's."),
    "same_pairs": Message("In {count:,} of {total:,} rows the better and the worse answer are the same."),
    "surface": Message(
        "Taking {rule} ranks {share:.0%} of {total:,} pairs rightly ({low:.0%} to {high:.0%}); counting "
        "words, openings and endings ranks {probe_share:.0%} of {probed:,} unseen ones "
        "({probe_low:.0%} to {probe_high:.0%}). Guessing: 50%."
    ),
    "cut": Message(
        "In {count:,} of {total:,} rows ({share:.0%}) the text is longer than {limit:,} tokens and will "
        "be cut off."
    ),
    "uncounted": Message(
        "Whether texts are too long could not be checked: the chosen model, which counts their tokens, "
        "is not on this machine yet."
    ),
    "long_prompt": Message(
        "In {count:,} of {total:,} rows ({share:.0%}) the question leaves no room for an answer within "
        "{limit:,} tokens."
    ),
    "leak": Message(
        "In {count:,} of {total:,} rows the example stands in the test set too, as it is or nearly so, "
        "which gives away {leaked:,} of its {tested:,} examples."
    ),
    "one_label": Message("Every row has the same label, “{most}”."),
    "many_labels": Message("There are {labels:,} different labels for {total:,} rows."),
    "unbalanced": Message("“{most}” has {count:,} of {total:,} rows, “{least}” only {fewest:,}."),
    "rare_labels": Message("These labels have fewer than {limit} examples: {names}."),
    "alike_labels": Message("Some labels are probably the same, spelled differently: {names}."),
    "languages": Message(
        "Of {total:,} texts looked at, {share:.0%} are in one language ({main}); there are also: {others}."
    ),
    "personal": Message("In {count:,} of {total:,} rows there is personal data: {kinds}."),
    "html": Message("In {count:,} of {total:,} rows there are pieces of web pages (HTML)."),
    "mojibake": Message(
        "In {count:,} of {total:,} rows characters are garbled in a way that can be put right (mojibake)."
    ),
    "lost": Message("In {count:,} of {total:,} rows characters were lost (�)."),
    "short_answers": Message("In {count:,} of {total:,} rows the answer has fewer than {limit} words."),
    "same_answer": Message("In {count:,} of {total:,} rows ({share:.0%}) the answer is one and the same."),
    "echoes": Message("In {count:,} of {total:,} rows the answer is the question itself."),
}
FINDING_ADVICE: dict[str, Message] = {
    "empty": Message("They are left out of the training; fill them in, or drop them."),
    "too_few": Message("At least {least} are needed to train on some and check on others: bring more."),
    "duplicates": Message(
        "What stands there twice counts twice, and a copy in the part kept aside makes the result look "
        "better than it is: keep one of each."
    ),
    "near_duplicates": Message(
        "The model learns them by heart instead of the pattern; look at the examples, and keep one of "
        "each unless the difference matters."
    ),
    "contradictions": Message(
        "The model learns a mixture of the answers; that is fine for texts with many good answers, but "
        "of facts only one should stay."
    ),
    "two_labels": Message(
        "One of them is wrong, and the model cannot know which: correct them, or drop what is undecided."
    ),
    "both_ways": Message(
        "One of them is the wrong way round, and together they teach nothing: correct them, or drop what "
        "is undecided."
    ),
    "same_pairs": Message("There is nothing to prefer in them: drop them."),
    "surface": Message(
        "A model can learn that instead of what makes an answer good, and then scores well without knowing: "
        "give both answers the same opening, ending and length, or add pairs in which the better one lacks "
        "it."
    ),
    "cut": Message(
        "The end of the answer is not learned, and the model may learn to stop in mid-sentence: allow "
        "longer texts (max_length), or shorten them."
    ),
    "cut_text": Message(
        "What decides the label may stand in the part that is cut off: allow longer texts (max_length), "
        "or shorten them."
    ),
    "uncounted": Message(
        "More than {limit:,} tokens are cut off, about {words} English words. To have it checked, ask the "
        "base model something on the Playground tab, which fetches it, and reload this page."
    ),
    "long_prompt": Message(
        "They are left out of the training: allow longer texts (max_length), or shorten them."
    ),
    "leak": Message(
        "A test on what the model has learned by heart says nothing: take these rows out of your "
        "examples; the test set stays as it is."
    ),
    "one_label": Message("At least two are needed to tell apart: choose another label column."),
    "many_labels": Message(
        "A class needs several examples: choose another label column, or learn answers instead of classes."
    ),
    "unbalanced": Message(
        "A model that always says “{most}” would look good: bring more of the others, and read the F1 "
        "score rather than the accuracy."
    ),
    "rare_labels": Message(
        "So few can hardly be learned, let alone checked: bring more, join them with another label, or "
        "drop them."
    ),
    "alike_labels": Message("To the model they are different classes: join them."),
    "languages": Message(
        "A small part in another language is hardly learned and can make the model switch languages: "
        "keep it if you want both, or take it out."
    ),
    "personal": Message(
        "A model can repeat what it was trained on to anyone who asks it: mask it, unless everyone "
        "concerned has agreed. Names are not looked for."
    ),
    "html": Message("The model would learn to write tags: take them out, unless that is what you want."),
    "mojibake": Message(
        "They come from a file that was once opened in the wrong encoding: have them put right."
    ),
    "lost": Message(
        "An earlier program could not read them, and nothing here can bring them back: export the file "
        "again as UTF-8, or correct the rows."
    ),
    "short_answers": Message(
        "The model learns to answer as briefly; if that is not what you want, write them out."
    ),
    "same_answer": Message(
        "The model will learn to say that to everything: bring more rows with other answers."
    ),
    "echoes": Message("The model learns to repeat what it is asked: correct them, or drop them."),
}
FIX_LABELS: dict[str, Message] = {
    "empty": label("Drop these rows"),
    "duplicates": label("Keep the first of each"),
    "near_duplicates": label("Keep the longest of each"),
    "contradictions": label("Settle the contradictions"),
    "same_pairs": label("Drop these pairs"),
    "alike_labels": label("Join them under the commonest spelling"),
    "rare_labels": label("Drop the rare labels"),
    "personal": label("Mask it, such as [email]"),
    "html": label("Take the HTML out"),
    "mojibake": label("Put the characters right"),
    "leak": label("Take these rows out of my examples"),
    "echoes": label("Drop repeated questions"),
}

# How contradictions are resolved (see row_checks.resolve_contradictions); these replace the label of the fix.
CONTRADICTION_FIX_LABELS: dict[str, Message] = {
    "most": Message("Keep what most rows say ({drops:,} {drops:row|rows} {drops:goes|go})"),
    "first": Message(
        "No answer prevails: keep the first of each ({drops:,} {drops:row|rows} {drops:goes|go})"
    ),
    "all": Message("No answer prevails: leave them all out ({drops:,} {drops:row|rows} {drops:goes|go})"),
}
UNDECIDED_ROWS = Message(
    "In {undecided:,} of them no answer prevails: these stay, since a person has to decide."
)


@dataclass(frozen=True)
class FindingOverrides:
    """What a finding says or costs differently from others of its kind.

    Attributes:
        message_key: The key of its texts in FINDING_MESSAGES and FINDING_ADVICE; "" for its kind.
        why: Replaces the advice.
        fix: Replaces the label of the fix.
        cost: Replaces the cost of its grade.
    """

    message_key: str = ""
    why: Message | None = None
    fix: Message | None = None
    cost: int | None = None


USUAL_TEXTS = FindingOverrides()


def build_finding(
    kind: str,
    grade: Grade,
    rows: Iterable[int],
    examples: Iterable[str],
    overrides: FindingOverrides = USUAL_TEXTS,
    **values: Any,
) -> Finding:
    """A finding whose texts are filled in with `values`; `count` is the number of rows unless given."""
    all_rows = list(rows)
    placeholders: dict[str, Any] = {"count": len(all_rows), **values}
    message_key = overrides.message_key or kind
    return Finding(
        kind,
        grade,
        message=FINDING_MESSAGES[message_key].format(**placeholders),
        why=overrides.why or FINDING_ADVICE[message_key].format(**placeholders),
        count=placeholders["count"],
        rows=tuple(all_rows[:MAX_ROWS]),
        examples=tuple(format_excerpt(text) for text in itertools.islice(examples, MAX_EXAMPLES)),
        fix=overrides.fix or FIX_LABELS.get(kind),
        cost=overrides.cost,
    )


def grade_by_share(rows: Sequence[int], total: int) -> Grade:
    """A warning where the rows are at least MIN_WARN_SHARE of all, else a hint."""
    return "warn" if len(rows) >= MIN_WARN_SHARE * total else "hint"


def format_excerpt(text: str) -> str:
    """The beginning of a text on one line, at most MAX_EXCERPT_CHARS characters, personal data masked."""
    masked = " ".join(pii.mask_pii(text[: 20 * MAX_EXCERPT_CHARS]).split())
    if len(masked) <= MAX_EXCERPT_CHARS:
        return masked
    return masked[: MAX_EXCERPT_CHARS - 1] + "…"
