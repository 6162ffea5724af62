"""What is taken home opens without the studio and gives the same answers, with a card that says where it
comes from.
"""

import json
import os
import re
import zipfile

import pytest
import yaml
from ways import QUESTIONS_ALONE

from studio import export, runs
from studio.data import store
from studio.data.examples import end_of_turn_id
from studio.errors import NotPossible, StudioError
from studio.export import card, transformers_code
from studio.export import card_messages as messages
from studio.export.spec import ExportOptions
from studio.methods import compatibility
from studio.models import load

# These fetch tools; test_gguf.py, test_browser.py and test_onnx.py write them.
FETCHING_FORMS = {"gguf", "browser", "onnx"}


@pytest.mark.thorough
def test_every_form_a_method_offers_can_be_written(way, finished, tmp_path):
    run = finished(*way)
    for form in set(export.available_formats(run)) - FETCHING_FORMS:
        folder = export.save_result(run, form, tmp_path / "deep" / form)
        names = {path.name for path in folder.iterdir()}
        assert {"README.md", "plan.yaml", "tokenizer.json"} <= names
        assert list(folder.glob("*.safetensors"))


def test_a_change_that_is_no_matrix_is_not_merged_and_the_reason_is_said(way, finished, tmp_path):
    run = finished(*way)
    if "merged" in export.available_formats(run):
        return
    why = compatibility.find_export_incompatibility(way[0], "merged").reason.render()
    with pytest.raises(NotPossible, match=re.escape(why)):
        export.save_result(run, "merged", tmp_path / "merged")


def test_the_card_holds_the_figures_of_the_run(way, finished, tmp_path):
    run = finished(*way)
    report = runs.report(run)
    form = export.available_formats(run)[0]
    text = (export.save_result(run, form, tmp_path / "out") / "README.md").read_text(encoding="utf-8")
    start, end = runs.start_scores(report), report["after"]
    score = "answer_accuracy" if way == QUESTIONS_ALONE else "loss"
    label = messages.METRIC_LABELS[score].render()
    assert ("| measure | linear model on the same embeddings | tuned |" in text) == (way[1] == "classify")
    row = next(line for line in text.splitlines() if line.startswith(f"| {label} |"))
    cells = [cell.split()[0] for cell in row.split(" | ")[1:]]  # a share is followed by its interval
    assert cells == [f"{start[score]:.4g}", f"{end[score]:.4g}"]
    assert f"{report['parameters']['trainable']:,} of {report['parameters']['total']:,}" in text
    for text_part in (report["base"]["checksum"], report["tuned"]["checksum"], report["data"]["sha256"]):
        assert text_part in text
    front = yaml.safe_load(text.split("---")[1])
    assert "base_model" not in front  # a folder of this machine
    assert front["library_name"] == ("peft" if form == "adapter" else "transformers")
    assert front["pipeline_tag"] == ("text-classification" if way[1] == "classify" else "text-generation")


def test_a_chinese_card_says_the_same_in_chinese_and_the_hub_reads_the_same_front(way, finished, tmp_path):
    run = finished(*way)
    form = export.available_formats(run)[0]
    english, chinese = (card.render_card(run, form, language) for language in ("en", "zh"))
    assert chinese.split("---")[1] == english.split("---")[1]
    prose = re.sub(r"\*\*transformers.*?```.*?```|`[^`]*`", "", chinese.split("---", 2)[2], flags=re.DOTALL)
    lines = [line for line in prose.splitlines() if line.strip(" -|") and not line.startswith("# ")]
    assert [
        line
        for line in lines
        if not re.search("[\u4e00-\u9fff]", line) and not re.match(r"\| F1|\|---", line)
    ] == []
    figures = [
        re.findall(r"\d[\d.,]*\d", re.sub(r"\*\*|#.*", "", text.split("---", 2)[2]))
        for text in (english, chinese)
    ]
    assert sorted(figures[0]) == sorted(figures[1])


