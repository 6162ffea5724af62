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
    "empty": Message("{count:,} of {total:,} rows {count:is|are} incomplete or unreadable."),
    "unlabelled": Message("{count:,} of {total:,} texts {count:has|have} no label yet."),
    "wrong_labels": Message("{count:,} of {checked:,} labels {count:is|are} likely wrong."),
    "unjudged_labels": Message(
        "Wrong labels were not looked for: by the other rows, {encoder} can tell only {agreement:.0%} of the "
        "labels."
    ),
    "leak_by_meaning": Message(
        "{leaked:,} of {tested:,} test examples {leaked:says|say} what {count:,} of {checked:,} "
        "{count:row says|rows say} in other words."
    ),
    "no_encoder": Message(
        "Wrong labels and test examples in other words were not looked for: {encoder}, which reads the "
        "texts, is not on this machine yet."
    ),
    "not_english": Message(
        "Wrong labels and test examples in other words were not looked for: {encoder} reads English alone, "
        "and most of these texts are in another language ({language})."
    ),
    "few": Message("You have {full:,} complete rows; {method} needs about {least:,}."),
    "too_few": Message("Only {full:,} of {total:,} rows can be used."),
    "duplicates": Message("{count:,} of {total:,} rows {count:is an exact duplicate|are exact duplicates}."),
    "near_duplicates": Message(
        "{count:,} of {total:,} rows {count:is a near-duplicate|are near-duplicates}."
    ),
    "contradictions": Message(
        "{count:,} of {total:,} rows {count:answers|answer} the same question differently."
    ),
    "two_labels": Message(
        "{count:,} of {total:,} rows {count:has|have} a text that appears under two labels."
    ),
    "both_ways": Message(
        "{count:,} of {total:,} rows {count:contradicts|contradict} another row about which answer is better."
    ),
    "same_pairs": Message("{count:,} of {total:,} rows {count:has|have} two identical answers."),
    "surface": Message(
        "Taking {rule} ranks {share:.0%} of {total:,} pairs correctly ({low:.0%} to {high:.0%}); words, "
        "openings and endings alone rank {probe_share:.0%} of {probed:,} unseen pairs ({probe_low:.0%} to "
        "{probe_high:.0%}). Guessing: 50%."
    ),
    "cut": Message(
        "{count:,} of {total:,} rows ({share:.0%}) {count:is|are} longer than {limit:,} tokens and will be "
        "cut off."
    ),
    "dropped": Message(
        "{count:,} of {total:,} pairs ({share:.0%}) {count:is|are} longer than {limit:,} tokens and will be "
        "left out."
    ),
    "uncounted": Message(
        "Text lengths were not checked: the chosen model, which counts tokens, is not on this machine yet."
    ),
    "long_prompt": Message(
        "{count:,} of {total:,} questions ({share:.0%}) {count:leaves|leave} no room for an answer within "
        "{limit:,} tokens."
    ),
    "leak": Message(
        "{count:,} of {total:,} rows also {count:appears|appear} in the test set, which gives away "
        "{leaked:,} of its {tested:,} examples."
    ),
    "one_label": Message("Every row has the same label, “{most}”."),
    "many_labels": Message("{labels:,} different labels for {total:,} rows are too many."),
    "unbalanced": Message("“{most}” has {count:,} of {total:,} rows, “{least}” only {fewest:,}."),
    "rare_labels": Message("These labels have fewer than {limit} examples: {names}."),
    "alike_labels": Message("Some labels look like spellings of the same one: {names}."),
    "languages": Message("Mixed languages: {share:.0%} of {total:,} texts are {main}; also {others}."),
    "personal": Message("{count:,} of {total:,} rows {count:contains|contain} personal data: {kinds}."),
    "html": Message("{count:,} of {total:,} rows {count:contains|contain} HTML."),
    "mojibake": Message(
        "{count:,} of {total:,} rows {count:has|have} garbled characters that can be repaired."
    ),
    "lost": Message("{count:,} of {total:,} rows {count:has|have} lost characters (�)."),
    "short_answers": Message("{count:,} of {total:,} answers {count:has|have} fewer than {limit} words."),
    "same_answer": Message("{count:,} of {total:,} rows ({share:.0%}) have the same answer."),
    "echoes": Message("{count:,} of {total:,} answers only {count:repeats|repeat} the question."),
    "machine_text": Message("“{column}” holds machine text, such as {example}, that nobody said."),
    "links": Message("Most answers in “{column}” are only a link."),
    "rated_answers": Message(
        "“{column}” rates the answers: {count:,} of {total:,} {count:is|are} not rated good, and would be "
        "learned like the others."
    ),
    "unused_text": Message("Nothing is learned of the texts in “{column}”."),
    "same_question": Message("Most rows ask the same in “{column}”."),
    "placeholders": Message(
        "{count:,} of {total:,} rows {count:has|have} placeholders that nobody filled in."
    ),
    "line_ends": Message("{count:,} of {total:,} rows {count:holds|hold} line ends written out as \\n."),
    "quoted_mails": Message(
        "{count:,} of {total:,} rows {count:holds|hold} a quoted mail or a signature below the text."
    ),
}
FINDING_ADVICE: dict[str, Message] = {
    "empty": Message("They are not used for training. Fill them in or remove them."),
    "unlabelled": Message(
        "They are not used for training. “Label texts” below picks the ones that teach most."
    ),
    "wrong_labels": Message(
        "The other rows speak against them, by {encoder}. Look at each: one in ten is right after all, and "
        "more where there are few rows."
    ),
    "unjudged_labels": Message("More rows help. Look at a sample of the labels yourself."),
    "leak_by_meaning": Message(
        "Scores on them show memory rather than skill. Of 80 such pairs among questions to a bank 76 meant "
        "the same. Remove the rows, or keep them if people really ask the same again and again."
    ),
    "no_encoder": Message("It takes {megabytes} MB and a minute or two; nothing of yours is sent."),
    "not_english": Message("Look at a sample of the labels yourself."),
    "too_few": Message("You need at least {least}: some to train on, some to validate. Add more."),
    "duplicates": Message(
        "Duplicates get extra weight, and copies in the test set inflate the score. Keep one of each."
    ),
    "near_duplicates": Message(
        "The model memorizes them instead of learning the pattern. Look at the examples, and keep one of "
        "each unless the difference matters."
    ),
    "contradictions": Message(
        "The model learns a blend of the answers. Fine where many answers are good; for facts, keep one."
    ),
    "two_labels": Message(
        "One of the labels is wrong, and the model cannot know which. Correct them, or remove the undecided."
    ),
    "both_ways": Message(
        "One of them is reversed, and together they teach nothing. Correct them, or remove the undecided."
    ),
    "same_pairs": Message("There is nothing to prefer. Remove them."),
    "surface": Message(
        "The model can learn this shortcut instead of what makes an answer good. Give both answers the same "
        "opening, ending and length, or add pairs where the better one lacks it."
    ),
    "cut": Message(
        "The model never sees the end of these answers and may learn to stop mid-sentence. Raise the limit "
        "(max_length) or shorten the texts."
    ),
    "cut_text": Message(
        "What decides the label may be in the part that is cut off. Raise the limit (max_length) or shorten "
        "the texts."
    ),
    "dropped": Message("A pair is compared as a whole. Raise the limit (max_length) or shorten the texts."),
    "uncounted": Message(
        "Text beyond {limit:,} tokens (about {words} English words) is cut off. To check, ask the base model "
        "something on the Playground tab, which downloads it, and reload this page."
    ),
    "long_prompt": Message("They are not used for training. Raise the limit (max_length) or shorten them."),
    "leak": Message(
        "Testing on what the model has memorized shows nothing. Remove these rows from your examples; the "
        "test set stays as it is."
    ),
    "one_label": Message("There is nothing to tell apart. Choose another label column."),
    "many_labels": Message(
        "A class needs several examples. Choose another label column, or learn answers instead of classes."
    ),
    "unbalanced": Message(
        "A model that always says “{most}” would score well. Add more of the others, and read the F1 score "
        "rather than accuracy."
    ),
    "rare_labels": Message(
        "Too few to learn or to test. Add more, merge them with another label, or remove them."
    ),
    "alike_labels": Message("To the model they are different classes. Merge them."),
    "languages": Message(
        "A small share of another language is hardly learned and can make the model switch languages. Keep "
        "it if you want both, or remove it."
    ),
    "personal": Message(
        "A model can repeat its training data to anyone. Mask it, unless everyone concerned has agreed. "
        "Names are not detected."
    ),
    "html": Message("The model would learn to write tags. Remove them, unless you want that."),
    "mojibake": Message("The file was once opened in the wrong encoding. Repair the characters."),
    "lost": Message(
        "An earlier program could not read them, and they cannot be restored. Export the file again as "
        "UTF-8, or correct the rows."
    ),
    "short_answers": Message("The model will learn to answer this briefly."),
    "same_answer": Message("The model will give this answer to everything. Add rows with other answers."),
    "echoes": Message("The model learns to repeat the question. Correct or remove them."),
    "machine_text": Message(
        "The model would learn to read or write it. Choose another column, or bring the texts alone."
    ),
    "links": Message("The model learns to make up addresses. Bring what stands there instead."),
    "rated_answers": Message("The model learns the bad ones, too. Keep only the good ones."),
    "unused_text": Message(
        "If it belongs to the question or is the better answer, choose the columns below."
    ),
    "same_question": Message(
        "An instruction alone says nothing about the row. If the question is in another column, choose it."
    ),
    "placeholders": Message(
        "The model learns to write them. Fill them in, or keep them if a program does later."
    ),
    "line_ends": Message("The model learns to write a backslash and an n. Put line ends in their place."),
    "quoted_mails": Message(
        "The model learns to repeat the mail and to sign. Remove what is below the text."
    ),
}
FIX_LABELS: dict[str, Message] = {
    "empty": label("Remove these rows"),
    "duplicates": label("Keep one of each"),
    "near_duplicates": label("Keep the longest of each"),
    "contradictions": label("Resolve contradictions"),
    "same_pairs": label("Remove these pairs"),
    "alike_labels": label("Merge into the most common spelling"),
    "rare_labels": label("Remove rare labels"),
    "personal": label("Mask as [email] …"),
    "html": label("Remove HTML"),
    "mojibake": label("Repair characters"),
    "leak": label("Remove from my examples"),
    "leak_by_meaning": label("Remove from my examples, by meaning"),
    "wrong_labels": label("Go through them"),
    "no_encoder": label("Fetch it and look"),
    "echoes": label("Remove repeated questions"),
    "line_ends": label("Put line ends in"),
    "quoted_mails": label("Remove quotes and signatures"),
}
# The fix of rated answers, which names the ratings that stay.
KEEP_RATED = Message("Learn only the answers rated {good}")

# How contradictions are resolved (see row_checks.resolve_contradictions); these replace the label of the fix.
CONTRADICTION_FIX_LABELS: dict[str, Message] = {
    "most": Message("Keep the majority answer: remove {drops:,} {drops:row|rows}"),
    "first": Message("No majority: keep the first of each, remove {drops:,} {drops:row|rows}"),
    "all": Message("No majority: remove all {drops:,} {drops:row|rows}"),
}
UNDECIDED_ROWS = Message("{undecided:,} of them have no majority and stay: someone has to decide.")


@dataclass(frozen=True)
class FindingOverrides:
    """What a finding says or costs differently from others of its kind.

    Attributes:
        message_key: The key of its texts in FINDING_MESSAGES and FINDING_ADVICE; "" for its kind.
        why: Replaces the advice.
        fix: Replaces the label of the fix.
        cost: Replaces the cost of its grade.
        message: Replaces the message.
    """

    message_key: str = ""
    why: Message | None = None
    fix: Message | None = None
    cost: int | None = None
    message: Message | None = None


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
        message=overrides.message or FINDING_MESSAGES[message_key].format(**placeholders),
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
