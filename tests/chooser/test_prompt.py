"""The prompt that can be tried on the base model right away, filled with the person's own examples."""

import csv
import re

from chooser_cases import CPU, GRID_SAMPLE, TONE, fixed_estimates, write_csv

from studio import chooser, presets
from studio.i18n import languages


def prompt_for(source, **changes):
    return chooser.choose({**TONE, **changes}, source, CPU, fixed_estimates()).prompt


def test_a_prompt_holds_the_person_s_own_examples_and_asks_a_further_one():
    text = presets.samples()["support-tone"].path.read_text(encoding="utf-8")
    rows = list(csv.DictReader(text.splitlines()))
    prompt = prompt_for("sample:support-tone")
    for language in languages():
        for row in rows[:3]:
            assert row["customer"] in prompt.render(language)
            assert row["reply"] in prompt.render(language)
        assert rows[3]["customer"] in prompt.render(language)
        assert rows[3]["reply"] not in prompt.render(language)


def test_a_prompt_for_sorting_names_the_person_s_classes_and_shows_different_ones():
    prompt = prompt_for("sample:ticket-triage", change="decisions", have="labels").render()
    assert "account, billing, delivery, product question, returns, technical problem" in prompt
    assert len(set(re.findall(r"\nClass: (.+)", prompt))) == 3


def test_a_prompt_for_facts_holds_the_page_where_the_answer_stands():
    prompt = prompt_for("sample:support-tone", change="knowledge").render()
    assert "Answer from the text below alone" in prompt
    assert "Hello from the potting shed. The missing £4.00" in prompt


def test_without_data_a_prompt_says_in_brackets_what_belongs_there():
    for answers in GRID_SAMPLE:
        prompt = prompt_for("", **answers)
        for language in languages():
            assert re.search(r"\[[^\]]+\]", prompt.render(language)), answers
            assert not re.search(r"{\w*}", prompt.render(language)), answers


def test_braces_in_the_data_stay_as_they_are(tmp_path):
    rows = [(f"How many are in box {number}?", f'{{"count": {number}}}') for number in range(60)]
    source = write_csv(tmp_path / "json.csv", ("customer", "reply"), *rows)
    prompt = prompt_for(source, change="format")
    assert 'Answer: {"count": 0}' in prompt.render()
    assert 'Answer: {"count": 0}' not in prompt.render("zh")
    assert '回答：{"count": 0}' in prompt.render("zh")
