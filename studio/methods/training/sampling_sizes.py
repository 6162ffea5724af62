"""How much UPFT lets the model write: for the sampling and for the estimator, which must not load torch."""

GENERATION_BATCH_SIZE = 16
# A full answer is cut off here (tokens). One that was cut gets no end token, so that no false end is learned.
MAX_COMPLETION_TOKENS = 256
# How prefix self-consistency is measured: so many questions, so many answers to each, compared over their
# first tokens.
SIMILARITY_QUESTIONS = 8
SIMILARITY_SAMPLES = 16
SIMILARITY_TOKENS = 4
