"""A Space for one result: the base model and the tuned model answer the same question side by side."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import spaces

HERE = Path(__file__).resolve().parent
os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
SETTINGS = json.loads((HERE / "settings.json").read_text(encoding="utf-8"))
# The lines that open the result read it from the folder they are started in.
os.chdir(HERE / "result")
sys.path[:0] = [str(HERE), str(HERE / "result")]

import gradio as gr  # noqa: E402 - after `spaces`, which must come first
import torch  # noqa: E402
from load_model import load_tuned  # noqa: E402
from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MAX_NEW_TOKENS, MAX_QUESTION_CHARS, GPU_SECONDS = 160, 2000, 30
TOKENIZER = AutoTokenizer.from_pretrained(".")
TEXTS = SETTINGS["texts"]
IS_CLASSIFIER = SETTINGS["task"] == "classify"


def load_base() -> Any:
    """The model that was tuned, as it was before; a classifier had no head then, and is shown alone."""
    return None if IS_CLASSIFIER else AutoModelForCausalLM.from_pretrained(SETTINGS["base"])


MODELS = {
    name: model.to(DEVICE).eval() for name, model in (("base", load_base()), ("tuned", load_tuned())) if model
}


def encode(question: str) -> Any:
    """The question as the models read it."""
    if SETTINGS["task"] == "complete":
        return TOKENIZER(question, return_tensors="pt").to(DEVICE)
    messages = [{"role": "user", "content": question}]
    encoded = TOKENIZER.apply_chat_template(
        messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )
    return encoded.to(DEVICE)


def answer(name: str, question: str) -> str:
    """What one of the models writes."""
    inputs = encode(question)
    with torch.no_grad():
        tokens = MODELS[name].generate(**inputs, max_new_tokens=MAX_NEW_TOKENS, do_sample=False)[0]
    return TOKENIZER.decode(tokens[inputs["input_ids"].shape[1] :], skip_special_tokens=True).strip()


@spaces.GPU(duration=GPU_SECONDS)
def ask(question: str) -> tuple[str, str]:
    """The answers of both models to one question."""
    question = question.strip()[:MAX_QUESTION_CHARS]
    if not question:
        raise gr.Error(TEXTS["empty"])
    return answer("base", question), answer("tuned", question)


@spaces.GPU(duration=GPU_SECONDS)
def classify(text: str) -> dict[str, float]:
    """How likely each label is; of a model that gives a number, that number as the only label."""
    text = text.strip()[:MAX_QUESTION_CHARS]
    if not text:
        raise gr.Error(TEXTS["empty"])
    model = MODELS["tuned"]
    with torch.no_grad():
        logits = model(**TOKENIZER(text, truncation=True, return_tensors="pt").to(DEVICE)).logits[0].float()
    if SETTINGS["problem_type"] == "regression":
        return {f"{logits.item():.2f}": 1.0}
    is_multi_label = SETTINGS["problem_type"] == "multi_label_classification"
    shares = logits.sigmoid() if is_multi_label else logits.softmax(-1)
    return {model.config.id2label[index]: float(share) for index, share in enumerate(shares)}


with gr.Blocks(title=SETTINGS["title"]) as page:
    gr.Markdown(f"# {SETTINGS['title']}\n{TEXTS['about']}")
    question_box = gr.Textbox(label=TEXTS["question"], lines=3, max_length=MAX_QUESTION_CHARS)
    button = gr.Button(TEXTS["send"], variant="primary")
    if IS_CLASSIFIER:
        label = gr.Label(label=TEXTS["tuned"], num_top_classes=8)
        button.click(classify, question_box, label, api_name="classify")
    else:
        with gr.Row():
            base_box = gr.Textbox(label=TEXTS["base"], lines=6, interactive=False, min_width=280)
            tuned_box = gr.Textbox(label=TEXTS["tuned"], lines=6, interactive=False, min_width=280)
        button.click(ask, question_box, [base_box, tuned_box], api_name="ask")

if __name__ == "__main__":
    theme = gr.themes.Base(primary_hue="indigo", neutral_hue="slate", font=["system-ui", "sans-serif"])
    page.launch(theme=theme, run_history=False, footer_links=["gradio"])
