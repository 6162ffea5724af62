"""Every word of the page for the meeting."""

from studio.i18n import Message

# What the template says by itself.
WORDS = {
    "title": Message("Ship or not: {name}"),
    "kicker": Message("Report on a fine-tuning"),
    "verdict": Message("Verdict"),
    "evidence": Message("The evidence"),
    "next": Message("What to do next"),
    "no_verdict": Message("There is no verdict: no answers to held-out rows were kept."),
    "reproduced": Message(
        "Recomputed for this page from the answers in the run's folder: the same figures, to the digit."
    ),
    "not_reproduced": Message(
        "Recomputed from the answers in the run's folder, the verdict is another one than in the report; "
        "this page shows that of the report."
    ),
    "curve": Message("How it learned"),
    "no_curve": Message("The run has measured no curve."),
    "step": Message("step"),
    "examples": Message("What changed, in examples"),
    "input": Message("Input"),
    "wanted": Message("Wanted"),
    "risks": Message("Risks"),
    "no_risks": Message("The figures of the run show none."),
    "break_even": Message("Does it pay? Own model against a hosted API"),
    "prices_unknown": Message(
        "Prices that the run has not noted stay empty: type in yours, with their date."
    ),
    "price_noted": Message("The price of the machine is the one noted with the run ({date})."),
    "api_price": Message("Hosted API: price of 1 million tokens"),
    "volume": Message("Volume: million tokens a month"),
    "machine_price": Message("Own machine: price of an hour"),
    "machine_hours": Message("Own machine: hours a month"),
    "training_cost": Message("Training: cost, once"),
    "as_of": Message("Prices as of"),
    "api_cost": Message("Hosted API, a month"),
    "own_cost": Message("Own machine, a month"),
    "equal_volume": Message("Both cost the same at (million tokens a month)"),
    "payback": Message("The training is paid back after (months)"),
    "never": Message("never"),
    "formula": Message(
        "API = price × volume. Own machine = price × hours. Same cost at own machine ÷ price. Paid back "
        "after training ÷ (API − own machine)."
    ),
    "decision": Message("Decision"),
    "go": Message("Go"),
    "no_go": Message("No go"),
    "condition": Message("On condition that"),
    "name_field": Message("Name", context="meeting"),
    "date_field": Message("Date", context="meeting"),
    "signature": Message("Signature"),
    "footer": Message(
        "Run {run}, ended on {date}. Written from the run's folder alone; anyone who has it gets this page "
        "by “studio report {run}”."
    ),
}
QUESTION = Message("Is {base}, tuned with {method} on “{data}”, better than what there was before?")
RESULT = Message("the tuned model")
EVIDENCE_HEADS = (
    Message("On the same rows"),
    Message("Score", context="meeting"),
    Message("95% interval"),
    Message("Lead of the result"),
    Message("95% interval"),
    Message("Rows better"),
    Message("Rows worse"),
)
SHARE, NUMBER = Message("{value:.1%}"), Message("{value:.4g}")
LEAD_IN_POINTS, LEAD = Message("{value:+.1f} points"), Message("{value:+.4g}")
SHARE_SPAN, NUMBER_SPAN = Message("{low:.1%} to {high:.1%}"), Message("{low:.4g} to {high:.4g}")
LEAD_SPAN_IN_POINTS, LEAD_SPAN = Message("{low:+.1f} to {high:+.1f}"), Message("{low:+.4g} to {high:+.4g}")
SPAN = Message("{low} to {high}", context="meeting")
TENTHS, CENTS = Message("{value:.1f}"), Message("{value:.2f}")

DATA_HEADING = Message("The data and its health")
DATA_FILE = Message("File “{name}”, SHA-256 {sha256}….")
OWN_TEST_SET = Message("Tested on a file of its own, “{name}”.")
COLUMNS = Message("Columns: {columns}.")
COUNT_HEADS = (Message("What", context="meeting"), Message("How many"))
ROWS_READ, ROWS_DAMAGED = Message("rows read"), Message("left out: damaged")
ROWS_INCOMPLETE = Message("left out: incomplete")
TRAINED_ON = Message("examples to train on")
CHECKED_ON = Message("to check on and choose the best state (validation)")
TESTED_ON = Message("for the verdict alone (test)")
REPLAYED = Message("general examples mixed in")
TEXTS_CUT, TEXTS_DROPPED = Message("texts cut as too long"), Message("texts dropped as too long")

