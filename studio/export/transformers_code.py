"""The Python code that opens an export with transformers, and PEFT where it is an adapter."""

from studio.data.targets import LABEL_THRESHOLD
from studio.export.spec import ExportFormat
from studio.export.usage import Usage
from studio.plan import Task

CHAT_SNIPPET = """{imports}

tokenizer = AutoTokenizer.from_pretrained(".")
{load}
messages = [{{"role": "user", "content": "…"}}]
inputs = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
)
tokens = model.generate(**inputs, max_new_tokens=120)[0]
answer = tokens[inputs["input_ids"].shape[1]:]
print(tokenizer.decode(answer, skip_special_tokens=True))"""
COMPLETION_SNIPPET = """{imports}

tokenizer = AutoTokenizer.from_pretrained(".")
{load}
inputs = tokenizer("…", return_tensors="pt")
print(tokenizer.decode(model.generate(**inputs, max_new_tokens=120)[0], skip_special_tokens=True))"""
CLASSIFICATION_SNIPPET = """{imports}

tokenizer = AutoTokenizer.from_pretrained(".")
{load}
scores = model(**tokenizer("…", return_tensors="pt")).logits[0]
print({result})"""
SNIPPETS = {"classify": CLASSIFICATION_SNIPPET, "complete": COMPLETION_SNIPPET}
# What the scores of a classifier mean, by its kind of problem.
RESULT_EXPRESSIONS = {
    "single_label_classification": "model.config.id2label[int(scores.argmax())]",
    "multi_label_classification": (
        "[model.config.id2label[index] for index, score in enumerate(scores.sigmoid()) "
        f"if score >= {LABEL_THRESHOLD}]"
    ),
    "regression": "scores.item()",
}


def render_transformers_code(form: ExportFormat, usage: Usage, task: Task) -> str:
    """Python code that opens an export with transformers as `model` and `tokenizer`, and asks it."""
    return SNIPPETS.get(task, CHAT_SNIPPET).format(
        imports="\n".join(form.import_lines(usage)),
        load="\n".join(form.load_lines(usage)),
        result=RESULT_EXPRESSIONS.get(usage.problem_type, ""),
    )
