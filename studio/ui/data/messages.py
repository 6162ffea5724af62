"""Every word of the Data tab, in both languages."""

from studio.data import readers
from studio.i18n import Message, label, register_label
from studio.plan import Task

TASKS: dict[Task, Message] = {
    "chat": Message("Answer the way my examples do (text generation)"),
    "classify": Message("Sort texts into my classes (classification)"),
    "complete": Message("Continue text in the style of my examples (completion)"),
    "prefer": Message("Prefer the better of two answers (preference pairs)"),
    "prompts": Message("Get more consistent on questions without answers (unlabelled prompts)"),
}
DATA_HEADING = label(
    "### Bring your examples\nA spreadsheet, an export, a colleague’s file: one example a row. You see at "
    "once what was understood, and what is wrong with it."
)
UPLOAD_EXAMPLES = register_label(
    Message("Your examples ({formats} or a zip of these, up to 100 MB)").format(
        formats=readers.format_labels(archives=False)
    )
)
OTHER_SOURCES = label("Other ways: paste, fetch from the hub, or start from a template")
PASTE = label("Paste rows from a spreadsheet, or any text")
PASTE_HELP = label("The first row names the columns.")
USE_PASTED = label("Use what I pasted")
HUB_DATASET = label("A data set on the Hugging Face hub (owner/name)")
HUB_DATASET_HELP = label("Only tables are fetched, never code. Nothing of yours is sent.")
FETCH_FROM_HUB = label("Fetch it")
TEMPLATE = label("A table to fill in, with two example rows")
TEMPLATE_FOR = label("Template for")
TEMPLATE_CSV, TEMPLATE_EXCEL = label("Template as CSV"), label("Template as Excel")
SAMPLE_HINT = label("No file at hand? Start with a sample written for this studio.")
CANCEL = label("Cancel")
IMPORT_CANCELLED = Message("Cancelled. Nothing was kept.")
SHEET = label("Sheet of the workbook")
TASK = label("What should the model learn?")
MORE_COLUMNS = label("More columns (may stay empty)")
NEXT_METHOD = label("Next: choose a method")
COLUMN_LABEL = label("Column")
NO_COLUMN = Message("none")
NO_EXAMPLES = Message("No examples yet. Drop a file above, paste some, or use a sample.")
STAGE_PROGRESS = Message("{what}… {share:.0%}")
IMPORT_PROGRESS = Message("{what}… {share:.0%} of {of:,.1f} MB")
SAVING_COPY = Message("Read to the end. Keeping a copy…")
TIME_LEFT = Message("about {time} left")
OPENING_FILE = Message("Opening “{name}”…")
ROWS_READ = Message("“{name}”: {rows:,} {rows:row|rows}, {columns} {columns:column|columns}.")
DELIMITER_USED = Message("Its fields are divided by “{sign}”.")
CHAT_SUMMARY = Message("The model will read “{first}” and learn to write “{second}”.")
CLASSES_SUMMARY = Message(
    "The model will read “{first}” and learn to choose one of {count} classes from “{second}”: {classes}."
)
LABELS_SUMMARY = Message(
    "The model will read “{first}” and learn which of the {count} labels in “{second}” apply: {classes}. "
    "Texts with several labels: {several}; with none: {none}."
)
RATINGS_SUMMARY = Message(
    "The model will read “{first}” and learn to give the number in “{second}”: from {low:g} to {high:g}, "
    "{median:g} in the middle (median)."
)
PROBLEM_TYPE = label("What each text gets (problem type)")
PROBLEM_TYPES: dict[str, Message] = {
    "label": Message("One class (single label)"),
    "labels": Message("Several labels at once (multi-label)"),
    "rating": Message("A number, such as stars (regression)"),
}
TASK_SUMMARIES: dict[str, Message] = {
    "messages": Message("The model will learn every answer of the conversations in “{first}”."),
    "complete": Message(
        "The model will learn to write texts like those in “{first}”, word by word to their end."
    ),
    "prefer": Message(
        "To each question in “{first}” the model will learn to prefer “{second}” over “{third}”."
    ),
    "whole": Message(
        "The conversations in “{first}” and “{second}” begin alike; the model will learn to prefer how "
        "“{first}” ends."
    ),
    "verdict": Message(
        "“{third}” says which answers in “{second}” are good; good and bad ones to the same question in "
        "“{first}” were joined into pairs."
    ),
    "prompts": Message(
        "The model will answer the questions in “{first}” itself and learn from how its own answers begin."
    ),
}
ANSWER_COLUMN = Message("“{column}” is never learned; the answers are checked against it.")
CONTEXT_COLUMN = Message("“{column}” is put after the question.")
SYSTEM_COLUMN = Message("“{column}” is what the model is told first.")
GROUP_COLUMN = Message("Rows with the same “{column}” stay on one side when examples are kept aside.")
ROLES_CERTAIN = Message("Understood from the column names and what stands below them.")
ROLES_UNCERTAIN = Message(
    "Is that right? The column names and what stands below them do not make it certain. If not, change the "
    "lists below."
)
ROLES_CHOSEN = Message("As you chose.")
DAMAGED_ROW_COUNT = Message("{count:,} damaged {count:row|rows} left out.")
DAMAGED_PART_COUNT = Message("{count:,} {count:part|parts} of the file left out.")
DAMAGED_ROW = Message("Row {line:,} {why}.")
DAMAGED_PART = Message("{why}.")
DAMAGED_DETAILS = Message("Which ones, and why")
DAMAGED_MORE = Message("… and {count:,} more")
INCOMPLETE_ROWS = Message("{count:,} {count:row|rows} with an empty or unreadable cell left out.")
SPLIT_SUMMARY = Message(
    "Of {count:,} examples, {train:,} {train:is|are} learned, {check:,} {check:is|are} checked on while "
    "training (validation), {test}; what is nearly the same stays together (seed {seed})."
)
SPLIT_TEST = Message("{test:,} {test:is|are} kept for the final test after training (test)")
SPLIT_NO_TEST = Message(
    "none are kept for a final test, so the results after training are measured on the {check:,} as well"
)
SPLIT_CUSTOM_TEST = Message("the final test after training uses the {test:,} of “{name}” (test)")
CUSTOM_TEST_TITLE = label("Bring a test set of your own")
CUSTOM_TEST_HELP = label(
    "The final test after training is made with it alone; the model never learns from it. It needs the same "
    "columns as your examples, and is remembered with them."
)
TEST_SET_LABEL = label("The final test uses")
TEST_FROM_EXAMPLES = Message("a part of my examples")
UPLOAD_TEST_SET = label("Test set (same kinds of file)")

