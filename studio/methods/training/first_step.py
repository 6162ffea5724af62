"""UPFT's request for the first step of an answer (task template), in the language of the questions.

It stands apart from the sampling because the estimator counts its tokens, and must not load torch.
"""

from collections.abc import Sequence

from studio.data import examples
from studio.data.examples import Example
from studio.data.quality import language_id
from studio.plan import Task

# The tasks whose questions it can be put behind.
TASKS: tuple[Task, ...] = ("chat", "prompts")
# The task template of the paper (Ji et al. 2025), and the same in Chinese.
ENGLISH_REQUEST = (
    " Please provide the initial step towards resolving the question. This step may serve as a foundation "
    "but might not encompass the entire solution."
)
CHINESE_REQUEST = "请给出解决这个问题的第一步。这一步可以作为基础，但不必涵盖完整的解答。"
# So many questions tell the language of all.
MAX_LANGUAGE_QUESTIONS = 200


def choose_request(rows: Sequence[Example]) -> str:
    """The request in the language of most questions: Chinese or else English, as in the paper."""
    sample = rows[:: len(rows) // MAX_LANGUAGE_QUESTIONS + 1]
    questions = [examples.to_prompt_messages(example)[-1]["content"] for example in sample]
    is_chinese = language_id.detect_mix(questions).main == "zh"
    return CHINESE_REQUEST if is_chinese else ENGLISH_REQUEST
