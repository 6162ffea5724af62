"""A model from elsewhere runs nothing of its own: no code beside it, no endless loop in its chat template."""

import json
import shutil

import pytest

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
