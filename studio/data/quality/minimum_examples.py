"""How many examples a method wants at least for a result worth having, and why."""

from studio.i18n import Message
from studio.plan import Task

RULE_OF_THUMB = Message("That is a rule of thumb, no measurement.")
# (method or "" for every other one, task) -> how many, and why. Sources:
# - full, chat: LIMA (Zhou et al. 2023, NeurIPS): 1,000 curated questions and answers made an assistant of a 65B model.
# - every other method, chat: OpenAI's fine-tuning guide saw "clear improvements" from 50 to 100 examples and asks to start with 50.
# - prefix, chat: Li and Liang 2021 (ACL), low-data setting: subsets of 50 to 500 examples, ahead of full fine-tuning.
# - full, classify: Zhang et al. 2021 (ICLR), "Revisiting few-sample BERT fine-tuning": below about 1,000 examples runs differ widely by seed.
# - every other method, classify: SetFit (Tunstall et al. 2022) reaches with 8 examples a class, by its own training, what RoBERTa-large
#   reaches on 3,000; plain training of a head wants several times that. 100 in all is a rule of thumb.
# - rlhf, prefer: InstructGPT's reward model (Ouyang et al. 2022) had 33,000 prompts; 300 pairs for one trait is a rule of thumb.
# - rlhf, chat: its first stage is ordinary fine-tuning on example answers, and its later stages practise on the same questions.
# - upft, prompts: Ji et al. 2025 (arXiv 2503.02875) trained on 819 questions (LIMO) to 600,000; 12,000 (PRM-12K) in the main comparison.
# - complete: no published least number; what counts is the amount of text rather than of rows.
_MIN_EXAMPLES: dict[tuple[str, Task], tuple[int, Message]] = {
    ("full", "chat"): (
        1000,
        Message(
            "All of the model changes, and little data lets it forget what it knew; 1,000 chosen examples made a good assistant (LIMA, 2023)."
        ),
    ),
    ("prefix", "chat"): (
        50,
        Message(
            "The authors of prefix tuning came ahead of full fine-tuning with 50 to 500 examples (Li and Liang, 2021)."
        ),
    ),
    ("rlhf", "chat"): (
        300,
        Message(
            "The questions are practised on again and again, so they should cover what people ask. {rule}"
        ).format(rule=RULE_OF_THUMB),
    ),
    ("", "chat"): (
        50,
        Message(
            "A tone or a form shows from 50 to 100 good examples on (OpenAI's guide to fine-tuning); new tasks want several times that."
        ),
    ),
    ("full", "classify"): (
        1000,
        Message(
            "With fewer, training all of the model gives very different results from one run to the next (Zhang et al., 2021)."
        ),
    ),
    ("", "classify"): (
        100,
        Message("A class shows from a few dozen examples on. {rule}").format(rule=RULE_OF_THUMB),
    ),
    ("", "complete"): (
        100,
        Message(
            "The manner of writing shows from some hundred paragraphs on; of long documents fewer will do. {rule}"
        ).format(rule=RULE_OF_THUMB),
    ),
    ("", "prefer"): (
        300,
        Message(
            "One trait, such as a tone, can be told from a few hundred pairs; published reward models saw ten thousands. {rule}"
        ).format(rule=RULE_OF_THUMB),
    ),
    ("", "prompts"): (
        800,
        Message(
            "The authors of UPFT trained on 819 questions at the least, and on 12,000 in their main comparison (Ji et al., 2025)."
        ),
    ),
}


def get_min_examples(method: str, task: Task) -> tuple[int, Message]:
    """How many examples `method` wants at least for a result worth having with `task`, and why; "" asks for methods in general.

    A method without a number of its own takes the task's. The sources stand beside the numbers, and a rule of thumb is called one.
    """
    return _MIN_EXAMPLES.get((method, task)) or _MIN_EXAMPLES["", task]
