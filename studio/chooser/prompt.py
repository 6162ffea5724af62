"""A prompt to try on the base model right away, filled with the person's own examples."""

from studio.chooser.answers import DATA_KIND_BY_TASK, Answers
from studio.chooser.dataset_summary import MAX_PROMPT_EXAMPLES, DatasetSummary, PromptExample
from studio.chooser.texts import TEXTS
from studio.i18n import Message, join_messages


def build_prompt(answers: Answers, dataset: DatasetSummary | None) -> Message:
    """The prompt for what should change, with up to SHOWN examples of the data at hand; words in brackets stand for what it does not hold."""
    data_kind = answers["have"]
    examples = dataset.prompt_examples if dataset and DATA_KIND_BY_TASK[dataset.task] == data_kind else ()
    question = examples[-1].question if examples else ""
    if answers["change"] == "knowledge":
        passage = (
            examples[0].answer if examples and data_kind in ("answers", "texts") else ""
        )  # what a search would find
        topic = examples[0].question if examples and data_kind != "labels" else ""
        blanks = TEXTS.blanks["knowledge"]
        return TEXTS.prompts["knowledge"].format(
            answer=passage or blanks["answer"], question=topic or blanks["asked"]
        )
    kind, example_form = _prompt_kind(answers["change"], data_kind)
    labels = dataset.labels if examples and dataset else ()
    values: dict[str, object] = {"question": question or TEXTS.blanks[example_form]["asked"]}
    if example_form in TEXTS.example:
        values["examples"] = _format_examples(
            examples[:-1][:MAX_PROMPT_EXAMPLES] if data_kind in (example_form, "answers") else (),
            example_form,
        )
    if example_form == "labels":
        values["labels"] = list(labels) if labels else TEXTS.blanks[example_form]["labels"]
    return TEXTS.prompts[kind].format(**values)


def _prompt_kind(change: str, data_kind: str) -> tuple[str, str]:
    """Which prompt, and the form of its examples."""
    if data_kind == "pairs":
        return "pairs", "pairs"
    if change == "decisions":
        kind = {"labels": "labels", "questions": "steps"}.get(data_kind, "decisions")
        return kind, kind
    return ("texts", "texts") if data_kind == "texts" else (change, "answers")


def _format_examples(examples: tuple[PromptExample, ...], example_form: str) -> Message:
    """Examples one after the other; a blank one where there is none to show."""
    values: list[dict[str, object]] = [
        {"question": item.question, "answer": item.answer, "worse": item.rejected} for item in examples
    ]
    formatted = [
        TEXTS.example[example_form].format(**fields)
        for fields in values or [dict(TEXTS.blanks[example_form])]
    ]
    return join_messages(formatted, "\n\n")
