"""How much UPFT lets the model write: for the sampling and for the estimator, which must not load torch."""

GENERATION_BATCH_SIZE = 16
# A full answer is cut off here (tokens). One that was cut gets no end token, so that no false end is learned.
MAX_COMPLETION_TOKENS = 256
# How prefix self-consistency is measured: so many questions, so many answers to each, compared over their
# first tokens.
SIMILARITY_QUESTIONS = 8
SIMILARITY_SAMPLES = 16
SIMILARITY_TOKENS = 4
# Ji et al. 2025: 10 % of the questions are learned with the whole answer, and 30 % of LIMO's 819.
FULL_SHARE, FULL_SHARE_OF_FEW, FEW_QUESTIONS = 0.1, 0.3, 1000


def full_answer_share(share: float, n_questions: int) -> float:
    """The share of `n_questions` that is learned with the whole answer (0–1); below 0 it is automatic."""
    if share >= 0:
        return share
    return FULL_SHARE_OF_FEW if n_questions < FEW_QUESTIONS else FULL_SHARE
