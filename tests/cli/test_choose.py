"""`studio choose` asks the questions in the terminal or reads answers from a file, and writes the plan."""

import io
import json
from pathlib import Path

import pytest
import yaml

from studio import chooser, methods, plan, presets
from studio.cli.choose import run_chooser
from studio.errors import BadPlan

ANSWERS = {"change": "tone", "where": "server", "apart": "middle"}
# A machine whose memory does not depend on where the tests run.
MACHINE = "hf-cpu-basic"


class Terminal(io.StringIO):
    """What a person types."""

    def isatty(self):
        return True


@pytest.fixture
def type_lines(monkeypatch):
    """`type_lines(line, line, …)`: a person at the terminal who types these lines and then hangs up."""
    return lambda *lines: monkeypatch.setattr("sys.stdin", Terminal("".join(f"{line}\n" for line in lines)))


@pytest.fixture
def answers_file(tmp_path):
    def write(content):
        path = tmp_path / "answers.yaml"
        text = content if isinstance(content, str) else yaml.safe_dump(content)
        path.write_text(text, encoding="utf-8")
        return str(path)

    return write


def choose_as_json(capsys, answers="", **options):
    assert run_chooser(machine=MACHINE, as_json=True, answers_file=answers, **options) == 0
    return json.loads(capsys.readouterr().out)


def test_enter_takes_what_is_in_brackets_and_a_number_or_a_name_answers_too(type_lines, capsys):
    type_lines("2", "", "", "server", "", "MIDDLE")
    choice = choose_as_json(capsys, data="sample:support-tone")
    assert choice["answers"] == {
        "change": "tone",
        "have": "answers",
        "many": "some",
        "where": "server",
        "budget": "free",
        "apart": "middle",
    }
    assert choice["prefilled"] == {"have": "answers", "many": "some", "where": "unknown", "budget": "free"}


def test_every_question_is_asked_with_its_choices_and_what_is_filled_in(type_lines, capsys):
    type_lines("tone", "", "", "server", "", "middle")
    assert run_chooser(data="sample:support-tone", machine=MACHINE) == 0
    output = capsys.readouterr().err
    for number, question in enumerate(chooser.QUESTIONS, 1):
        assert f"{number}/6 {question.text.render()}" in output
        assert all(text.render() in output for _, text in question.choices)
    assert output.count("[answers] ") == output.count("[some] ") == output.count("[free] ") == 1


def test_what_is_no_choice_is_asked_again(type_lines, capsys):
    type_lines("sing", "7", "", "tone", "", "", "server", "", "middle")
    assert run_chooser(data="sample:support-tone", machine=MACHINE) == 0
    assert (
        capsys.readouterr().err.count(
            "Answer with a number from 1 to 4 or one of knowledge, tone, format, decisions"
        )
        == 3
    )


def test_a_terminal_that_ends_early_is_told_so(type_lines, capsys):
    type_lines("tone")
    assert run_chooser(machine=MACHINE) == 2
    assert "The questions ended before they were all answered." in capsys.readouterr().err


