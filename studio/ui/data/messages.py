"""Every word of the Data tab, in both languages."""

from studio.data import readers
from studio.i18n import Message, label, register_label
from studio.plan import Task

TASKS: dict[Task, Message] = {
    "chat": Message("Answer like my examples (text generation)"),
    "classify": Message("Sort texts into my classes (classification)"),
    "complete": Message("Continue text in the style of my examples (completion)"),
    "prefer": Message("Prefer the better of two answers (preference pairs)"),
    "prompts": Message("Get more consistent on questions without answers (unlabelled prompts)"),
}
SHORT_TASKS: dict[Task, Message] = {
    "chat": Message("Text generation"),
    "classify": Message("Classification"),
    "complete": Message("Completion"),
    "prefer": Message("Preference pairs"),
    "prompts": Message("Unlabelled prompts"),
}
DATA_HEADING = label(
    "## Your data\nOne example per row. The studio detects the columns and checks the quality."
)
UPLOAD_OR_SAMPLE = label("Upload data or try a sample")
OPEN_DATA = Message("{name} · {rows:,} {rows:row|rows} · Change")
UPLOAD_EXAMPLES = register_label(
    Message("Your data ({formats} or a zip of these, up to 100 MB)").format(
        formats=readers.format_labels(archives=False)
    )
)
OTHER_SOURCES = label("Other ways: paste, Hugging Face hub, template")
PASTE = label("Paste rows from a spreadsheet, or any text")
PASTE_HELP = label("The first row names the columns.")
USE_PASTED = label("Use this text")
HUB_DATASET = label("Data set on the Hugging Face hub (owner/name)")
HUB_DATASET_HELP = label("Only tables are downloaded, never code. Nothing of yours is sent.")
FETCH_FROM_HUB = label("Download data set")
TEMPLATE = label("Template with two example rows")
TEMPLATE_FOR = label("Template for")
TEMPLATE_CSV, TEMPLATE_EXCEL = label("Template as CSV"), label("Template as Excel")
CANCEL = label("Cancel")
IMPORT_CANCELLED = Message("Cancelled. Nothing was saved.")
SHEET = label("Sheet")
TASK = label("What should the model learn?")
MORE_COLUMNS = label("Optional columns")
NEXT_METHOD = label("Next: choose a method")
COLUMN_LABEL = label("Column")
NO_COLUMN = Message("none")
NO_EXAMPLES = Message("No data yet. Upload data or try a sample.")

# Samples.
SAMPLE_HINT = Message("No file at hand? Try a sample written for this studio.")
SAMPLE_SIZE = Message("{task} · {rows:,} {rows:row|rows}")
SAMPLE_COST = Message("about {time} · {memory}")
SAMPLE_COST_NOTE = Message("Estimated training time and memory on this machine, with the default settings.")
BEST_FIRST_TRY = Message("Best first try")
SAMPLE_LANGUAGE = Message(
    "The embedded model hardly knows {languages}: a demo of the steps, expect poor answers."
)

