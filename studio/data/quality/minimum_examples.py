"""How many examples a method wants at least for a result worth having, and why.

What is particular to a method stands in its card (`minimum_examples` in presets/methods/); here is what
holds for a task whichever method trains it. Sources:

- chat: OpenAI's fine-tuning guide saw "clear improvements" from 50 to 100 examples and asks to start with 50.
- classify: SetFit (Tunstall et al. 2022) reaches with 8 examples a class, by its own training, what
  RoBERTa-large reaches on 3,000; plain training of a head wants several times that. 100 in all is a rule of
  thumb.
- complete: no published least number; what counts is the amount of text rather than of rows.
- prefer, prompts: what the first method of the table that trains them says.
"""

from studio import presets
from studio.i18n import Message
from studio.plan import Task

RULE_OF_THUMB = Message("A rule of thumb, not a measurement.")
TASK_MIN_EXAMPLES: dict[Task, tuple[int, Message]] = {
    "chat": (
        50,
        Message(
            "50 to 100 good examples are enough to show a tone or format (OpenAI's fine-tuning guide); new"
            " tasks need several times that."
        ),
    ),
    "classify": (
        100,
        Message("A class needs a few dozen examples to show. {rule}"),
    ),
    "complete": (
        100,
        Message("A writing style needs a few hundred paragraphs to show, fewer if they are long. {rule}"),
    ),
}
UNKNOWN_MINIMUM = (0, Message("The minimum number of examples is not known."))


def get_min_examples(method: str, task: Task) -> tuple[int, Message]:
    """How many examples a method wants at least for a result worth having with a task, and why.

    A rule of thumb is called one.

    Args:
        method: The method's name; "" asks for methods in general.
        task: What the examples are for. A method without a number of its own takes the task's.

    Returns:
        The number, and a sentence on where it comes from.
    """
    count, why = _find_min_examples(method, task)
    return count, why.format(rule=RULE_OF_THUMB)


def _find_min_examples(method: str, task: Task) -> tuple[int, Message]:
    cards = presets.methods()
    candidates = [cards[method]] if method in cards else []
    if task not in TASK_MIN_EXAMPLES:
        candidates += cards.values()
    for card in candidates:
        if task in card.minimum_examples:
            entry = card.minimum_examples[task]
            return entry.count, entry.why
    return TASK_MIN_EXAMPLES.get(task, UNKNOWN_MINIMUM)
