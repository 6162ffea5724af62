"""A prompt to try on the base model right away, filled with the person's own examples."""

from studio.chooser.answers import DATA_KIND_BY_TASK, Answers
from studio.chooser.dataset_summary import MAX_PROMPT_EXAMPLES, DatasetSummary, PromptExample
from studio.chooser.texts import TEXTS
from studio.i18n import Message, join_messages

PromptExamples = tuple[PromptExample, ...]


def build_prompt(answers: Answers, dataset: DatasetSummary | None) -> Message:
    """The prompt for what should change, with examples of the data at hand.

    It shows at most MAX_PROMPT_EXAMPLES and asks a further one; words in brackets mark what the data does
    not hold.
    """
    data_kind = answers["have"]
    examples: PromptExamples = ()
    labels: tuple[str, ...] = ()
    if dataset and DATA_KIND_BY_TASK[dataset.task] == data_kind:
        examples = dataset.prompt_examples
        labels = dataset.labels if examples else ()
    if answers["change"] == "knowledge":
        return _knowledge_prompt(examples, data_kind)
    kind, example_form = _prompt_kind(answers["change"], data_kind)
    blanks = TEXTS.blanks[example_form]
    values: dict[str, object] = {"question": (examples[-1].question if examples else "") or blanks["asked"]}
    if example_form in TEXTS.example:
        can_show = data_kind in (example_form, "answers")
        shown_examples = examples[:-1][:MAX_PROMPT_EXAMPLES] if can_show else ()
        values["examples"] = _format_examples(shown_examples, example_form)
    if example_form == "labels":
        values["labels"] = list(labels) if labels else blanks["labels"]
    return TEXTS.prompts[kind].format(**values)


def _knowledge_prompt(examples: PromptExamples, data_kind: str) -> Message:
    """A question on a passage, which stands for what a search would find."""
    blanks = TEXTS.blanks["knowledge"]
    passage = examples[0].answer if examples and data_kind in ("answers", "texts") else ""
    question = examples[0].question if examples and data_kind != "labels" else ""
    return TEXTS.prompts["knowledge"].format(
        answer=passage or blanks["answer"], question=question or blanks["asked"]
    )


def _prompt_kind(change: str, data_kind: str) -> tuple[str, str]:
    """Which prompt, and the form of its examples."""
    if data_kind == "pairs":
        return "pairs", "pairs"
    if change == "decisions":
        kind = {"labels": "labels", "questions": "steps"}.get(data_kind, "decisions")
        return kind, kind
    if data_kind == "texts":
        return "texts", "texts"
    return change, "answers"


def _format_examples(examples: PromptExamples, example_form: str) -> Message:
    """Examples one after the other; a blank one where there is none to show."""
    template = TEXTS.example[example_form]
    if not examples:
        return template.format(**TEXTS.blanks[example_form])
    formatted = [
        template.format(question=example.question, answer=example.answer, worse=example.rejected)
        for example in examples
    ]
    return join_messages(formatted, "\n\n")