# Import.
STAGE_PROGRESS = Message("{what}… {share:.0%}")
IMPORT_PROGRESS = Message("{what}… {share:.0%} of {of:,.1f} MB")
SAVING_COPY = Message("Saving a copy…")
TIME_LEFT = Message("about {time} left")
OPENING_FILE = Message("Opening “{name}”…")
ROWS_READ = Message("“{name}”: {rows:,} {rows:row|rows}, {columns} {columns:column|columns}.")
SHEET_TAKEN = Message("{count} sheets; “{sheet}” was taken.")
DELIMITER_USED = Message("Fields are separated by “{sign}”.")
CHAT_SUMMARY = Message("The model reads “{first}” and learns to write “{second}”.")
CLASSES_SUMMARY = Message(
    "The model reads “{first}” and learns to choose one of {count} classes from “{second}”: {classes}."
)
LABELS_SUMMARY = Message(
    "The model reads “{first}” and learns which of the {count} labels in “{second}” apply: {classes}. "
    "Texts with several labels: {several}; with none: {none}."
)
RATINGS_SUMMARY = Message(
    "The model reads “{first}” and learns to predict the number in “{second}”: {low:g} to {high:g}, median "
    "{median:g}."
)
PROBLEM_TYPE = label("Problem type: what each text gets")
PROBLEM_TYPES: dict[str, Message] = {
    "label": Message("One class (single label)"),
    "labels": Message("Several labels (multi-label)"),
    "rating": Message("A number, such as stars (regression)"),
}
TASK_SUMMARIES: dict[str, Message] = {
    "messages": Message("The model learns every answer of the conversations in “{first}”."),
    "complete": Message("The model learns to write texts like those in “{first}”."),
    "prefer": Message("For each question in “{first}” the model learns to prefer “{second}” over “{third}”."),
    "whole": Message(
        "The conversations in “{first}” and “{second}” start the same; the model learns to prefer how "
        "“{first}” ends."
    ),
    "verdict": Message(
        "“{third}” says which answers in “{second}” are good; good and bad answers to the same question in "
        "“{first}” were paired."
    ),
    "prompts": Message(
        "The model answers the questions in “{first}” itself and learns from how its own answers begin."
    ),
}
ANSWER_COLUMN = Message("“{column}” is not learned, only used to check answers.")
CONTEXT_COLUMN = Message("“{column}” is added after the question.")
SYSTEM_COLUMN = Message("“{column}” is the system prompt.")
GROUP_COLUMN = Message("Rows with the same “{column}” stay in the same part of the split.")
ROLES_CERTAIN = Message("Detected from the column names and values.")
ROLES_UNCERTAIN = Message("Please check: we're not sure about these columns.")
ROLES_DOUBTED = Message("Please check: something in the data may not be what you want learned, see below.")
ROLES_CHOSEN = Message("As you chose.")
DAMAGED_ROW_COUNT = Message("{count:,} damaged {count:row|rows} left out.")
DAMAGED_PART_COUNT = Message("{count:,} {count:part|parts} of the file left out.")
DAMAGED_ROW = Message("Row {line:,} {why}.")
DAMAGED_PART = Message("{why}.")
DAMAGED_DETAILS = Message("Which ones, and why")
DAMAGED_MORE = Message("… and {count:,} more")
INCOMPLETE_ROWS = Message("{count:,} {count:row is|rows are} incomplete and left out.")
SPLIT_SUMMARY = Message(
    "{train:,} of {count:,} examples train the model, {check:,} validate it, {test} (seed {seed}). "
    "Near-duplicates stay together."
)
SPLIT_TEST = Message("{test:,} test the result")
SPLIT_NO_TEST = Message("and the same {check:,} test the result, as none are kept for a separate test")
SPLIT_CUSTOM_TEST = Message("and the {test:,} of “{name}” test the result")
CUSTOM_TEST_TITLE = label("Use your own test set")
CUSTOM_TEST_HELP = label(
    "The final test uses only this set; the model never trains on it. It needs the same columns as your "
    "data, and is remembered with it."
)
TEST_SET_LABEL = label("Test set")
TEST_FROM_EXAMPLES = Message("part of my data")
UPLOAD_TEST_SET = label("Test set file (same formats)")

# Your data sets.
DATASETS = label("Your data sets")
DATASETS_OPEN = label("Open another data set")
NO_DATASETS = Message("None yet. What you upload is kept here until you delete it.")
DATASET_NAME, DATASET_LICENCE = label("Name"), label("Data licence or source (optional)")
DATASET_SAVE, DATASET_DELETE = label("Save"), label("Delete this data set…")
DATASET_DELETE_CONFIRM, DATASET_DELETE_CANCEL = label("Yes, delete permanently"), label("Keep it")
DATASET_DELETED = Message("“{name}” was deleted. Runs that used it keep their own copy.")
DATASET_IN_USE = Message("A run is waiting to read “{name}”.")
DATASET_IN_USE_ADVICE = Message("Wait until that run has started, or stop it first.")
DATASET_SAVED = Message("Saved as “{name}”.")
DATASET_LINE = Message("{name} · {rows:,} {rows:row|rows} · {when}")
DATASET_ORIGIN = Message("Source: {origin}, {when}; {changes} {changes:change|changes} since; SHA-256 {sha}…")
ORIGINS = {
    "upload": Message("a file"),
    "paste": Message("pasted text"),
    "votes": Message("a blind vote"),
}

# Health.
HEALTH_CHECKING = Message("Checking…")
HEALTH_STOP, HEALTH_CHECK_AGAIN = Message("Stop"), Message("Check again")
HEALTH_STOPPED = Message("Check stopped. Near-duplicates were not looked for.")
APPLYING_FIX, NOTHING_TO_FIX = Message("Changing rows"), Message("Nothing left to change.")
HEALTH_SCORE = Message("Data health: {score} of 100")
HEALTH_GOOD = Message("No problems found.")
HEALTH_COUNT = Message("{count} {count:finding|findings}, the costliest first")
HEALTH_POINTS = Message("−{points}")
FIX_QUEUED = Message("Next in line")
GRADES = {
    "stop": Message("needs fixing"),
    "warn": Message("worth fixing"),
    "hint": Message("good to know"),
    "open": Message("not checked"),
}
UNDO = Message("Undo: {what}")
FIXED = Message(
    "Done: {what} ({rows:,} {rows:row|rows} removed, {cells:,} {cells:cell|cells} changed). Your file is "
    "untouched."
)
UNDONE = Message("Undone: {what}.")
NOTHING_TO_UNDO = Message("Nothing to undo.")
SAMPLE_COPIED = Message("Your changes are made to a copy of the sample.")
EDITED_ROWS, ADDED_EXAMPLE = Message("edited rows"), Message("added example")
DAMAGED_CHANGE = Message("a change whose file was damaged")
ROW_NUMBERS = Message("rows {rows}")