# Your data sets.
DATASETS = label("Your data sets")
DATASETS_OPEN = label("Open another one")
NO_DATASETS = Message("None yet: what you bring is kept here until you delete it.")
DATASET_NAME, DATASET_LICENCE = label("Name"), label("Licence or source, for the model card")
DATASET_SAVE, DATASET_DELETE = label("Save name and licence"), label("Delete this data set…")
DATASET_DELETE_CONFIRM, DATASET_DELETE_CANCEL = label("Yes, delete permanently"), label("Keep it")
DATASET_DELETED = Message("“{name}” was deleted. Runs that learned from it keep their own copy.")
DATASET_IN_USE = Message("A run that has not read “{name}” yet still needs it.")
DATASET_IN_USE_ADVICE = Message("Wait until that run has started, or stop it first.")
DATASET_SAVED = Message("Saved as “{name}”.")
DATASET_LINE = Message("{name} · {rows:,} {rows:row|rows} · {when}")
DATASET_ORIGIN = Message("From {origin}, {when}; {changes} {changes:change|changes} since; SHA-256 {sha}…")
ORIGINS = {
    "upload": Message("a file"),
    "paste": Message("pasted text"),
    "votes": Message("a blind vote"),
}

# Health.
HEALTH_CHECKING = Message("Checking…")
HEALTH_STOP, HEALTH_CHECK_AGAIN = Message("Stop"), Message("Check again")
HEALTH_STOPPED = Message(
    "Stopped before everything was checked: rows that are nearly the same were not looked for."
)
APPLYING_FIX, NOTHING_TO_FIX = Message("Changing the rows"), Message("There is nothing left to change.")
HEALTH_SCORE = Message("Health {score} of 100")
HEALTH_GOOD = Message("No problems found.")
HEALTH_COUNT = Message("{count} {count:finding|findings}")
GRADES = {
    "stop": Message("needs fixing"),
    "warn": Message("worth fixing"),
    "hint": Message("good to know"),
    "open": Message("not checked"),
}
UNDO = Message("Undo: {what}")
FIXED = Message(
    "Done: {what} ({rows:,} {rows:row|rows} removed, {cells:,} {cells:cell|cells} changed). Your original "
    "file is untouched."
)
UNDONE = Message("Undone: {what}.")
NOTHING_TO_UNDO = Message("There is nothing to undo.")
SAMPLE_COPIED = Message("The sample was copied for your changes.")
EDITED_ROWS = Message("edited rows")
ROW_NUMBERS = Message("rows {rows}")

# Looking.
PREVIEW = label("What the model will see")
PREVIEW_WITH_TEMPLATE = Message(
    "Three examples under the model’s own chat template. What is learned is marked; the rest is only read."
)
PREVIEW_PLAIN = Message(
    "Three examples. What is learned is marked. The marks of the model’s own template are added once the "
    "model is on this machine."
)
LEARNED = Message("learned")
INSTEAD_OF = Message("rather than:")
BROWSE_ROWS = label("Browse, search and edit rows")
BROWSE_ROWS_HELP = label(
    "Change a cell in place. A change can be undone and never touches the original file."
)
SEARCH = label("Find rows that contain")
PAGE = label("Page")
PAGE_RANGE = Message("Rows {first:,}–{last:,} of {count:,}")
NO_MATCHING_ROWS = Message("No row contains “{text}”.")
ROWS_TO_DELETE = label("Row numbers to delete (such as 3, 7-9)")
DELETE_BUTTON = label("Delete these rows")
INVALID_ROW_NUMBERS = Message("“{text}” does not name rows of this page’s data (1 to {count:,}).")
INVALID_ROW_NUMBERS_ADVICE = Message("Write numbers such as 3, 7-9.")
ROWS_CHANGED = Message(
    "These rows are no longer as you saw them: another sheet was chosen, or they were changed in another "
    "window. Nothing was changed now."
)
ROWS_CHANGED_ADVICE = Message("They are shown anew; make your change again.")
LENGTHS_AND_CLASSES = label("Lengths and classes")
LENGTHS_TITLE = Message("Examples by length")
LENGTHS_COUNTED = Message("about {total:,} tokens in all,<br>counted by the model’s own tokenizer")
LENGTHS_ESTIMATED = Message("about {total:,} tokens in all,<br>guessed from the letters")
LENGTHS_SAMPLED = Message("<br>scaled up from a sample")
CLASSES_TITLE = Message("Examples in each class")
LARGEST_CLASSES = Message("the {shown} largest of {count:,} classes")
EXAMPLES_AXIS = Message("examples")
TOKENS_AXIS = Message("tokens")
LENGTH_LIMIT = Message("cut here")
