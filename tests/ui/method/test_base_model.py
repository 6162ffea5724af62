"""Of a mixture of experts the page says how many parameters compute each token, of others their number."""

import pytest

from studio import presets
from studio.ui.method import base_model

CASES = {
    "en": ("20.9 B parameters, of which 4.19 B compute each token", "20.9 B, 4.19 B for each token"),
    "zh": ("20.9 B 个参数，其中 4.19 B 个参与计算每个词元", "20.9 B，每个词元用 4.19 B"),
}


@pytest.mark.parametrize("lang", CASES)
def test_a_mixture_of_experts_has_two_numbers(lang):
    notice = base_model.describe_model("gpt-oss-20b", "chat", lang)
    in_notice, in_list = CASES[lang]
    assert in_notice in str(notice)
    assert in_list in base_model.describe_choice(presets.models()["gpt-oss-20b"]).render(lang)


def test_other_models_have_one():
    assert "8.19 B parameters, licence" in str(base_model.describe_model("qwen3-8b", "chat", "en"))
    assert base_model.describe_choice(presets.models()["qwen3-8b"]).render("en") == "Qwen3 8B · 8.19 B"
