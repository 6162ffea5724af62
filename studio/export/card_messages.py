"""What the model card says."""

from studio.i18n import Message

INTRO = Message(
    "{base}, tuned with {method} ({trainable:,} of {total:,} parameters, {share:.2%}) on {train} examples."
)
TASK_DESCRIPTIONS = {
    "chat": Message("Task: answer in a conversation (chat)."),
    "complete": Message("Task: continue a text (completion)."),
    "prefer": Message("Task: answer in a conversation, trained on better and worse answers (preference)."),
    "prompts": Message("Task: answer in a conversation, trained on questions without answers (unlabelled)."),
}
PROBLEM_DESCRIPTIONS = {
    "single_label_classification": Message(
        "Task: sort a text into one of {count} classes (`{problem_type}`): {labels}."
    ),
    "multi_label_classification": Message(
        "Task: pick every label that applies to a text, out of {count} (`{problem_type}`): {labels}."
    ),
    "regression": Message("Task: score a text with a number (`{problem_type}`)."),
}
MORE_LABELS = Message("… (all in config.json)")
VERDICT_HEADING = Message("## Verdict")
RESULT_HEADING = Message("## Results on unseen examples")
SCORE_TABLE_HEADER = Message("| measure | base | tuned |")
CLASSIFIER_TABLE_HEADER = Message("| measure | linear model on the same embeddings | tuned |")
SHARE_WITH_INTERVAL = Message("{score:.4g} (95% interval {low:.2f}–{high:.2f})")
METRIC_LABELS = {
    "loss": Message("loss"),
    "calibrated_loss": Message("loss at the best temperature"),
    "perplexity": Message("perplexity"),
    "accuracy": Message("accuracy"),
    "f1": Message("f1"),
    "micro_f1": Message("micro F1 over all labels"),
    "macro_f1": Message("macro F1, the mean over labels"),
    "exact_match": Message("texts with all labels right"),
    "mae": Message("mean absolute error"),
    "mae_of_median": Message("mean absolute error when always guessing the median"),
    "spearman": Message("rank correlation (Spearman)"),
    "within_half_step": Message("right after rounding to the scale"),
    "within_one_step": Message("at most one step off"),
    "valid_json": Message("answers that are valid JSON"),
    "n_json_answers": Message("questions with a JSON answer"),
    "answer_accuracy": Message("questions answered correctly"),
    "n_questions": Message("questions asked"),
    "n_examples": Message("examples scored"),
}
ON_VALIDATION = Message(
    "Measured on {count} validation examples (seed {seed}), which were also used to pick the best state. "
    "With few examples, the figures are uncertain."
)
ON_TEST = Message(
    "Measured on {count} test examples ({whose}), which were used neither to train nor to pick the best "
    "state."
)
HELD_OUT_TEST_SET = Message("held out, seed {seed}")
SEPARATE_TEST_SET = Message("test set {name}")
QUANTIZATION_HEADING = Message("## Cost of quantization")
WEIGHTS_COLUMN, SIZE_COLUMN = Message("weights"), Message("size (MB)")
QUANTIZATION_LABELS = {
    "full_precision": Message("full precision"),
    "quantised_afterwards": Message("quantized after training"),
    "quantised_while_training": Message("quantized during training"),
}
CHECK_HEADING = Message("## Check of the exported file")
BASE_HEADING = Message("## Base model and licence")
BASE_MODEL_LICENCE = Message("- {hub}, licence {licence}")
LOCAL_WEIGHTS = Message("a local model, {name}")
UNKNOWN_LICENCE = Message("unknown (see the base model)")
TRAINED_ON = Message("- trained on {weights} (checksum `{checksum}`)")
TUNED_CHECKSUM = Message("- checksum of the tuned weights: `{checksum}`")
DATA_HEADING = Message("## Data")
DATA_FILE = Message("- {name}: {rows} rows, SHA-256 `{sha256}`")
DATA_LICENCE = Message("- licence of the data: {licence}")
LICENCE_NOT_GIVEN = Message("not given")
SPLIT_SIZES = Message(
    "- {train} training, {validation} validation, {test} test examples; left out: {incomplete} incomplete, "
    "{damaged} damaged"
)
REPLAY_EXAMPLES = Message(
    "- {count} of the training examples are the studio's own general questions (replay)"
)
TRUNCATED_EXAMPLES = Message("- {cut} examples cut at {max_length} tokens, {dropped} dropped")
TRAINING_HEADING = Message("## Training")
METHOD_AND_SETTINGS = Message("- method: {method}; settings: {settings}")
NO_SETTINGS = Message("none")
LEARNING_RATE = Message("- learning rate {rate}; {others}")
DURATION = Message("- trained for {seconds:.0f} s on {device}; best validation at step {step}")
STOPPED = Message("Training was stopped by hand. The best state up to that point was saved.")
STOPPED_EARLY = Message("Training ended early because the validation score no longer improved.")
BROKE_OFF = Message("Training failed before the end. The best state up to that point was saved.")
USAGE_HEADING = Message("## Use it")
EXTRA_FILE_COMMENT = Message("next to this card; adds this kind of adapter to PEFT")
CLASSIFIER_FILE_COMMENT = Message("next to this card; represents a text by the mean of its tokens")
TRAINED_ON_4_BIT_BASE = Message("trained on a 4-bit base (NF4), so it is loaded on the same base")
KEEP_AS_READ_COMMENT = Message(
    "otherwise bitsandbytes repacks the weights on CPUs with AVX512-BF16, and answers differ slightly"
)
LOCAL_BASE_COMMENT = Message("put the base model's folder {base} next to this card")
LIMITS_HEADING = Message("## Limits")
LIMITS_TEXT = Message(
    "The figures were measured on {weights}; other weights of the same name can differ. The model has only "
    "seen these examples and shares the base model's weaknesses. Try it on your own questions before anyone"
    " relies on it."
)
