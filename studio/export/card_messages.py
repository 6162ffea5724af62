"""What the model card says."""

from studio.i18n import Message

INTRO = Message(
    "{base}, tuned with {method} ({trainable:,} of {total:,} parameters, {share:.2%}) on {train} examples."
)
TASK_DESCRIPTIONS = {
    "chat": Message("Task: answer in a conversation (chat)."),
    "complete": Message("Task: continue a text (completion)."),
    "prefer": Message("Task: answer in a conversation, learned from better and worse answers (preference)."),
    "prompts": Message(
        "Task: answer in a conversation, learned from questions without answers (unlabelled)."
    ),
}
PROBLEM_DESCRIPTIONS = {
    "single_label_classification": Message(
        "Task: sort a text into one of {count} classes (`{problem_type}`): {labels}."
    ),
    "multi_label_classification": Message(
        "Task: name all of {count} labels that apply to a text (`{problem_type}`): {labels}."
    ),
    "regression": Message("Task: give a text a number (`{problem_type}`)."),
}
MORE_LABELS = Message("… (all in config.json)")
VERDICT_HEADING = Message("## Verdict")
RESULT_HEADING = Message("## Result on examples it has not seen")
SCORE_TABLE_HEADER = Message("| measure | base | tuned |")
CLASSIFIER_TABLE_HEADER = Message("| measure | linear model on the same embeddings | tuned |")
SHARE_WITH_INTERVAL = Message("{score:.4g} (95% interval {low:.2f}–{high:.2f})")
METRIC_LABELS = {
    "loss": Message("loss"),
    "perplexity": Message("perplexity"),
    "accuracy": Message("accuracy"),
    "f1": Message("f1"),
    "micro_f1": Message("micro F1 over all labels"),
    "macro_f1": Message("macro F1, the mean over labels"),
    "exact_match": Message("share of texts with all labels right"),
    "mae": Message("mean absolute error"),
    "mae_of_median": Message("mean absolute error of always guessing the median"),
    "spearman": Message("rank correlation (Spearman)"),
    "within_half_step": Message("share right when rounded to the scale"),
    "within_one_step": Message("share at most one step off"),
    "valid_json": Message("share of answers that are valid JSON"),
    "n_json_answers": Message("JSON answers asked for"),
    "answer_accuracy": Message("share of questions answered rightly"),
    "n_questions": Message("questions asked"),
    "n_examples": Message("examples scored"),
}
ON_VALIDATION = Message(
    "Measured on {count} examples kept aside (seed {seed}), which also chose the best state of the "
    "training. Few examples make an uncertain figure."
)
ON_TEST = Message(
    "Measured on {count} examples, {whose}, that neither the training nor the choice of its best state has "
    "seen."
)
HELD_OUT_TEST_SET = Message("kept aside (seed {seed})")
SEPARATE_TEST_SET = Message("the test set {name}")
QUANTIZATION_HEADING = Message("## What rounding costs")
WEIGHTS_COLUMN, SIZE_COLUMN = Message("weights"), Message("size (MB)")
QUANTIZATION_LABELS = {
    "full_precision": Message("full precision"),
    "quantised_afterwards": Message("quantised afterwards"),
    "quantised_while_training": Message("quantised while training"),
}
BASE_HEADING = Message("## Base model")
BASE_MODEL_LICENCE = Message("- {hub}, licence {licence}")
LOCAL_WEIGHTS = Message("a model of one's own, {name}")
UNKNOWN_LICENCE = Message("unknown: see the base model")
TRAINED_ON = Message("- trained on {weights} (checksum `{checksum}`)")
TUNED_CHECKSUM = Message("- checksum of the tuned weights: `{checksum}`")
DATA_HEADING = Message("## Data")
DATA_FILE = Message("- {name}: {rows} rows, SHA-256 `{sha256}`")
DATA_LICENCE = Message("- licence of the data: {licence}")
LICENCE_NOT_GIVEN = Message("not given")
SPLIT_SIZES = Message(
    "- {train} to train on, {validation} to check on, {test} for the verdict alone; left out: {incomplete} "
    "incomplete, {damaged} damaged"
)
REPLAY_EXAMPLES = Message(
    "- {count} of the training examples are general questions of the studio's own (replay)"
)
TRUNCATED_EXAMPLES = Message("- {cut} examples were cut at {max_length} tokens, {dropped} dropped")
TRAINING_HEADING = Message("## Training")
METHOD_AND_SETTINGS = Message("- method: {method}; settings: {settings}")
NO_SETTINGS = Message("none")
LEARNING_RATE = Message("- learning rate {rate}; {others}")
DURATION = Message("- took {seconds:.0f} s on {device}; best validation at step {step}")
STOPPED = Message("- stopped by hand before its end; the best state up to then was kept")
STOPPED_EARLY = Message("- ended early, when the validation no longer improved")
BROKE_OFF = Message("- broke off with an error before its end; the best state up to then was kept")
USAGE_HEADING = Message("## Use it")
EXTRA_FILE_COMMENT = Message("lies beside this card and teaches PEFT this kind of adapter")
CLASSIFIER_FILE_COMMENT = Message("lies beside this card and reads a text by the mean of its tokens")
TRAINED_ON_4_BIT_BASE = Message("it learned on a base in 4 bits (NF4), so it is opened on the same base")
KEEP_AS_READ_COMMENT = Message(
    "or bitsandbytes repacks the weights on processors with AVX512-BF16, and answers differ a little"
)
LOCAL_BASE_COMMENT = Message("put the folder {base} of the base model beside this card")
LIMITS_HEADING = Message("## Limits")
LIMITS_TEXT = Message(
    "The figures above were measured on {weights}; on other weights of the same name they can differ. It "
    "has learned from these examples alone and "
    "shares the base model's weaknesses. Try it on your own questions before anyone relies on it."
)