# By meaning.
MEANING_HEADING = Message("By meaning")
MEANING_CHECKING = Message("Reading what the texts mean…")
MEANING_STOPPED = Message("Stopped. Wrong labels and test examples in other words were not looked for.")
ADDED_TEXTS, LABELLED_TEXTS = Message("added texts"), Message("labelled texts")
REVIEWED_LABELS = Message("reviewed labels")

# Labelling.
LABEL_TEXTS = label("Label texts")
LABEL_TEXTS_HELP = label(
    "Label the texts that teach most first: those the model is least sure of, no two nearly the same. It "
    "proposes a label for each, which you accept or correct. all-MiniLM-L6-v2 reads the texts on this "
    "machine; it is downloaded once (84 MB) and knows English. In other languages the choice may be no "
    "better than chance."
)
LABEL_NEXT = label("Choose 20 texts to label next")
ADD_UNLABELLED = label("Add texts without labels from another file")
CHOOSING_TEXTS = Message("Choosing texts…")
ALL_LABELLED = Message(
    "Every text has a label. To label more, add texts without labels below, or rows with an empty label."
)
POOL = Message("{labelled:,} texts have a label, {unlabelled:,} wait for one.")
POOL_CAPPED = Message(
    "{labelled:,} texts have a label, {unlabelled:,} wait for one; {candidates:,} of these were looked at."
)
NEXT_TITLE = Message("{count} {count:text|texts} to label next")
NEXT_HINT = Message("The proposed label is chosen already. Check each, correct it or skip the text.")
WRONG_TITLE = Message("{count} of {total} labels that are likely wrong")
WRONG_HINT = Message(
    "The other label is chosen already. Check each: change it, keep the label or drop the row."
)
SURE = Message("{share:.0%} sure")
SKIP_TEXT, DECIDE_LATER = Message("Skip this text"), Message("Decide later")
GIVEN_LABEL = Message("Now “{label}”, rather:")
KEEP_LABEL, DROP_ROW = Message("Keep the label"), Message("Drop the row")
SAVE_LABELS, SAVE_DECISIONS = Message("Save labels and choose the next"), Message("Save decisions")
NEW_LABEL, ADD_LABEL = Message("A label that is not listed"), Message("Add to the lists")
NOTHING_CHOSEN = Message("Nothing was chosen, so nothing changed.")
CHOOSE_AGAIN = Message("Choose texts again.")
NO_NEW_TEXTS = Message("This file holds no text that is not here already.")
TEXTS_ADDED = Message("{count:,} {count:text|texts} added that {count:waits|wait} for a label.")

# Looking.
PREVIEW = label("Three examples")
PREVIEW_HELP = Message("What the model learns is highlighted; it only reads the rest.")
RAW_TEXT = Message("Raw text with the chat template")
USER, ASSISTANT, SYSTEM = Message("User"), Message("Assistant"), Message("System")
TEXT, TARGET = Message("Text"), Message("Answer", context="preview")
BETTER, WORSE = Message("Better answer"), Message("Worse answer")
LEARNED = Message("learned")
BROWSE_ROWS = label("Browse, search and edit rows")
BROWSE_ROWS_HELP = label("Double-click a cell to edit it. You can undo changes; your file stays as it is.")
SEARCH = label("Find rows that contain")
PAGE = label("Page")
PREVIOUS_PAGE, NEXT_PAGE = label("Previous page"), label("Next page")
PAGE_RANGE = Message("Page {page:,} of {pages:,} · rows {first:,}–{last:,} of {count:,}")
NO_MATCHING_ROWS = Message("No row contains “{text}”.")
ROWS_TO_DELETE = label("Rows to delete (such as 3, 7-9)")
DELETE_BUTTON = label("Delete rows")
INVALID_ROW_NUMBERS = Message("“{text}” names no rows of this data (1 to {count:,}).")
INVALID_ROW_NUMBERS_ADVICE = Message("Write numbers such as 3, 7-9.")
ROWS_CHANGED = Message(
    "These rows have changed since you saw them, in another window or by another sheet. Nothing was changed "
    "now."
)
ROWS_CHANGED_ADVICE = Message("They are up to date now; make your change again.")
LENGTHS_AND_CLASSES = label("Lengths and classes")
LENGTHS_TITLE = Message("Examples by length")
LENGTHS_COUNTED = Message("about {total:,} tokens in total,<br>counted by the model’s tokenizer")
LENGTHS_ESTIMATED = Message("about {total:,} tokens in total,<br>estimated from the characters")
LENGTHS_SAMPLED = Message("<br>scaled up from a sample")
CLASSES_TITLE = Message("Examples per class")
LARGEST_CLASSES = Message("the {shown} largest of {count:,} classes")
EXAMPLES_AXIS = Message("examples")
TOKENS_AXIS = Message("tokens")
LENGTH_LIMIT = Message("cut here")
