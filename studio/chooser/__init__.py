"""The guided chooser: six answers become a method with reasons and a ready plan, or advice not to train."""

from studio.chooser.answers import QUESTIONS, Answers, Question, answer_problems, validate_answers
from studio.chooser.autofill import Estimator, infer_answers, prefill, table_estimator
from studio.chooser.decision import Choice, choose, decide

__all__ = [
    "QUESTIONS",
    "Answers",
    "Choice",
    "Estimator",
    "Question",
    "answer_problems",
    "choose",
    "decide",
    "infer_answers",
    "prefill",
    "table_estimator",
    "validate_answers",
]
