"""How much UPFT lets the model write: read by the sampling itself and by the estimator, which must do without torch."""

GENERATION_BATCH_SIZE = 16
# A whole answer is cut here; a cut one gets no end, so that no false one is learned (tokens).
MAX_COMPLETION_TOKENS = 256
# The look at how alike openings are: so many questions, so many answers each, compared over so many tokens.
SIMILARITY_QUESTIONS, SIMILARITY_SAMPLES, SIMILARITY_TOKENS = 8, 16, 4
