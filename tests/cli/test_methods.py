"""`studio methods` lists them with all that a script may want to know."""

import json

from studio import methods, presets
from studio.cli.main import main
from studio.plan import REQUIRED_ROLES


def test_the_methods_are_listed_with_what_they_train(capsys):
    assert main(["methods"]) == 0
    out = capsys.readouterr().out
    for name in presets.methods():
        assert f"\n{name} " in out
    assert "chat, prefer" in out
    assert max(map(len, out.splitlines())) <= 110


def test_the_methods_as_json_hold_every_setting_with_range_default_and_explanation(capsys):
    assert main(["methods", "--json"]) == 0
    described = {item["name"]: item for item in json.loads(capsys.readouterr().out)}
    assert list(described) == list(presets.methods())
    for method in methods.METHODS:
        item = described[method.name]
        assert (item["built"], item["tasks"], item["resumes"]) == (
            True,
            list(method.tasks),
            method.supports_resume,
        )
        assert item["exports"] == list(method.exports)
        for setting, description in zip(method.settings, item["settings"], strict=True):
            assert (description["name"], description["default"], description["kind"]) == (
                setting.name,
                setting.default,
                setting.kind,
            )
            assert description["help"]["en"]
            assert description["help"]["zh"]
            assert ("range" in description) == (setting.kind in ("int", "float"))
            assert ("choices" in description) == (setting.kind == "choice")
        assert {refusal["task"] for refusal in item["not_with"]} == set(REQUIRED_ROLES) - set(method.tasks)
        assert all(refusal["why"]["en"] and refusal["nearest"]["zh"] for refusal in item["not_with"])
    assert next(setting for setting in described["lora"]["settings"] if setting["name"] == "rank")[
        "range"
    ] == [
        1,
        256,
    ]
