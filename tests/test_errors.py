"""Whatever goes wrong becomes two sentences: what happened, and what to do."""

import errno

import pytest

from studio.errors import SEE_WORKER_LOG, BadPlan, OutOfDiskSpace, OutOfMemory, StudioError, explain
from studio.i18n import Message


def test_an_error_says_what_happened_with_the_value_and_what_to_do():
    error = StudioError(
        Message("“{name}” is empty.", translations={"zh": "“{name}”是空的。"}),
        Message("Export it again.", translations={"zh": "请重新导出。"}),
        name="a.csv",
    )
    assert str(error) == "“a.csv” is empty. Export it again."
    assert error.sentences("zh") == ("“a.csv”是空的。", "请重新导出。")


def test_a_bad_plan_lists_all_its_problems():
    text = str(BadPlan(["task: is missing", "model: is missing"]))
    assert "Problems in the plan: 2" in text
    assert "- task: is missing" in text
    assert "- model: is missing" in text


def test_a_studio_error_explains_itself():
    error = BadPlan(["task: is missing"])
    assert explain(error) is error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes."
        ),
        RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB"),
        OSError(errno.ENOMEM, "Cannot allocate memory"),
        RuntimeError("std::bad_alloc"),
        RuntimeError("could not create a primitive"),
    ],
    ids=["python", "torch", "card", "system", "c++", "onednn"],
)
def test_no_memory_left_is_recognised_whoever_says_so(error):
    explained = explain(error)
    assert isinstance(explained, OutOfMemory)
    assert explained.sentences()[0] == "The training needed more memory than this machine has free."
    assert "smaller batch" in explained.sentences()[1]


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        RuntimeError("SafetensorError: I/O error: No space left on device (os error 28)"),
    ],
    ids=["system", "safetensors"],
)
def test_a_full_disk_is_recognised_whoever_says_so(error):
    explained = explain(error)
    assert isinstance(explained, OutOfDiskSpace)
    assert explained.sentences()[0] == "The disk is full."


def test_a_real_refusal_of_torch_counts_as_no_memory():
    import torch

    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55)
    assert isinstance(explain(caught.value), OutOfMemory)


def test_an_unknown_error_names_its_kind_and_first_line_and_no_traceback():
    what, to_do = explain(ValueError("first line {braces}\nsecond line")).sentences()
    assert "ValueError: first line {braces}" in what
    assert "second line" not in what
    assert "worker.log" not in to_do
    assert "worker.log" in explain(ValueError("x"), SEE_WORKER_LOG).render()


def test_an_error_without_a_text_is_explained_too():
    assert "KeyError" in explain(KeyError()).render()


@pytest.mark.parametrize(
    "error",
    [MemoryError(), OSError(errno.ENOSPC, "full"), ValueError("x")],
    ids=["memory", "disk", "unknown"],
)
def test_an_explanation_has_chinese(error):
    assert any("一" <= letter <= "鿿" for letter in explain(error).render("zh"))
