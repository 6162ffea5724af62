"""What is taken home opens without the studio and gives the same answers, with a card that says where it comes from."""

import os
import re
import zipfile

import pytest
import torch
import yaml
from safetensors.torch import load_file
from ways import NOT_BY_HEART

from studio import export, methods, runs
from studio.data import store
from studio.errors import NotPossible
from studio.export import card
from studio.methods import compatibility
from studio.models import load

TEXT = "where is my lamp"


def open_with_transformers(folder, task):
    """A folder opened with transformers alone."""
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    auto_class = AutoModelForSequenceClassification if task == "classify" else AutoModelForCausalLM
    return auto_class.from_pretrained(folder).eval()


def get_logits(model, folder):
    from transformers import AutoTokenizer

    with torch.no_grad():
        return model(**AutoTokenizer.from_pretrained(folder)(TEXT, return_tensors="pt")).logits


def tuned_logits(run):
    """What the run itself answers."""
    plan, report = run.plan, runs.report(run)
    in_4_bits = methods.get(plan.method.name).weights == "nf4"
    base = load.base_model(load.Path(plan.model), plan.task, report["labels"], plan.training.seed, in_4_bits)
    return get_logits(methods.get(plan.method.name).load(base, run.model), run.model)


def test_every_form_a_method_offers_can_be_written(way, finished, tmp_path):
    run = finished(*way)
    for form in export.available_formats(run):
        folder = export.save_result(run, form, tmp_path / "deep" / form)
        names = {path.name for path in folder.iterdir()}
        assert {"README.md", "plan.yaml", "tokenizer.json"} <= names
        assert list(folder.glob("*.safetensors"))


def test_merged_weights_open_with_plain_transformers_and_answer_the_same(way, finished, tmp_path):
    run = finished(*way)
    if "merged" not in export.available_formats(run):
        why = compatibility.find_export_incompatibility(way[0], "merged").reason.render()
        with pytest.raises(NotPossible, match=re.escape(why)):
            export.save_result(run, "merged", tmp_path / "merged")
        return
    folder = export.save_result(run, "merged", tmp_path / "merged")
    model = open_with_transformers(folder, way[1])
    torch.testing.assert_close(get_logits(model, folder), tuned_logits(run), rtol=0, atol=1e-4)
    if way[1] == "classify":
        assert list(model.config.id2label.values()) == ["billing", "delivery", "returns"]


@pytest.mark.parametrize("task", ["chat", "classify"])
def test_an_adapter_opens_with_plain_peft_and_answers_the_same(task, finished, tmp_path, bases):
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoModelForSequenceClassification

    run = finished("lora", task)
    folder = export.save_result(run, "adapter", tmp_path / "adapter")
    if task == "classify":
        base = AutoModelForSequenceClassification.from_pretrained(bases(task), num_labels=3)
    else:
        base = AutoModelForCausalLM.from_pretrained(bases(task))
    tuned = PeftModel.from_pretrained(base, folder).eval()
    torch.testing.assert_close(get_logits(tuned, folder), tuned_logits(run), rtol=0, atol=1e-5)
    assert (
        sum(value.numel() for value in load_file(folder / "adapter_model.safetensors").values())
        == runs.report(run)["parameters"]["trainable"]
    )


def test_the_card_holds_the_figures_of_the_run(way, finished, tmp_path):
    run = finished(*way)
    report = runs.report(run)
    form = export.available_formats(run)[0]
    text = (export.save_result(run, form, tmp_path / "out") / "README.md").read_text(encoding="utf-8")
    assert f"| loss | {report['before']['loss']:.4g} | {report['after']['loss']:.4g} |" in text
    assert f"{report['parameters']['trainable']:,} of {report['parameters']['total']:,}" in text
    for text_part in (report["base"]["checksum"], report["tuned"]["checksum"], report["data"]["sha256"]):
        assert text_part in text
    front = yaml.safe_load(text.split("---")[1])
    assert front["base_model"] == run.plan.model
    assert front["library_name"] == ("peft" if form == "adapter" else "transformers")
    assert front["pipeline_tag"] == ("text-classification" if way[1] == "classify" else "text-generation")


def test_a_chinese_card_says_the_same_in_chinese_and_the_hub_reads_the_same_front(way, finished, tmp_path):
    run = finished(*way)
    form = export.available_formats(run)[0]
    english, chinese = (card.render_card(run, form, language) for language in ("en", "zh"))
    assert chinese.split("---")[1] == english.split("---")[1]
    prose = re.sub(r"```.*?```|`[^`]*`", "", chinese.split("---", 2)[2], flags=re.DOTALL)
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
        row = f"| {name.replace('_', ' ')} | {figures['loss']:.4g} | {figures['accuracy']:.4g} | {figures['bytes'] / 1e6:.1f} |"
        assert row in text


def test_the_code_on_the_card_runs(way, finished, tmp_path, monkeypatch, capsys):
    run = finished(*way)
    for form in export.available_formats(run):
        folder = export.save_result(run, form, tmp_path / form)
        (code,) = re.findall(
            r"```python\n(.*?)```", (folder / "README.md").read_text(encoding="utf-8"), re.DOTALL
        )
        monkeypatch.chdir(folder)
        monkeypatch.syspath_prepend(folder)
        exec(
            compile(code.replace("…", "Thanks for" if way[1] == "complete" else TEXT), "README.md", "exec"),
            {},
        )
        output = capsys.readouterr().out.strip()
        by_heart = way[0] not in NOT_BY_HEART and (way[0], form) != ("qlora", "adapter")
        assert (
            output in ("billing", "delivery", "returns")
            if way[1] == "classify"
            else output.startswith("Thanks for asking") or not by_heart
        )


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


@pytest.mark.parametrize("form", ["gguf", "adapter"])
def test_a_form_the_method_does_not_offer_is_refused_with_those_it_does(form, finished, tmp_path):
    run = finished("full")
    for take_home in (
        lambda: export.save_result(run, form, tmp_path / "out"),
        lambda: export.build_zip(run, form),
    ):
        with pytest.raises(NotPossible) as caught:
            take_home()
        assert caught.value.message.text == export.UNKNOWN_FORMAT.text
        assert caught.value.hint.render() == export.OFFERED_FORMATS.render(offered=("merged",))


def test_a_run_without_a_result_has_nothing_to_take_home(make_plan, tmp_path):
    with pytest.raises(NotPossible, match=r"not learned anything yet \(waiting\)"):
        export.save_result(runs.create(make_plan()), "adapter", tmp_path / "out")


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
    with zipfile.ZipFile(export.build_zip(run, "adapter", "zh")) as file:  # the card is another
        assert file.read("README.md").decode() == card.render_card(run, "adapter", "zh")


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
