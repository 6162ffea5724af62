"""A base model that hardly knows the language of the data is said on every tab where it is chosen or used."""

from form_fields import ENGLISH, form_fields

from studio.data.quality import base_languages
from studio.i18n import Message
from studio.ui.form import plan_form
from studio.ui.form.form_state import read_form
from studio.ui.method import base_model
from studio.ui.train import tab as train_tab

CHINESE_FIELDS = {"source": "sample:support-zh", "columns": {"prompt": "顾客", "response": "回复"}}
WARNING = base_languages.HARDLY_KNOWS.render(
    model="SmolLM2 135M Instruct", languages=[Message("Chinese")], other="Qwen3 0.6B"
)


def warning_for(**fields):
    return plan_form.language_warning(read_form(form_fields(**fields)), "en")


def test_chinese_data_on_an_english_base_is_warned_of():
    assert warning_for(**CHINESE_FIELDS) == WARNING


def test_nothing_is_said_where_the_base_knows_the_language_or_there_is_no_data():
    assert warning_for() == ""
    assert warning_for(**CHINESE_FIELDS, model="qwen3-0.6b") == ""
    assert warning_for(source="") == ""
    assert warning_for(source="/etc/passwd") == ""


def test_the_warning_stands_beside_the_base_model_and_above_start():
    assert train_tab.summarise(ENGLISH, **form_fields(**CHINESE_FIELDS))["warning"] == WARNING
    assert train_tab.summarise(ENGLISH, **form_fields())["warning"] == ""
    assert base_model.describe_model("smollm2-135m", "chat", "en", WARNING)["warning"] == WARNING