METHOD_HEADING = Message("The method, and why")
TRAINED = Message("{base}, tuned with {method}: {trainable:,} of {total:,} parameters learned ({share:.2%}).")
TRAINING = Message("{epochs:g} epochs, {batch_size} examples a step, learning rate {rate}, on {device}.")
SETTINGS = Message("Settings: {settings}.")

COST_HEADING = Message("What it cost")
COST_HEADS = (Message("What", context="meeting"), Message("Estimated"), Message("Really"))
MINUTES, MEMORY = Message("time (minutes)"), Message("memory at its peak (GB)")
MONEY_IN = Message("money ({currency})")
NO_ESTIMATE = Message("The run started without an estimate.")
NO_PRICE = Message("No price was noted for the machine it ran on.")

CURVES = {
    "loss": Message("training loss"),
    "eval_loss": Message("validation loss"),
    "reward": Message("reward"),
}
CURVE_ENDS = Message("{name} {first:.3f} → {last:.3f}")
CURVE_SUMMARY = Message("From the first point to the last: {curves}.")
KEPT_STEP = Message("The state of step {step} was kept.")

MODELS = Message("Base model"), Message("Tuned model")
CLASSIFIERS = Message("Linear model"), Message("Tuned model")
PRACTICE = Message("Before"), Message("After")
CHANGES = Message("{better} answers got better, {worse} worse.")
BETTER, WORSE = Message("Better: {count}"), Message("Worse: {count}")
NO_CHANGES = Message("There are no answers from before and after to compare.")
PRACTICE_SAMPLES = Message("Answers to kept-aside questions before and after practice.")
SAMPLES = Message("Answers", context="meeting")
LABEL = Message("{label} ({probability:.0%} sure)")
LABELS = Message("{labels}")
OUTCOMES = {
    "value": Message("{value:.2f}"),
    "margin": Message("margin of the better answer {value:+.2f}"),
    "loss": Message("loss of the wanted answer {value:.3f}"),
}

SCORES_HEADING = Message("More scores")
SCORE_HEAD = Message("Measure", context="score")
CALIBRATION_HEADING = Message("Is it as sure as it is right?")

RETENTION_HEADING = Message("What it forgot")
RETENTION = Message("Shares of right answers before and after. An interval below 0 means forgotten.")
RETENTION_UNKNOWN = Message("General abilities were not measured in this run.")
RETENTION_HEADS = (
    Message("Ability"),
    Message("Items"),
    Message("Before"),
    Message("After"),
    Message("Change"),
    Message("Interval of the change"),
)

RISK_NO_VERDICT = Message("Nobody has compared the tuned model row by row with what there was before.")
RISK_NOTHING_HELD_OUT = Message("No held-out row has a known right answer.")
RISK_FEW_ROWS = Message("Measured on {n} rows only: too few for a percentage.")
RISK_VALIDATION = Message(
    "The rows of the verdict also chose which state was kept, which flatters the result."
)
RISK_SAME_SOURCE = Message(
    "The held-out rows come from the same file as the training rows: questions of another kind were not "
    "tested."
)
RISK_NOT_MEASURED = Message("What the model forgot was not measured.")
RISK_LEFT_OUT = Message("{count} of {rows} rows were left out as incomplete or damaged.")
RISK_STOPPED = Message("The run was stopped before its end.")
RISK_BROKE_OFF = Message("The run broke off with an error before its end.")
RISK_BASE_LICENCE_UNKNOWN = Message(
    "The studio does not know the licence of the base model: check that it allows your use."
)
RISK_BASE_LICENCE = Message("Licence of the base model: {licence}. Check that it allows your use.")
RISK_DATA_LICENCE_UNKNOWN = Message("Nobody has noted under which licence the data may be used.")
