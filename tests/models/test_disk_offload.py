"""A model whose blocks are read from the disk computes what it does in memory, with two blocks at once."""

import gc
import subprocess
import sys
import weakref

import pytest
import torch
from toys import save_tiny_llama
from transformers import AutoModelForCausalLM

from studio import methods
from studio.methods.training import supervised
from studio.models import disk_offload, layers, load, offloaded_nf4
from studio.models.load import WeightStorage

N_LAYERS = 5
TOKENS = torch.arange(1, 20)[None]


@pytest.fixture(scope="module")
def deep_model(build_once):
    """A tiny model of five blocks, its files in bfloat16 and in three parts, as large models have them."""

    def build(folder):
        save_tiny_llama(folder)
        config = AutoModelForCausalLM.from_pretrained(folder).config
        config.num_hidden_layers = N_LAYERS
        config.layer_types = None
        torch.manual_seed(0)
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        (folder / "model.safetensors").unlink()
        model.save_pretrained(folder, max_shard_size=model.num_parameters() * 2 // 3)

    return build_once("deep-model", build)


@pytest.fixture
def count_live(monkeypatch):
    """`count_live()`: how many blocks that were read are still in memory."""
    live = weakref.WeakSet()
    real = disk_offload.OffloadedBlocks._read

    def read(self, index, spare):
        parameters = real(self, index, spare)
        live.add(parameters[0].untyped_storage())
        return parameters

    monkeypatch.setattr(disk_offload.OffloadedBlocks, "_read", read)
    return lambda: len(live)


@pytest.mark.parametrize("in_4_bits", [False, True])
def test_it_answers_as_the_model_in_memory_does_and_has_its_checksum(in_4_bits, deep_model):
    offloaded, in_memory = (
        load.base_model(deep_model, "chat", storage=WeightStorage(in_4_bits, on_disk))
        for on_disk in (True, False)
    )
    assert load.fingerprint(offloaded) == load.fingerprint(in_memory)
    assert load.count_parameters(offloaded) == load.count_parameters(in_memory)
    with torch.no_grad():
        assert torch.equal(offloaded(TOKENS).logits, in_memory(TOKENS).logits)
        answers = [
            model.generate(TOKENS, max_new_tokens=4, do_sample=False) for model in (offloaded, in_memory)
        ]
    assert torch.equal(*answers)


def test_a_new_head_is_the_one_that_the_model_in_memory_gets(tiny_bert):
    models = [
        load.base_model(tiny_bert, "classify", ("a", "b"), 3, WeightStorage(on_disk=on_disk))
        for on_disk in (True, False)
    ]
    assert load.fingerprint(models[0]) == load.fingerprint(models[1])


def read_gradients(folder, name, on_disk, n_live=lambda: 0):
    """The gradients of two micro batches, and the most blocks that were in memory when one was computed."""
    method = methods.get(name)
    storage = WeightStorage(method.weights == "nf4", on_disk)
    base = load.base_model(folder, "chat", storage=storage)
    torch.manual_seed(0)
    model = method.attach(base, method.resolve_settings({"dropout": 0.2}), "chat")
    for parameter_name, parameter in model.named_parameters():
        if "lora_B" in parameter_name:
            torch.nn.init.normal_(parameter)
    most = []
    for block in layers.get_blocks(base):
        block.mlp.register_forward_pre_hook(lambda *_: most.append(n_live()))
    model.gradient_checkpointing_enable({"use_reentrant": on_disk})
    model.enable_input_require_grads()
    model.train()
    for _ in range(2):
        model(TOKENS, labels=TOKENS, use_cache=False).loss.backward()
    gradients = {key: value.grad for key, value in model.named_parameters() if value.requires_grad}
    return gradients, max(most)


@pytest.mark.parametrize("name", ["lora", "qlora"])
def test_gradients_are_the_same_with_no_more_than_two_blocks_in_memory(name, deep_model, count_live):
    expected, _ = read_gradients(deep_model, name, on_disk=False)
    gradients, most = read_gradients(deep_model, name, on_disk=True, n_live=count_live)
    assert most == 2
    assert expected.keys() == gradients.keys()
    assert all(torch.equal(gradients[key], value) for key, value in expected.items())
    gc.collect()


def test_each_block_is_read_once_a_way(deep_model, monkeypatch):
    read_order = []
    real = disk_offload.OffloadedBlocks._read
    monkeypatch.setattr(
        disk_offload.OffloadedBlocks,
        "_read",
        lambda self, index, spare: (read_order.append(index), real(self, index, spare))[1],
    )
    read_gradients(deep_model, "lora", on_disk=True)
    # The last block stays for the way back, and the first for the next way forward.
    once = [0, 1, 2, 3, 4, 3, 2, 1, 0]
    assert read_order[: 2 * len(once) - 1] == once + once[1:]


def test_a_file_that_ends_too_early_is_named(tmp_path):
    path = tmp_path / "cut.safetensors"
    path.write_bytes(bytes(10))
    with (
        path.open("rb", buffering=0) as file,
        pytest.raises(OSError, match=r"cut\.safetensors ends at byte 10"),
    ):
        disk_offload.read_into(torch.empty(4), file, 0)


def test_the_file_of_rounded_weights_has_no_name(studio_home):
    file = offloaded_nf4.Nf4File(load.nf4_config())
    file._file.write(b"1")
    assert list(studio_home.iterdir()) == []


def test_the_way_back_keeps_nothing_but_inputs(make_job):
    arguments = supervised.training_arguments(
        make_job("lora", "chat", rows=4, disk_offload=True, gradient_checkpointing=True), "train"
    )
    assert arguments["activation_checkpointing"]
    assert arguments["activation_checkpointing_kwargs"] == {"use_reentrant": True}


LARGE_BLOCKS_SCRIPT = """
import ctypes, sys
from studio.models import disk_offload
libc = ctypes.CDLL(None)
libc.malloc.restype = libc.malloc_usable_size.restype = ctypes.c_size_t
libc.malloc.argtypes = libc.free.argtypes = [ctypes.c_size_t]

class Mallinfo(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in
        "arena ordblks smblks hblks mapped usmblks fsmblks in_heap free_in_heap keepcost".split()]

libc.mallinfo2.restype = Mallinfo
disk_offload._give_back_large_blocks()
for size in (16 << 20, 8 << 20):  # what is freed once would stay in the heap from then on
    block = libc.malloc(size)
    mapped_bytes = libc.mallinfo2().mapped
    libc.free(block)
print(mapped_bytes >= 8 << 20, libc.mallinfo2().mapped < 8 << 20)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc keeps what was freed")
def test_what_a_block_needed_goes_back_to_the_system():
    command = [sys.executable, "-c", LARGE_BLOCKS_SCRIPT]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["True", "True"]
