"""The form of PEFT's methods is PEFT's own: each field, default and range, shown for its method alone."""

import dataclasses

import peft as peft_library
import pytest
from peft_cases import METHOD, TYPES

from studio.i18n import Message
from studio.methods import peft_form, spec
from studio.methods.spec import Setting


def messages(settings):
    return [(problem.key, problem.message) for problem in METHOD.find_problems(settings)]


def config_fields(type_card):
    return {field.name for field in dataclasses.fields(getattr(peft_library, type_card.config))}


def test_the_shipped_form_is_what_the_installed_peft_says():
    assert peft_form.FIELDS_FILE.read_text(encoding="utf-8") == peft_form.render_fields_file()


def test_a_field_nobody_has_explained_stops_the_form(monkeypatch):
    @dataclasses.dataclass
    class NewerConfig(peft_library.IA3Config):
        spice: int = dataclasses.field(default=3, metadata={"help": "new"})

    monkeypatch.setattr(peft_library, "IA3Config", NewerConfig)
    with pytest.raises(KeyError, match=r"IA3Config\.spice: explain it"):
        peft_form.read_peft_fields()


def test_nothing_is_explained_or_left_out_that_peft_does_not_have():
    cards = peft_form.load_cards()
    all_fields = set().union(*(config_fields(type_card) for type_card in cards.types.values()))
    explained = {name.split(".")[-1] for name in cards.fields} | set(cards.left_out)
    not_adalora = set(cards.types["adalora"].without) - {"r", "use_dora", "use_rslora"}
    assert explained == all_fields - not_adalora
    strange = {
        name: (set(card.without) | set(card.fixed)) - config_fields(card)
        for name, card in cards.types.items()
    }
    assert not any(strange.values()), strange


def test_every_field_is_shown_for_its_method_alone_with_peft_s_default_unless_a_reason_says_otherwise():
    type_setting, *field_settings = METHOD.settings
    assert [name for name, _ in type_setting.choices] == TYPES
    assert len(TYPES) >= 10
    for setting in field_settings:
        parent, peft_type = setting.depends_on
        name = setting.name.removeprefix(f"{peft_type}_")
        field = peft_form.load_fields()[peft_type][name]
        card = peft_form.load_cards().get_field(peft_type, name)
        assert parent == "type"
        if card.instead:
            assert card.instead.why
            assert card.instead.value != field.default
        else:
            assert setting.default == ("" if field.default is None else field.default)
        assert setting.kind == field.kind
        assert not setting.find_problem(setting.default), setting.name


@pytest.mark.parametrize("peft_type", TYPES)
def test_settings_are_those_of_the_chosen_method(peft_type):
    resolved = METHOD.resolve_settings({"type": peft_type})
    assert set(resolved) == {"type"} | {f"{peft_type}_{name}" for name in peft_form.load_fields()[peft_type]}
    assert METHOD.find_problems(resolved) == []


def test_every_field_is_explained_in_both_languages():
    for setting in METHOD.settings:
        labels = [choice_label for _, choice_label in setting.choices]
        for message in (setting.label, setting.help, *labels):
            assert isinstance(message, Message)
            assert message.render()
            assert message.render("zh")


def test_a_setting_of_another_method_is_told():
    inapplicable = spec.SETTING_NOT_APPLICABLE.format(other="type", wanted="vera", got="dora")
    assert messages({"type": "dora", "vera_r": 64}) == [("vera_r", inapplicable)]
    ((key, message),) = messages({"type": "vera", "vera_r": 0})
    assert (key, message.text) == ("vera_r", spec.OUT_OF_RANGE.text)
    unknown = spec.UNKNOWN_SETTING.format(method="peft", mine=["type"])
    assert messages({"type": "ia3", "r": 8}) == [("r", unknown)]
    ((key, message),) = messages({"type": "no", "vera_r": 8})
    assert (key, message.text) == ("type", spec.EXPECTED_CHOICE.text)
    assert list(message.values["names"]) == TYPES


def test_a_setting_of_one_choice_applies_only_there():
    setting = Setting("a", Message("a"), Message("a"), 1, "int", depends_on=("type", "x"))
    assert setting.applies({"type": "x"})
    assert not setting.applies({"type": "y"})
    assert not setting.applies({})