def test_a_share_on_the_card_has_its_interval_and_other_scores_have_none(finished):
    run = finished("lora", "classify")
    report = runs.report(run)
    # Wilson's 95 % interval of 9 of 12 and of 6 of 12, from the formula by hand.
    report["data"]["validation"] = 12
    report["linear_baseline"] = {"loss": 0.7, "accuracy": 0.5}
    report["after"] = {"loss": 0.5, "accuracy": 0.75, "f1": 0.75}
    (run.folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    text = card.render_card(run, "adapter")
    assert "| accuracy | 0.5 (95% interval 0.25–0.75) | 0.75 (95% interval 0.47–0.91) |" in text
    assert "| loss | 0.7 | 0.5 |\n" in text
    assert "| f1 | nan | 0.75 |\n" in text


def test_the_card_of_an_earlier_studio_s_classifier_compares_with_its_base(finished):
    run = finished("lora", "classify")
    report = runs.report(run)
    del report["linear_baseline"]
    (run.folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    text = card.render_card(run, "adapter")
    assert "| measure | base | tuned |" in text
    assert f"| loss | {report['before']['loss']:.4g} |" in text


def test_the_card_names_the_licence_the_person_typed_even_after_the_run(finished, chat_csv):
    dataset, run = store.add(chat_csv, "chat.csv"), finished("lora")
    file = run.folder / "plan.yaml"
    file.write_text(
        file.read_text(encoding="utf-8").replace(run.plan.data.source, dataset.source), encoding="utf-8"
    )
    run = runs.get(run.id)
    assert "licence of the data: not given" in card.render_card(run, "adapter")
    dataset = store.update_card(dataset, licence="CC BY-NC 4.0 | own")
    assert "- licence of the data: CC BY-NC 4.0 own" in card.render_card(run, "adapter")
    assert "- 数据的许可证：CC BY-NC 4.0 own" in card.render_card(run, "adapter", "zh")
    store.delete(dataset)
    assert "licence of the data: not given" in card.render_card(
        run, "adapter"
    )  # as it was when the run read it


def test_the_card_of_low_bit_weights_says_what_rounding_costs(finished, tmp_path):
    run = finished("qat", "classify")
    text = (export.save_result(run, "packed", tmp_path / "out") / "README.md").read_text(encoding="utf-8")
    for name, figures in runs.report(run)["method"]["quantisation"].items():
        cells = (f"{figures['loss']:.4g}", f"{figures['accuracy']:.4g}", f"{figures['bytes'] / 1e6:.1f}")
        row = f"| {' | '.join((messages.QUANTIZATION_LABELS[name].render('en'), *cells))} |"
        assert row in text


def test_the_path_of_a_base_of_ones_own_stays_at_home(way, finished, tmp_path):
    run = finished(*way)
    for form in set(export.available_formats(run)) - FETCHING_FORMS:
        folder = export.save_result(run, form, tmp_path / form)
        texts = [path for path in folder.iterdir() if path.suffix in (".md", ".json", ".py")]
        assert [path.name for path in texts if run.plan.model in path.read_text(encoding="utf-8")] == []


def test_the_card_of_a_report_that_does_not_say_which_weights_it_had_names_the_base(finished):
    run = finished("lora")
    report = runs.report(run)
    del report["base"]["weights"]
    (run.folder / "report.json").write_text(json.dumps(report), encoding="utf-8")
    assert f"- trained on {report['base']['name']} (checksum" in card.render_card(run, "adapter")


def test_the_card_of_a_base_on_the_hub_names_it_there(finished):
    run = finished("lora")
    path = run.folder / "report.json"
    report = runs.report(run)
    report["base"]["hub"] = "someone/base"
    path.write_text(json.dumps(report), encoding="utf-8")
    text = card.render_card(run, "adapter")
    assert yaml.safe_load(text.split("---")[1])["base_model"] == "someone/base"
    assert 'from_pretrained("someone/base", dtype="float32")' in text


def test_a_classifiers_adapter_carries_the_names_of_its_classes(finished, tmp_path):
    folder = export.save_result(finished("lora", "classify"), "adapter", tmp_path / "out")
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config["id2label"] == {"0": "billing", "1": "delivery", "2": "returns"}
    assert config["problem_type"] == "single_label_classification"


@pytest.mark.parametrize(
    ("ending", "message"),
    [({"stopped": True}, messages.STOPPED), ({"stopped_early": True}, messages.STOPPED_EARLY), ({}, None)],
)
def test_the_card_says_of_a_run_that_did_not_reach_its_end_how_it_ended(ending, message, finished):
    run = finished("lora")
    path = run.folder / "report.json"
    path.write_text(json.dumps({**runs.report(run), "stopped_early": False, **ending}), encoding="utf-8")
    text = card.render_card(run, "adapter")
    endings = (messages.STOPPED, messages.STOPPED_EARLY, messages.BROKE_OFF)
    assert [each for each in endings if each.render() in text] == ([message] if message else [])


@pytest.mark.parametrize("problem_type", list(messages.PROBLEM_DESCRIPTIONS))
def test_the_card_of_a_classifier_says_its_kind_of_problem(problem_type, finished):
    run = finished("lora", "classify")
    path = run.folder / "report.json"
    path.write_text(json.dumps({**runs.report(run), "problem_type": problem_type}), encoding="utf-8")
    text = card.render_card(run, "merged")
    description = messages.PROBLEM_DESCRIPTIONS[problem_type].render(
        count=3, problem_type=problem_type, labels=["billing", "delivery", "returns"]
    )
    assert description in text
    assert f"print({transformers_code.RESULT_EXPRESSIONS[problem_type]})" in text


def test_a_merged_model_with_parts_its_class_does_not_know_is_refused(tiny_bert):
    from transformers import AutoModelForSequenceClassification

    from studio.export import merge

    model = AutoModelForSequenceClassification.from_pretrained(tiny_bert)
    merge.require_plain(model)
    model.classifier.original_module = type(model.classifier)(2, 2)
    with pytest.raises(StudioError, match=r"classifier\.original_module\.bias"):
        merge.require_plain(model)


def test_a_name_from_a_person_cannot_break_out_of_the_card():
    assert card.sanitize_line("a\n# b <script> `x` | [y](z)") == "a # b script x y (z)"


def test_a_folder_that_holds_something_is_not_touched(finished, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    with pytest.raises(NotPossible, match="is not empty"):
        export.save_result(finished("lora"), "adapter", tmp_path / "full")
    assert [path.name for path in (tmp_path / "full").iterdir()] == ["letter.txt"]


def test_a_target_that_is_a_file_is_refused_with_a_sentence(finished, tmp_path):
    (tmp_path / "out").write_text("dear")
    with pytest.raises(NotPossible):
        export.save_result(finished("lora"), "adapter", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "dear"


def test_an_empty_folder_may_be_written_into(finished, tmp_path):
    (tmp_path / "full").mkdir()
    assert (export.save_result(finished("lora"), "adapter", tmp_path / "full") / "README.md").is_file()


@pytest.mark.parametrize("form", ["pickle"])
def test_an_unknown_form_is_refused_with_those_there_are(form, finished, tmp_path):
    run = finished("full")
    for take_home in (
        lambda: export.save_result(run, form, tmp_path / "out"),
        lambda: export.build_zip(run, form),
    ):
        with pytest.raises(NotPossible) as caught:
            take_home()
        assert caught.value.message.text == export.UNKNOWN_FORMAT.text
        assert caught.value.hint.render() == export.OFFERED_FORMATS.render(
            offered=("merged", "gguf", "browser")
        )


def test_a_run_without_a_result_has_nothing_to_take_home(make_plan, tmp_path):
    with pytest.raises(NotPossible, match=r"not learned anything yet \(waiting\)"):
        export.save_result(runs.create(make_plan()), "adapter", tmp_path / "out")


@pytest.mark.exhaustive
def test_a_bundle_is_one_zip_made_once(finished):
    run = finished("lora")
    zip_path = export.build_zip(run, "adapter")
    with zipfile.ZipFile(zip_path) as file:
        assert {"README.md", "plan.yaml", "adapter_model.safetensors", "adapter_config.json"} <= set(
            file.namelist()
        )
    assert list(zip_path.parent.iterdir()) == [zip_path]
    assert zip_path.suffix == ".zip"
    before = zip_path.stat().st_mtime_ns
    assert export.build_zip(run, "adapter") == zip_path
    assert zip_path.stat().st_mtime_ns == before
    with zipfile.ZipFile(
        export.build_zip(run, "adapter", ExportOptions(language="zh"))
    ) as file:  # the card is another
        assert file.read("README.md").decode() == card.render_card(run, "adapter", "zh")


@pytest.mark.thorough
def test_a_run_that_went_on_hands_out_its_new_result(finished):
    run = finished("lora")
    zip_path = export.build_zip(run, "adapter")
    before = zip_path.stat().st_mtime_ns
    os.utime(run.folder / "report.json")  # as a run that goes on writes it last
    (run.model / "adapter_model.safetensors").write_bytes(b"new")
    assert export.build_zip(run, "adapter") == zip_path
    assert zip_path.stat().st_mtime_ns > before
    with zipfile.ZipFile(zip_path) as file:
        assert file.read("adapter_model.safetensors") == b"new"


def change_plan(run, old, new):
    """The run with another text in the place of one in its plan."""
    path = run.folder / "plan.yaml"
    path.write_text(path.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    return runs.get(run.id)


@pytest.mark.parametrize(
    ("model", "hub_id", "part"),
    [
        ("smollm2-135m", "apache-2.0", "Commercial use, changes and passing on are allowed"),
        ("llama3.2-1b", "llama3.2", "“Built with Llama”"),
        ("gemma3-270m", "gemma", "list of prohibited uses"),
        ("someone/unknown", "other", "is not known here"),
    ],
)
def test_the_card_says_what_the_licence_of_the_base_allows(model, hub_id, part, finished):
    run = finished("lora")
    text = card.render_card(change_plan(run, run.plan.model, model), "adapter")
    assert yaml.safe_load(text.split("---")[1])["license"] == hub_id
    assert part in text


def test_data_that_excludes_commercial_use_is_warned_of(finished, chat_csv):
    dataset = store.update_card(store.add(chat_csv, "chat.csv"), licence="CC BY-NC 4.0")
    run = finished("lora")
    run = change_plan(run, run.plan.data.source, dataset.source)
    warning = "The data is licensed as CC BY-NC 4.0, which excludes commercial use"
    assert warning in card.render_card(run, "adapter")
    store.update_card(dataset, licence="CC BY 4.0")
    assert "excludes commercial use" not in card.render_card(run, "adapter")


def test_the_hub_reads_the_cards_data_as_it_was_written(way, finished):
    from huggingface_hub import ModelCard

    run = finished(*way)
    path = run.folder / "report.json"
    report = runs.report(run)
    report["base"]["hub"] = "someone/base"
    path.write_text(json.dumps(report), encoding="utf-8")
    for form in export.available_formats(run):
        text = card.render_card(run, form)
        read = ModelCard(text)
        assert read.data.to_dict() == yaml.safe_load(text.split("---")[1])
        assert read.data.base_model == "someone/base"
        assert read.data.base_model_relation == export.registry.get(form).relation
        assert read.text.lstrip().startswith(f"# {run.plan.name}")


def test_the_card_of_a_checked_export_says_how_the_file_scores(finished, tmp_path):
    folder = export.save_result(finished("lora"), "adapter", tmp_path / "out", ExportOptions(rows=3))
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "## Check of the exported file\n\nChecked in transformers on 3 held-out rows: loss" in text
    unchecked = export.save_result(finished("lora"), "adapter", tmp_path / "other")
    assert "Check of the exported file" not in (unchecked / "README.md").read_text(encoding="utf-8")


def test_whole_results_name_the_tokens_that_end_an_answer(finished, tmp_path):
    """A base like Qwen2.5 names none of its chat template's: the result would write on behind it."""
    full, merged = finished("full").model, export.save_result(finished("lora"), "merged", tmp_path / "merged")
    for folder in (full, merged):
        config = json.loads((folder / "generation_config.json").read_text(encoding="utf-8"))
        tokenizer = load.tokenizer(folder)
        assert config["eos_token_id"] == sorted({tokenizer.eos_token_id, end_of_turn_id(tokenizer)})
