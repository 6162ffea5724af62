"""A model whose weights are spread over ranks computes what the whole one does, whatever its family."""

import json

import pytest
from model_families import FAMILIES, save_family
from ranks import start_scripts
from toys import save_tiny_llama, save_tiny_sentence_model

# Blocks that are collected one by one, beside all else.
N_BLOCKS = 2
ROUNDING = 1e-5


@pytest.mark.exhaustive
def test_a_step_with_half_the_weights_on_each_rank_is_that_of_the_whole_model(tmp_path):
    folder = tmp_path / "models"
    for family in FAMILIES:
        save_family(family, folder / family)
    save_tiny_llama(folder / "llama")
    save_tiny_sentence_model(folder / "sentence")
    log = tmp_path / "log.txt"
    for process in start_scripts("sharding_process.py", str(folder), log=log):
        assert process.wait(300) == 0, log.read_text(encoding="utf-8")[-3000:]
    results = json.loads((tmp_path / "results.json").read_text(encoding="utf-8"))
    assert len(results) > len(FAMILIES)
    for name, result in results.items():
        assert result["loss"] < ROUNDING, name
        assert result["gradient"] < ROUNDING, name
        assert result["same"], name
        assert result["groups"] > N_BLOCKS, name