def test_without_a_terminal_and_without_answers_it_says_so_and_ends_with_two(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert run_chooser(data="sample:support-tone", machine=MACHINE) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert "--answers FILE.yaml" in output.err
    assert "change, have, many, where, budget, apart" in output.err


def test_a_file_answers_what_the_data_does_not(answers_file, capsys):
    choice = choose_as_json(capsys, data="sample:support-tone", answers=answers_file(ANSWERS))
    assert choice["method"] == "lora"
    assert choice["machine"] == MACHINE
    assert len(choice["reasons"]) == 3
    assert set(choice["lost"]) == set(presets.methods()) - {"lora"}
    for text in (*choice["reasons"], *choice["lost"].values(), choice["prompt"]):
        assert text["en"]
        assert text["zh"] != text["en"]
    assert choice["estimate"]["fits"] is True
    assert plan.find_problems(choice["plan"]) + methods.find_plan_problems(choice["plan"]) == []


def test_the_file_has_its_way_over_what_is_filled_in(answers_file, capsys):
    choice = choose_as_json(
        capsys, data="sample:support-tone", answers=answers_file({**ANSWERS, "many": "few"})
    )
    assert choice["prefilled"]["many"] == "some"
    assert choice["answers"]["many"] == "few"
    assert (choice["method"], choice["plan"], choice["estimate"]) == (None, None, None)
    assert choice["advice"]["zh"]


def test_the_eyes_get_the_method_three_reasons_the_estimate_and_why_the_others_lost(answers_file, capsys):
    path = answers_file(ANSWERS)
    choice = choose_as_json(capsys, data="sample:support-tone", answers=path)
    assert run_chooser(data="sample:support-tone", machine=MACHINE, answers_file=path) == 0
    out = capsys.readouterr().out
    assert out.startswith("LoRA (lora)\n")
    for text in (*choice["reasons"], *choice["lost"].values()):
        assert text["en"] in out
    assert f"{choice['estimate']['trainable_parameters']:,} / " in out
    assert "  | Answer the last message in exactly the voice" in out


def test_advice_is_printed_as_such(answers_file, capsys):
    assert (
        run_chooser(machine=MACHINE, answers_file=answers_file({**ANSWERS, "have": "nothing", "many": "few"}))
        == 0
    )
    assert capsys.readouterr().out.startswith("Do not train yet\n  There is nothing to learn from yet.\n")


def test_the_plan_that_is_written_is_the_plan_that_was_chosen(answers_file, tmp_path, capsys):
    target = tmp_path / "plan.yaml"
    choice = choose_as_json(
        capsys, data="sample:support-tone", answers=answers_file(ANSWERS), target=str(target)
    )
    written_plan = plan.load(target, extra_checks=(methods.find_plan_problems,))
    assert written_plan.model_dump(mode="json", exclude_none=True) == choice["plan"]


def test_a_file_of_one_s_own_is_found_again_from_wherever_the_plan_lies(
    answers_file, chat_csv, tmp_path, monkeypatch
):
    monkeypatch.chdir(chat_csv.parent)
    target = tmp_path / "elsewhere" / "plan.yaml"
    target.parent.mkdir()
    answers = answers_file({**ANSWERS, "many": "some"})
    assert run_chooser(data=chat_csv.name, machine=MACHINE, answers_file=answers, target=str(target)) == 0
    assert Path(plan.load(target).data.source) == chat_csv


def test_a_plan_is_never_written_over_another_file(answers_file, tmp_path, capsys):
    target = tmp_path / "plan.yaml"
    target.write_text("notes", encoding="utf-8")
    assert run_chooser(machine=MACHINE, answers_file=answers_file(ANSWERS), target=str(target)) == 2
    assert "is there already" in capsys.readouterr().err
    assert target.read_text(encoding="utf-8") == "notes"
    assert (
        run_chooser(
            machine=MACHINE, answers_file=answers_file(ANSWERS), target=str(tmp_path / "no" / "plan.yaml")
        )
        == 2
    )
    assert "there is no folder" in capsys.readouterr().err


def test_advice_writes_no_plan_and_ends_with_one(answers_file, tmp_path, capsys):
    target = tmp_path / "plan.yaml"
    assert (
        run_chooser(
            machine=MACHINE,
            answers_file=answers_file({**ANSWERS, "have": "nothing", "many": "few"}),
            target=str(target),
        )
        == 1
    )
    assert "No plan was written" in capsys.readouterr().err
    assert not target.exists()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"change": "sing"}, "change: expected one of knowledge, tone, format, decisions, but got 'sing'"),
        ({**ANSWERS, "colour": "blue"}, "colour: is not a question"),
        ("- tone", "expected lines such as `change: tone`, but got list"),
        ("a: [", "cannot be read as YAML"),
    ],
    ids=["choice", "question", "list", "yaml"],
)
def test_a_wrong_file_of_answers_ends_with_two_and_a_sentence(answers_file, capsys, content, problem):
    assert run_chooser(data="sample:support-tone", machine=MACHINE, answers_file=answers_file(content)) == 2
    assert problem in capsys.readouterr().err


def test_a_file_or_a_machine_that_is_not_there_is_named(answers_file, tmp_path, capsys):
    assert run_chooser(answers_file=str(tmp_path / "none.yaml"), machine=MACHINE) == 2
    assert "none.yaml cannot be read as YAML: No such file" in capsys.readouterr().err
    assert (
        run_chooser(data=str(tmp_path / "none.csv"), machine=MACHINE, answers_file=answers_file(ANSWERS)) == 2
    )
    assert "none.csv" in capsys.readouterr().err
    with pytest.raises(BadPlan, match="expected here or one of"):
        run_chooser(machine="cray-1")
