"""A model from elsewhere runs nothing of its own: no code beside it, no endless loop in its chat template."""

import json
import shutil
import time

import pytest
from refusals import assert_message

from studio.errors import ModelUnavailable

QUESTION = [{"role": "user", "content": "Hello"}]


@pytest.fixture
def hostile_model(tiny_chat, tmp_path):
    """`hostile_model(**entries)`: a copy of a model with these entries in its tokenizer's configuration."""

    def build(**entries):
        folder = tmp_path / "model"
        shutil.copytree(tiny_chat, folder)
        (folder / "chat_template.jinja").unlink(missing_ok=True)
        config_file = folder / "tokenizer_config.json"
        config = json.loads(config_file.read_text(encoding="utf-8"))
        config_file.write_text(json.dumps({**config, **entries}), encoding="utf-8")
        return folder

    return build


def test_code_beside_a_tokenizer_is_not_run(hostile_model, tmp_path):
    from studio.models import load

    trace = tmp_path / "was_here"
    folder = hostile_model(auto_map={"AutoTokenizer": ["evil.Tokenizer", "evil.Tokenizer"]})
    code = f"open({str(trace)!r}, 'w')\nfrom transformers import PreTrainedTokenizerFast as Tokenizer\n"
    (folder / "evil.py").write_text(code, encoding="utf-8")
    assert load.tokenizer(folder)("Hello")["input_ids"]
    assert not trace.exists()


@pytest.mark.parametrize(
    "template",
    [
        "{% for number in range(1000000000) %}x{% endfor %}",
        "{{ ''.__class__.__mro__[1].__subclasses__() }}",
        "{{ messages.append(1) }}",
        "{{ cycler.__init__.__globals__.os.system('true') }}",
        "{% include '/etc/passwd' %}",
    ],
)
def test_a_chat_template_gets_out_of_its_sandbox_in_no_way(template, hostile_model):
    from jinja2.exceptions import TemplateError

    from studio.models import load

    tokenizer = load.tokenizer(hostile_model(chat_template=template))
    assert tokenizer.chat_template == template
    with pytest.raises((TemplateError, OverflowError, TypeError)):
        tokenizer.apply_chat_template(QUESTION, tokenize=False)


NESTED = "{% for a in range(99999) %}{% for b in range(99999) %}{% for c in range(99999) %}"
ENDLESS = {
    "loops in loops": f"{NESTED}{{% endfor %}}{{% endfor %}}{{% endfor %}}",
    "loops whose condition is never true": (
        "{% for a in range(99999) %}{% for b in range(99999) if b < 0 %}{% endfor %}{% endfor %}"
    ),
    "macros that call themselves twice": (
        "{% macro m(n) %}{% if n > 0 %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"
    ),
    "a recursive loop": (
        "{% for a in [1, 2] recursive %}{% if loop.depth < 60 %}{{ loop([1, 2]) }}{% endif %}{% endfor %}"
    ),
}


@pytest.mark.parametrize("template", ENDLESS.values(), ids=ENDLESS)
def test_a_chat_template_without_end_is_stopped(template, hostile_model, monkeypatch):
    from studio.models import load, template_bounds

    monkeypatch.setattr(template_bounds, "MAX_SECONDS", 0.5)
    tokenizer = load.tokenizer(hostile_model(chat_template=template))
    started_at = time.monotonic()
    with pytest.raises(ModelUnavailable) as caught:
        tokenizer.apply_chat_template(QUESTION, tokenize=False)
    assert_message(caught.value, template_bounds.TOO_LONG)
    assert time.monotonic() - started_at < 5


@pytest.mark.parametrize("template", ["{{ 9 ** (9 ** 9) }}", "{{ 'x' * 10**10 }}", "{{ 10**9 * [1] }}"])
def test_a_chat_template_fills_no_memory_at_one_stroke(template, hostile_model):
    from studio.models import load, template_bounds

    tokenizer = load.tokenizer(hostile_model(chat_template=template))
    with pytest.raises(ModelUnavailable) as caught:
        tokenizer.apply_chat_template(QUESTION, tokenize=False)
    assert_message(caught.value, template_bounds.TOO_LARGE)


def test_an_honest_template_reads_as_before(hostile_model):
    from studio.models import load

    template = (
        "{% macro say(text) %}<{{ text }}>{% endmacro %}{% set ns = namespace(n=0) %}"
        "{% for message in messages if message.role != 'system' %}{% set ns.n = ns.n + 2 * loop.index %}"
        "{{ say(message.content) }}{{ '=' * 3 }}{% if loop.last %}{{ ns.n }}{% endif %}{% endfor %}"
    )
    tokenizer = load.tokenizer(hostile_model(chat_template=template))
    messages = [{"role": "system", "content": "s"}, *QUESTION, {"role": "assistant", "content": "Hi"}]
    # A system message that a template leaves out goes into the first question.
    assert tokenizer.apply_chat_template(messages, tokenize=False) == "<s\n\nHello>===<Hi>===6"
    assert tokenizer.apply_chat_template(messages[1:], tokenize=False) == "<Hello>===<Hi>===6"
