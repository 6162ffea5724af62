"""The Modelfile writes conversations as the chat template does, byte for byte, or it is known not to."""

import pytest

from studio.export import modelfile
from studio.export.turns import find_turns

CHATML = (
    "{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nBe kind.<|im_end|>\n{% endif %}"
    "<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
LLAMA_3 = (
    "{% for message in messages %}{% if loop.first %}<|begin|>{% endif %}"
    "<|head|>{{ message['role'] }}<|end|>\n\n{{ message['content'] | trim }}<|eot|>{% endfor %}"
    "{% if add_generation_prompt %}<|head|>assistant<|end|>\n\n{% endif %}"
)
WITHOUT_SYSTEM = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    "<turn>{{ 'model' if message['role'] == 'assistant' else 'user' }}\n{{ message['content'] }}</turn>\n"
    "{% endfor %}{% if add_generation_prompt %}<turn>model\n{% endif %}"
)
COUNTING = (
    "{% for message in messages %}{{ loop.index }}. {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}{{ messages | length + 1 }}. {% endif %}"
)
QUESTION = {"role": "user", "content": "where is my {{ lamp }}\n"}
CONVERSATIONS = (
    [QUESTION],
    [QUESTION, {"role": "assistant", "content": "here"}, {"role": "user", "content": "and now"}],
)
SYSTEM = {"role": "system", "content": "Be brief."}


@pytest.fixture
def tokenizer_with(tiny_chat):
    """`tokenizer_with(template)`: the tiny model's tokenizer with another chat template."""
    from studio.models import load

    def get(template):
        tokenizer = load.tokenizer(tiny_chat)
        tokenizer.chat_template = template
        return tokenizer

    return get


@pytest.mark.parametrize("template", [CHATML, WITHOUT_SYSTEM])
def test_ollama_writes_what_the_template_writes(template, tokenizer_with):
    tokenizer = tokenizer_with(template)
    model = modelfile.describe_model(tokenizer, "chat")
    for conversation in CONVERSATIONS:
        wanted = tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
        assert model.render(conversation) == wanted


def test_the_default_system_message_is_written_as_one_and_gives_way_to_another(tokenizer_with):
    tokenizer = tokenizer_with(CHATML)
    model = modelfile.describe_model(tokenizer, "chat")
    assert model.system == "Be kind."
    assert 'SYSTEM "Be kind."' in model.to_modelfile("model.gguf")
    conversation = [SYSTEM, QUESTION]
    wanted = tokenizer.apply_chat_template(conversation, tokenize=False, add_generation_prompt=True)
    assert model.render(conversation) == wanted


def test_the_system_message_of_the_training_data_is_the_one_that_is_set(tokenizer_with):
    model = modelfile.describe_model(tokenizer_with(CHATML), "chat", "You are a gardener.")
    assert model.render([QUESTION]).startswith("<|im_start|>system\nYou are a gardener.<|im_end|>")


def test_a_token_that_the_runtime_sets_itself_is_left_out(tokenizer_with):
    tokenizer = tokenizer_with(LLAMA_3)
    turns = find_turns(tokenizer, "<|begin|>")
    wanted = tokenizer.apply_chat_template([QUESTION], tokenize=False, add_generation_prompt=True)
    # The template trims, which no Modelfile can: a question without blanks around it is the same.
    trimmed = [{**QUESTION, "content": QUESTION["content"].strip()}]
    assert "<|begin|>" + turns.render(trimmed) == wanted
    assert "<|begin|>" + turns.render([QUESTION]) != wanted


def test_the_token_that_llama_cpp_sets_before_every_text_is_found_whatever_its_number(tokenizer_with):
    from tokenizers import processors

    tokenizer = tokenizer_with("{{ bos_token }}" + CHATML)
    assert modelfile.opening_token(tokenizer) == ""
    tokenizer.bos_token = "<pad>"  # its number is 0
    first = processors.TemplateProcessing(single="<pad> $A", special_tokens=[("<pad>", 0)])
    tokenizer.backend_tokenizer.post_processor = first
    assert modelfile.opening_token(tokenizer) == "<pad>"
    model = modelfile.describe_model(tokenizer, "chat")
    wanted = tokenizer.apply_chat_template([QUESTION], tokenize=False, add_generation_prompt=True)
    assert "<pad>" + model.render([QUESTION]) == wanted


def test_a_template_that_does_more_is_not_written_again(tokenizer_with):
    with pytest.raises(ValueError, match="does more"):
        find_turns(tokenizer_with(COUNTING))
    model = modelfile.describe_model(tokenizer_with(COUNTING), "chat")
    assert model.turns is None
    assert 'TEMPLATE "{{ .Prompt }}"' in model.to_modelfile("model.gguf")


def test_the_modelfile_names_file_template_system_and_stop_words(tokenizer_with):
    text = modelfile.describe_model(tokenizer_with(WITHOUT_SYSTEM), "chat").to_modelfile("model-q8_0.gguf")
    assert text.startswith("FROM ./model-q8_0.gguf\n")
    assert '{{ if eq .Role "user" }}<turn>user\n{{ .Content }}</turn>\n{{ else }}' in text
    assert text.rstrip().endswith('SYSTEM ""\nPARAMETER stop "</s>"\nPARAMETER temperature 0')


def test_braces_of_a_template_are_no_go_template(tokenizer_with):
    from studio.export.turns import escape_go

    assert escape_go("a {{ b }}") == 'a {{ "{{" }} b }}'


def test_a_model_that_continues_texts_has_a_plain_template(tiny_chat):
    from studio.models import load

    model = modelfile.describe_model(load.tokenizer(tiny_chat), "complete")
    assert (model.template, model.system, list(model.stop)) == ("{{ .Prompt }}", "", ["</s>"])
