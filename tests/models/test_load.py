"""A folder becomes a model and its tokenizer; a checksum tells models with different parameters apart."""

import shutil

import pytest
import torch
from model_families import save_gpt_oss_in_4_bits
from safetensors.torch import load_file, save_file
from transformers import AutoTokenizer

from studio import methods, runs
from studio.errors import ModelUnavailable
from studio.methods import folder_check
from studio.models import device, folder_files, load
from studio.training import worker


def test_the_same_weights_have_the_same_checksum_and_one_changed_number_another(tiny_chat):
    first, second = load.base_model(tiny_chat, "chat"), load.base_model(tiny_chat, "chat")
    assert load.fingerprint(first) == load.fingerprint(second)
    with torch.no_grad():
        second.model.norm.weight[0] += 1e-6
    assert load.fingerprint(first) != load.fingerprint(second)


def test_a_checksum_is_made_as_the_one_that_it_is_compared_with(tiny_chat):
    model = load.base_model(tiny_chat, "chat")
    host_checksum, device_checksum = (load.fingerprint(model, "0" * digits) for digits in (12, 16))
    assert load.fingerprint(model, host_checksum) == host_checksum
    assert load.fingerprint(model, device_checksum) == device_checksum
    assert (len(host_checksum), len(device_checksum)) == (12, 16)
    with torch.no_grad():
        model.model.norm.weight[0] += 1e-6
    assert load.fingerprint(model, device_checksum) != device_checksum


def test_a_gpu_gets_weights_straight_from_the_file(tiny_chat, monkeypatch):
    """A device without memory stands in for it: what comes to lie there was never whole in main memory."""
    monkeypatch.setattr(load.device, "torch_device", lambda: torch.device("meta"))
    monkeypatch.delattr(torch.nn.Module, "to")
    model = load.base_model(tiny_chat, "chat")
    assert {tensor.device.type for tensor in (*model.parameters(), *model.buffers())} == {"meta"}
    in_memory = load.base_model(tiny_chat, "chat", storage=load.WeightStorage(in_main_memory=True))
    assert {tensor.device.type for tensor in in_memory.parameters()} == {"cpu"}


def test_a_fresh_head_is_the_same_for_the_same_seed(tiny_bert):
    def head(seed):
        return load.base_model(tiny_bert, "classify", ("a", "b"), seed).classifier.weight

    assert torch.equal(head(seed=1), head(seed=1))
    assert not torch.equal(head(seed=1), head(seed=2))


def test_a_head_knows_its_labels(tiny_bert):
    config = load.base_model(tiny_bert, "classify", ("late", "broken")).config
    assert config.id2label == {0: "late", 1: "broken"}
    assert config.label2id == {"late": 0, "broken": 1}


def test_a_decoder_can_sort_texts_of_unlike_length(tiny_chat):
    model = load.base_model(tiny_chat, "classify", ("a", "b"))
    assert model.config.pad_token_id is not None
    tokenizer = load.tokenizer(tiny_chat)
    texts = ["the lamp", "where is the lamp and the chair"]
    with torch.no_grad():
        in_one_batch = model(**tokenizer(texts, return_tensors="pt", padding=True).to(model.device)).logits
        one_by_one = torch.cat(
            [model(**tokenizer(text, return_tensors="pt").to(model.device)).logits for text in texts]
        )
    torch.testing.assert_close(in_one_batch, one_by_one, rtol=0, atol=1e-5)


def test_a_loaded_model_is_ready_to_answer(tiny_chat):
    model = load.base_model(tiny_chat, "chat")
    assert not model.training
    assert model.dtype == device.weights_dtype()


@pytest.mark.parametrize(("saved", "is_read_again"), [(torch.float32, True), (torch.bfloat16, False)])
def test_a_base_is_read_again_only_where_its_file_has_more_digits(
    saved, is_read_again, tiny_chat, tmp_path, monkeypatch
):
    load.convert_parameters(load.base_model(tiny_chat, "chat"), saved).save_pretrained(tmp_path)
    monkeypatch.setattr(device, "weights_dtype", lambda: torch.bfloat16)
    held = load.base_model(tiny_chat, "chat")
    trained = load.in_32_bits(held, tmp_path, "chat")
    assert (trained is not held) is is_read_again
    assert {value.dtype for value in trained.parameters()} == {torch.float32}


def test_a_tokenizer_without_padding_or_template_gets_both(tiny_chat, tmp_path):
    folder = tmp_path / "plain"
    shutil.copytree(tiny_chat, folder)
    raw_tokenizer = AutoTokenizer.from_pretrained(folder)
    raw_tokenizer.chat_template, raw_tokenizer.pad_token = None, None
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    raw_tokenizer.save_pretrained(folder)
    tokenizer = load.tokenizer(folder)
    assert tokenizer.pad_token == tokenizer.eos_token == "</s>"
    talk = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    assert tokenizer.apply_chat_template(talk, tokenize=False) == "User: Hi\nAssistant: Hello</s>"
    assert (
        tokenizer.apply_chat_template(talk[:1], tokenize=False, add_generation_prompt=True)
        == "User: Hi\nAssistant: "
    )


def test_a_tokenizer_with_its_own_template_keeps_it(tiny_chat):
    assert "<|" in load.tokenizer(tiny_chat).chat_template


def test_experts_in_4_bits_are_multiplied_out_and_what_that_takes_is_said(tmp_path):
    experts = save_gpt_oss_in_4_bits(tmp_path)
    (remark,) = [
        finding for finding in folder_check.examine(tmp_path, "chat") if finding.message == folder_files.MXFP4
    ]
    assert not remark.is_fatal
    assert "GB of memory" in remark.to_do.render()
    model = load.base_model(tmp_path, "chat")
    loaded = {name: parameter.cpu() for name, parameter in model.named_parameters() if name in experts}
    torch.testing.assert_close(loaded, {name: value.to(model.dtype) for name, value in experts.items()})


@pytest.mark.thorough
@pytest.mark.parametrize("method_name", ["lora", "full"])
def test_a_model_in_4_bits_is_trained_and_reopened(method_name, tmp_path, make_plan):
    save_gpt_oss_in_4_bits(tmp_path)
    rates = {"learning_rate": 3e-3} if method_name == "full" else {}
    plan = make_plan(method_name, "chat", epochs=3, eval_count=2, **rates)
    run = runs.create(plan.model_copy(update={"model": str(tmp_path)}))
    worker.run(run.id)
    report = runs.report(run)
    assert report["after"]["loss"] < report["before"]["loss"]
    base = load.base_model(tmp_path, "chat")
    reopened = load.fingerprint(methods.get(method_name).load(base, run.model))
    assert reopened == report["tuned"]["checksum"]


def test_weights_that_lack_a_part_of_a_block_are_refused(tiny_chat, tmp_path):
    folder = tmp_path / "cut"
    shutil.copytree(tiny_chat, folder)
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelUnavailable, match=r"layers\.1\.mlp\.up_proj\.weight"):
        load.base_model(folder, "chat")
