"""What there is to know of a result, in sentences: what the certainty rests on, and what was left out."""

from studio import runs
from studio.apply.job import Job
from studio.i18n import Message

EMPTY = Message("{count:,} {count:row|rows} with an empty cell stayed empty.")
UNREADABLE = Message("{count:,} {count:line|lines} of the file could not be read and are left out.")
TEXTS_CUT = Message(
    "{count:,} {count:text was|texts were} longer than {length} tokens, and only the beginning was read."
)
ANSWERS_CUT = Message("{count:,} {count:answer|answers} did not end in time and {count:is|are} cut off.")
TOO_LONG = Message("{count:,} {count:question is|questions are} too long for this model and got no answer.")


def describe(job: Job) -> list[Message]:
    """The sentences on what is done so far, the certainty first."""
    results = job.results()
    is_classifier = job.run.plan.task == "classify"
    counts = [
        (EMPTY, sum(not result for result in results)),
        (UNREADABLE, job.sheet.n_unreadable),
        (TEXTS_CUT if is_classifier else ANSWERS_CUT, sum("cut" in result for result in results)),
        (TOO_LONG, sum("too_long" in result for result in results)),
    ]
    length = runs.report(job.run)["texts"]["max_length"]
    left_out = [message.format(count=count, length=length) for message, count in counts if count]
    return [*filter(None, [job.calibration]), *left_out]
