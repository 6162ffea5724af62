"""Loads the tokenizer of a model folder with a padding token and a template for every turn."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2.exceptions import TemplateError
from transformers import AutoTokenizer

from studio.errors import StudioError
from studio.models import template_bounds

# For a base model without a chat template; it is saved with whatever is trained under it.
PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{{ message['role'].capitalize() }}: {{ message['content'] }}"
    "{{ eos_token if message['role'] == 'assistant' else '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant: ' }}{% endif %}"
)
# Put before a template that knows no system message (Gemma 2): it becomes part of the first question.
SYSTEM_INTO_QUESTION = (
    "{%- if messages and messages[0]['role'] == 'system' -%}"
    "{%- if messages|length > 1 and messages[1]['role'] == 'user' -%}"
    "{%- set question = messages[0]['content'] + '\n\n' + messages[1]['content'] -%}"
    "{%- set messages = [{'role': 'user', 'content': question}] + messages[2:] -%}"
    "{%- else -%}"
    "{%- set messages = [{'role': 'user', 'content': messages[0]['content']}] + messages[1:] -%}"
    "{%- endif -%}"
    "{%- endif -%}"
)
# What a template may end in: it is code from elsewhere.
RENDER_ERRORS = (
    TemplateError,
    StudioError,
    TypeError,
    ValueError,
    LookupError,
    ArithmeticError,
    RuntimeError,
)
PROBE_SYSTEM = {"role": "system", "content": "Be brief."}
PROBE_CONVERSATION = (
    {"role": "user", "content": "Where is it?"},
    {"role": "assistant", "content": "Over there."},
    {"role": "user", "content": "And the key?"},
    {"role": "assistant", "content": "Under the mat."},
)

template_bounds.install()


def load_tokenizer(folder: Path) -> Any:
    """The tokenizer of a folder, with a padding token and a chat template that takes a system message."""
    loaded = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if loaded.pad_token is None:
        loaded.pad_token = loaded.eos_token
    template = getattr(loaded, "chat_template", None)
    if template is None and loaded.eos_token:
        loaded.chat_template = PLAIN_TEMPLATE
    elif isinstance(template, str) and loses_system_message(loaded):
        loaded.chat_template = SYSTEM_INTO_QUESTION + template
    return loaded


def loses_system_message(tokenizer: Any) -> bool:
    """Whether a chat template refuses a system message or leaves it out, and renders turns without one."""
    if not render(tokenizer, PROBE_CONVERSATION):
        return False  # a fault of its own, which is not cured by this
    return PROBE_SYSTEM["content"] not in render(tokenizer, [PROBE_SYSTEM, *PROBE_CONVERSATION])


def render(tokenizer: Any, messages: Sequence[Mapping[str, str]]) -> str:
    """A conversation in the tokenizer's chat template; "" where the template breaks off, for any reason."""
    try:
        return str(tokenizer.apply_chat_template(list(messages), tokenize=False))
    except RENDER_ERRORS:
        return ""
