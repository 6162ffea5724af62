"""The chooser over the whole grid of answers: every set becomes a plan that can run or advice, for reasons that hold."""

import csv
import dataclasses
import itertools
import re
from functools import lru_cache

import pytest
import yaml

from studio import methods, presets, wizard
from studio import plan as plans
from studio.data.enough import wanted
from studio.errors import BadData
from studio.estimate import load, machines, table
from studio.estimate.figures import Estimate, around
from studio.methods import fits
from studio.wizard import answers as asked
from studio.wizard import case as cases
from studio.wizard import rules, shut, texts
from studio.wizard.texts import WORDS
from studio.words import LANGUAGES, Words

NAMES = list(presets.methods())
GRID = [
    dict(zip((one.id for one in wizard.QUESTIONS), combination, strict=True))
    for combination in itertools.product(*([name for name, _ in one.choices] for one in wizard.QUESTIONS))
]
SOME = GRID[::31]
TONE = {"change": "tone", "have": "answers", "many": "some", "where": "server", "budget": "small", "apart": "middle"}
CHINESE = re.compile(r"[\u4e00-\u9fff]")
PLACES = machines.places()
HOME, T4 = PLACES["hf-cpu-basic"], PLACES["hf-t4-small"]


def stub(minutes=10.0, lacking=(), slow=(), need=4.0, room=16.0):
    """Estimates by decree: `lacking` methods need 3.1 GB more than there are, `slow` ones ten days."""

    def made(plan):
        found = {}
        for place, name in enumerate(NAMES):
            if fits.refusal(name, plan.task):
                continue
            size, no = (room + 3.1, True) if name in lacking else (need, False)
            took = 10 * 24 * 60.0 if name in slow else minutes * (1 + place / 10)
            found[name] = Estimate(
                name, 10**6, 10**8, around(size, 1.1), {"model": size}, around(took, 2), fits="no" if no else "yes", room_gb=room
            )
        return found

    return made


def by_formula(place):
    """The estimates of the closed form; each plan is priced once."""
    known = {}

    def made(plan):
        key = (plan.task, plan.model, plan.data.source, str(plan.method.settings) and plan.method.model_dump_json())
        if key not in known:
            base = table.base(plan.model)
            settings = {plan.method.name: methods.get(plan.method.name).settle(plan.method.settings)}
            known[key] = table.estimates(plan, place, settings, base, load.lengths(plan, base.folder), refined=False)
        return known[key]

    return made


@lru_cache
def grid():
    """Every set of answers with what it comes to, on data of 140 questions with answers."""
    return [(answers, wizard.choose(answers, "sample:support-tone", HOME, stub())) for answers in GRID]


def chosen():
    return [(answers, found) for answers, found in grid() if found.method]


def sentences(found):
    """Everything a choice says, but its prompt."""
    return [*found.reasons, *found.lost.values(), *(one for one in (found.advice, found.note) if one)]


def write(path, *rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


# The words


def test_there_are_six_questions_of_six_choices_at_most_and_each_choice_stands_in_a_sentence_too():
    assert [one.id for one in wizard.QUESTIONS] == ["change", "have", "many", "where", "budget", "apart"]
    for one in wizard.QUESTIONS:
        assert 2 <= len(one.choices) <= 6
        assert list(WORDS.questions[one.id].short) == [name for name, _ in one.choices]


def test_every_word_is_said_in_both_languages_with_the_same_blanks():
    def leaves(found, place=""):
        if isinstance(found, dict) and set(found) & set(LANGUAGES):
            return [(place, found)]
        return [leaf for key, part in found.items() for leaf in leaves(part, f"{place}.{key}")]

    for place, said in leaves(yaml.safe_load(texts.FILE.read_text(encoding="utf-8"))):
        assert set(said) == set(LANGUAGES), place
        assert not CHINESE.search(said["en"]), place
        blanks = [set(re.findall(r"{(\w+)", said[language])) for language in LANGUAGES]
        assert blanks[0] == blanks[1], place
        name_alone = place in (".names.lora", ".names.rlhf", ".names.qlora", ".names.upft", ".names.peft")
        assert name_alone or CHINESE.search(said["zh"]) or not re.sub(r"{\w+}", "", said["zh"]).strip(), place


def test_every_rule_has_its_sentence_and_no_sentence_is_left_over():
    assert {rule.name for rule in rules.RULES} == set(WORDS.rules)
    assert {line.name for line in rules.LOST} == set(WORDS.lost)
    assert {line.name for line in rules.ADVICE if line.name} | {"short", "budget", "room", "refused"} == set(WORDS.advice)
    assert set(WORDS.names) == set(NAMES)
    questions = {one.id: {name for name, _ in one.choices} for one in wizard.QUESTIONS}
    for one in (*rules.RULES, *rules.ADVICE, *rules.LOST):
        for name, choices in one.when.items():
            assert name not in questions or set(choices) <= questions[name], one


@pytest.mark.parametrize("name", NAMES)
def test_a_loser_is_never_left_without_a_line(name):
    assert any(not line.when and name in line.methods for line in rules.LOST)


# The grid


def test_every_set_of_answers_becomes_a_plan_that_passes_every_check_or_advice():
    for answers, found in grid():
        if found.method:
            raw = found.plan.model_dump()
            assert plans.problems(raw) + methods.problems(raw) == [], answers
            assert found.plan.method.name == found.method
            assert found.plan.training == plans.Training(), "the training is left to its defaults"
            assert found.advice is None
        else:
            assert (found.plan, found.estimate) == (None, None)
            assert found.advice.en
            assert len(found.reasons) == 1, answers
        assert found.prompt.en, answers


def test_a_method_wins_for_three_reasons_and_every_other_says_why_it_lost():
    for answers, found in chosen():
        assert len(found.reasons) == 3, answers
        assert len({said.en for said in found.reasons}) == 3, answers
        assert list(found.lost) == [name for name in NAMES if name != found.method], answers


def test_every_method_wins_somewhere_and_so_does_advice():
    won = {found.method for _, found in grid()}
    assert won == {*NAMES, None}


def test_everything_that_is_said_is_a_whole_sentence_in_both_languages():
    for answers, found in grid():
        for said in sentences(found):
            assert re.fullmatch(r"[A-Z0-9].*[.]", said.en), (answers, said.en)
            assert said.zh.endswith("。"), (answers, said.zh)
            assert not re.search(r"[{}]|None|\binf\b|\(\)", said.en + said.zh), (answers, said)
            assert not re.search(r"[\u4e00-\u9fff][A-Za-z0-9$]|[A-Za-z0-9][\u4e00-\u9fff]", said.zh), said.zh


@pytest.mark.parametrize("question", ["change", "many", "budget", "have"])
def test_what_is_said_speaks_of_the_answers_that_were_given_and_of_no_others(question):
    shorts = WORDS.questions[question].short
    # A rule names its own condition, such as "with days or hundreds of dollars to spend", before the answer that does not meet it.
    conditions = (
        {"full_budget"} if question == "budget" else {"examples_questions", "rlhf", "upft", "upft_pairs", "examples_pairs", "facts"}
    )
    own = [WORDS.lost[name].en.split("{")[0] for name in conditions if name in WORDS.lost]
    own += [WORDS.shut[name].en.split("{")[0] for name in conditions if name in WORDS.shut]
    for answers, found in chosen():
        for said in (*found.reasons, *found.lost.values()):
            if any(said.en.startswith(head) for head in own):
                continue
            for name, words in shorts.items():
                mine = shorts[answers[question]].en.lower()
                if name != answers[question] and words.en.lower() not in mine:
                    assert words.en.lower() not in said.en.lower().replace(mine, ""), (answers, said.en)


def test_the_same_answers_come_to_the_same_in_whatever_order_they_are_given():
    for answers in SOME:
        found = [wizard.choose(dict(order), "sample:support-tone", HOME, stub()) for order in (answers.items(), reversed(answers.items()))]
        assert found[0] == found[1]


def test_of_two_methods_with_the_same_points_the_first_of_the_table_wins():
    answers = {**TONE, "change": "knowledge", "many": "lots", "budget": "large", "apart": "far"}
    facts = {**answers, "base": "writer", "room": "enough"}
    scores = {name: sum(points for points, _ in rules.points(name, facts)) for name in NAMES}
    assert scores["full"] == scores["adapter"] == max(scores.values())
    assert wizard.choose(answers, "", HOME, stub()).method == "full"


# What the article and the papers say


@pytest.mark.parametrize(
    ("changed", "method"),
    [
        ({}, "lora"),
        ({"budget": "large", "apart": "far", "many": "lots"}, "full"),
        ({"have": "pairs", "many": "many", "budget": "any"}, "rlhf"),
        ({"change": "decisions", "have": "questions", "many": "many"}, "upft"),
        ({"where": "phone"}, "qlora"),
        ({"where": "phone", "many": "many", "budget": "free"}, "qlora"),
        ({"where": "phone", "many": "many"}, "qat"),
        ({"change": "format", "where": "unknown", "budget": "free"}, "peft"),
        ({"change": "format", "apart": "near", "where": "cloud"}, "prefix"),
        ({"change": "decisions", "have": "labels", "apart": "near"}, "frozen"),
        ({"change": "decisions", "have": "labels", "many": "many"}, "full"),
        ({"change": "knowledge", "have": "texts", "many": "many", "apart": "far"}, "adapter"),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value.values()),
)
def test_the_article_s_advice_holds_where_everything_fits(changed, method):
    assert wizard.choose({**TONE, **changed}, "", HOME, stub()).method == method


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"change": "knowledge"}, "Facts are learned badly"),
        ({"have": "nothing"}, "nothing to learn from"),
        ({"many": "few"}, "Fewer than 50 questions with good answers are too few"),
        ({"have": "labels"}, "do not show it the tone"),
        ({"have": "questions"}, "cannot know the tone"),
        ({"change": "decisions", "have": "questions", "many": "lots", "apart": "far"}, "far from that"),
        ({"change": "decisions", "have": "questions", "many": "some"}, "UPFT asks for 800 or more"),
        ({"change": "decisions", "have": "texts"}, "not how it is decided"),
    ],
    ids=lambda value: ",".join(value.values()) if isinstance(value, dict) else "",
)
def test_where_training_is_not_the_answer_it_says_so_and_what_to_do_instead(changed, said):
    found = wizard.choose({**TONE, **changed}, "", HOME, stub())
    assert found.method is None
    assert said in found.reasons[0].en
    assert len(found.advice.en) > 60


def test_a_method_that_wants_more_examples_than_there_can_be_never_wins():
    for answers, found in chosen():
        assert wanted(found.method, found.plan.task)[0] <= asked.AMOUNTS[answers["many"]][1], answers


def test_few_pairs_take_the_short_cut_and_many_are_practised_on():
    pairs = {**TONE, "have": "pairs"}
    few, many = (wizard.choose({**pairs, "many": many}, "", HOME, stub()) for many in ("some", "lots"))
    assert few.plan.method.settings == {"way": "dpo"}
    assert "DPO" in few.reasons[1].en
    assert many.plan.method.settings == {}
    assert "reward model" in many.reasons[1].en


# The estimator has the last word


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_never_wins_and_says_by_how_much(name):
    for answers in SOME:
        found = wizard.choose(answers, "sample:support-tone", HOME, stub(lacking=(name,)))
        assert found.method != name, answers
        if found.method and not fits.refusal(name, found.plan.task):
            assert found.lost[name].en.startswith("Needs 3.1 GB more than Hugging Face Space, cpu-basic has, mostly for the model")


@pytest.mark.parametrize("name", NAMES)
def test_what_takes_longer_than_allowed_never_wins_unless_anything_is_allowed(name):
    for answers in SOME:
        found = wizard.choose(answers, "sample:support-tone", HOME, stub(slow=(name,)))
        assert found.method != name or answers["budget"] == "any", answers


@pytest.mark.parametrize(("minutes", "budgets"), [(70, {"small", "large", "any"}), (300, {"large", "any"}), (5000, {"any"})])
def test_a_run_stays_within_the_budget_that_was_named(minutes, budgets):
    found = {answers["budget"] for answers in SOME if wizard.choose(answers, "", HOME, stub(minutes)).method}
    assert found == budgets


def test_on_a_machine_with_a_price_the_money_counts():
    def priced(plan):
        money = around(30.0, 1.2)
        return {name: dataclasses.replace(one, money=money) for name, one in stub(minutes=9_000)(plan).items()}

    found = {budget: wizard.choose({**TONE, "budget": budget}, "", T4, priced) for budget in shut.LIMITS}
    assert [budget for budget, one in found.items() if one.method] == ["large", "any"]
    assert found["small"].lost["lora"].en == "Costs about $30.00 on Hugging Face t4-small; you allow an evening or a few dollars."
    yuan = stub()(found["any"].plan)["lora"]
    yuan = dataclasses.replace(yuan, money=around(5.0, 1.2), currency="CNY")
    assert "¥5.00" in shut.beyond(yuan, T4, "free").en
    assert shut.beyond(yuan, T4, "small") is None, "yuan are not dollars, so the time counts"


def test_where_nothing_fits_it_names_what_comes_closest():
    found = wizard.choose(TONE, "", HOME, stub(lacking=NAMES))
    assert found.method is None
    assert "needs 3.1 GB more" in found.reasons[0].en
    assert set(found.lost) == set(NAMES)


def test_where_nothing_is_quick_enough_it_names_the_quickest():
    found = wizard.choose({**TONE, "budget": "free"}, "", HOME, stub(minutes=100))
    assert found.method is None
    assert "even the quickest way, frozen-layer fine-tuning, takes about 2 hours; you allow an hour and no money" in found.reasons[0].en


def test_a_loser_that_takes_clearly_longer_says_so():
    found = wizard.choose(TONE, "", HOME, stub())
    assert found.lost["qat"].en.endswith("It would take about 18 minutes here, against 12 minutes.")
    assert "here, against" not in found.lost["prefix"].en, "13 minutes against 12 decide nothing"


def test_the_estimate_is_that_of_the_plan_with_its_own_settings():
    seen = []

    def estimates(plan):
        seen.append(plan)
        found = stub()(plan)
        return {name: dataclasses.replace(one, trainable=7) for name, one in found.items()} if plan.method.settings else found

    found = wizard.choose({**TONE, "have": "pairs"}, "", HOME, estimates)
    assert seen[-1] == found.plan
    assert found.estimate.trainable == 7


def test_rlhf_that_does_not_fit_in_all_its_stages_takes_the_short_cut():
    def estimates(plan):
        return stub(lacking=() if plan.method.settings.get("way") == "dpo" else ("rlhf",))(plan)

    found = wizard.choose({**TONE, "have": "pairs", "many": "lots", "budget": "any"}, "", HOME, estimates)
    assert (found.method, found.plan.method.settings) == ("rlhf", {"way": "dpo"})
    assert found.estimate.fits == "yes"


def test_what_nobody_can_estimate_is_said_to_be_open():
    unknown = {name: Estimate(name, missing=(table.NO_SHAPE,)) for name in NAMES}
    found = wizard.choose(TONE, "", HOME, lambda plan: unknown, model="someone/new-model")
    assert found.method == "lora"
    assert found.reasons[2].en == "What it takes on Hugging Face Space, cpu-basic is known once the base model new-model is here."


def test_a_model_that_only_reads_is_refused_for_everything_that_writes():
    found = wizard.choose(TONE, "", HOME, stub(), model="minilm-l6")
    assert found.method is None
    assert found.reasons[0] == fits.ENCODER.why
    assert found.advice == fits.ENCODER.nearest


def test_a_missing_library_rules_out_what_needs_it(monkeypatch):
    monkeypatch.setattr(fits, "has", lambda library: False)
    found = wizard.choose({**TONE, "where": "phone"}, "", HOME, stub())
    assert found.method == "lora"
    assert "bitsandbytes" in found.lost["qlora"].en
    assert "torchao" in found.lost["qat"].en


@pytest.mark.parametrize("place", [HOME, T4, PLACES["hf-h200"]], ids=lambda place: place.id)
def test_the_real_estimates_and_the_choice_agree(place):
    estimates = by_formula(place)
    won = set()
    for answers in GRID[::13]:
        found = wizard.choose(answers, "sample:support-tone", place, estimates)
        if found.method:
            won.add(found.method)
            own = estimates(found.plan)[found.method]
            assert own.fits in ("yes", "tight"), answers
            assert found.estimate == own
            assert shut.beyond(own, place, answers["budget"]) is None
    assert len(won) >= 6


def test_qlora_wins_where_lora_alone_does_not_fit_and_says_how_much_it_lacks():
    found = wizard.choose(TONE, "sample:support-tone", T4, by_formula(T4), model="qwen3-8b")
    assert found.method == "qlora"
    lacks = re.fullmatch(r"LoRA would need ([\d.]+) GB more than Hugging Face t4-small has; .*", found.reasons[0].en)
    assert f"Needs {lacks[1]} GB more" in found.lost["lora"].en


@pytest.mark.parametrize(("room", "name"), cases.WRITERS)
def test_a_base_model_that_is_proposed_leaves_room_for_lora(room, name):
    place = dataclasses.replace(PLACES["hf-l4x1"], usable_bytes=int(room * machines.GIB))
    found = cases.suited(None, "chat")
    assert cases.base_model(found, place, phone=False) == name
    plan = plans.Plan(task="chat", model=name, data=found.data, method=plans.MethodChoice(name="lora"))
    assert by_formula(place)(plan)["lora"].fits == "yes"


def test_a_phone_is_given_a_small_model_and_a_processor_an_embedded_one():
    found = cases.suited(None, "chat")
    assert cases.base_model(found, PLACES["hf-h200"], phone=True) == "qwen3-1.7b"
    assert cases.base_model(found, HOME, phone=False) == "smollm2-135m"
    assert presets.models()["smollm2-135m"].wheel


# The data at hand


def test_data_that_serves_the_answers_is_used_as_it_is():
    found = wizard.choose(TONE, "sample:support-tone", HOME, stub())
    assert found.plan.data == plans.Data(source="sample:support-tone", columns={"prompt": "customer", "response": "reply"})
    assert found.note is None


def test_columns_that_a_person_set_are_kept():
    given = cases.Guess("complete", {"text": "reply"}, sure=True)
    found = wizard.choose({**TONE, "have": "texts"}, "sample:support-tone", HOME, stub(), given)
    assert (found.plan.task, found.plan.data.columns, found.note) == ("complete", {"text": "reply"}, None)


@pytest.mark.parametrize("have", asked.TASKS)
def test_without_data_the_plan_stands_on_a_sample_and_says_so(have):
    answers = {**TONE, "have": have, "many": "many", "change": "decisions" if have in ("labels", "questions") else "tone"}
    found = wizard.choose(answers, "", HOME, stub())
    assert found.plan.data.source.startswith("sample:")
    assert found.note.en.startswith("There is no data yet, so the plan stands on the sample")


def test_data_of_another_kind_gives_way_to_a_sample_with_a_note():
    found = wizard.choose({**TONE, "change": "decisions", "have": "labels"}, "sample:support-tone", HOME, stub())
    assert found.plan.data.source == "sample:ticket-triage"
    assert "The data at hand holds no labelled texts" in found.note.en


def test_the_better_answers_of_pairs_can_be_learned_alone_and_questions_without_their_answers():
    better = wizard.choose({**TONE, "have": "answers"}, "sample:support-preference", HOME, stub())
    assert (better.plan.task, better.plan.data.columns) == ("chat", {"prompt": "customer", "response": "better"})
    alone = wizard.choose({**TONE, "change": "decisions", "have": "questions", "many": "many"}, "sample:support-tone", HOME, stub())
    assert (alone.plan.task, alone.plan.data.columns) == ("prompts", {"prompt": "customer"})


def test_known_answers_to_questions_can_be_learned_where_a_person_says_so():
    assert wizard.prefill("sample:word-problems", HOME, estimates=stub())["have"] == "questions"
    found = wizard.choose({**TONE, "change": "decisions"}, "sample:word-problems", HOME, stub())
    assert (found.plan.task, found.plan.data.columns) == ("chat", {"prompt": "question", "response": "answer"})


def test_another_number_of_examples_than_answered_is_said_beside_the_estimate():
    found = wizard.choose({**TONE, "many": "lots"}, "sample:support-tone", HOME, stub())
    assert found.note.en == "The data at hand makes 140 examples, and the estimate is for those."


def test_fewer_examples_than_a_method_wants_are_a_first_try():
    found = wizard.choose({**TONE, "have": "pairs"}, "sample:support-preference", HOME, stub())
    assert "120 of them; RLHF asks for 300 or more" in found.note.en


def test_too_few_rows_give_advice_with_these_rows_in_the_prompt(tmp_path):
    file = write(tmp_path / "few.csv", ("customer", "reply"), ("Is it open?", "Yes, dear guest."), ("Is it far?", "A mile, dear guest."))
    filled = wizard.prefill(file, HOME)
    assert (filled["have"], filled["many"]) == ("answers", "few")
    found = wizard.choose({**TONE, **filled}, file, HOME, stub())
    assert found.method is None
    assert "Message: Is it open?\nAnswer: Yes, dear guest." in found.prompt.en
    insisting = wizard.choose(TONE, file, HOME, stub())
    assert insisting.plan.data.source == "sample:support-tone"
    assert "has 2 complete examples." in insisting.note.en


def test_chinese_data_is_given_a_model_that_knows_chinese():
    assert wizard.choose(TONE, "sample:support-zh", HOME, stub()).plan.model == "qwen3-0.6b"
    labels = {**TONE, "change": "decisions", "have": "labels"}
    assert wizard.choose(labels, "sample:support-zh", HOME, stub()).plan.model == "bert-base-chinese"
    assert wizard.choose(TONE, "sample:support-tone", HOME, stub()).plan.model == "smollm2-135m"


def test_a_model_that_was_chosen_stays():
    assert wizard.choose(TONE, "", HOME, stub(), model="smollm2-360m").plan.model == "smollm2-360m"


# The prompt


def test_a_prompt_holds_the_person_s_own_examples_and_asks_a_further_one():
    rows = list(csv.DictReader(presets.samples()["support-tone"].path.read_text(encoding="utf-8").splitlines()))
    found = wizard.choose(TONE, "sample:support-tone", HOME, stub()).prompt
    for language in LANGUAGES:
        for row in rows[:3]:
            assert row["customer"] in found.say(language)
            assert row["reply"] in found.say(language)
        assert rows[3]["customer"] in found.say(language)
        assert rows[3]["reply"] not in found.say(language)


def test_a_prompt_for_sorting_names_the_person_s_classes_and_shows_different_ones():
    found = wizard.choose({**TONE, "change": "decisions", "have": "labels"}, "sample:ticket-triage", HOME, stub()).prompt
    assert "account, billing, delivery, product question, returns, technical problem" in found.en
    assert len(set(re.findall(r"\nClass: (.+)", found.en))) == 3


def test_a_prompt_for_facts_holds_the_page_where_the_answer_stands():
    found = wizard.choose({**TONE, "change": "knowledge"}, "sample:support-tone", HOME, stub()).prompt
    assert "Answer from the text below alone" in found.en
    assert "Hello from the potting shed. The missing £4.00" in found.en


def test_without_data_a_prompt_says_in_brackets_what_belongs_there():
    for answers in SOME:
        found = wizard.choose(answers, "", HOME, stub()).prompt
        for language in LANGUAGES:
            assert re.search(r"\[[^\]]+\]", found.say(language)), answers
            assert not re.search(r"{\w*}", found.say(language)), answers


def test_braces_in_the_data_stay_as_they_are(tmp_path):
    rows = [(f"How many are in box {number}?", f'{{"count": {number}}}') for number in range(60)]
    file = write(tmp_path / "json.csv", ("customer", "reply"), *rows)
    found = wizard.choose({**TONE, "change": "format"}, file, HOME, stub()).prompt
    assert 'Answer: {"count": 0}' in found.en
    assert 'Answer: {"count": 0}' not in found.zh
    assert '回答：{"count": 0}' in found.zh


# What is filled in


def test_the_data_and_the_machine_answer_what_they_can():
    filled = {"have": "answers", "many": "some", "where": "unknown", "budget": "free"}
    assert wizard.prefill("sample:support-tone", HOME, estimates=stub()) == filled, "most of six"
    triage = wizard.prefill("sample:ticket-triage", HOME, estimates=stub())
    assert (triage["have"], triage["change"]) == ("labels", "decisions")
    assert wizard.prefill("", T4) == {"where": "cloud", "budget": "small"}


@pytest.mark.parametrize(
    ("minutes", "budget"), [(5, "free"), (70, "small"), (300, "large"), (10_000, "any")], ids=["minutes", "an hour", "hours", "days"]
)
def test_the_budget_that_is_filled_in_lets_at_least_one_method_run(minutes, budget):
    filled = wizard.prefill("sample:support-tone", HOME, estimates=stub(minutes))
    assert filled["budget"] == budget
    assert wizard.choose({**TONE, **filled}, "sample:support-tone", HOME, stub(minutes)).method


@pytest.mark.parametrize(("count", "many"), [(0, "few"), (49, "few"), (50, "some"), (500, "some"), (501, "many"), (5_001, "lots")])
def test_a_number_of_examples_has_its_choice(count, many):
    assert wizard.known("chat", count, 0, HOME)["many"] == many


def test_what_is_filled_in_is_a_choice_of_its_question():
    names = {one.id: [name for name, _ in one.choices] for one in wizard.QUESTIONS}
    for task, place in itertools.product(("", *plans.ROLES), (HOME, T4)):
        for question, choice in wizard.known(task, 100, 3 if task == "classify" else 0, place).items():
            assert choice in names[question]


def test_wrong_answers_are_all_named_at_once():
    with pytest.raises(BadData) as caught:
        wizard.choose({**TONE, "change": "sing", "colour": "blue"} | {"many": 3}, "", HOME, stub())
    for said in ("colour: is not a question", "change: expected one of knowledge, tone", "many: expected one of few"):
        assert said in caught.value.say()
    assert "colour：没有这个问题" in caught.value.say("zh")
    with pytest.raises(BadData, match=r"apart: is missing \(near, middle, far\)"):
        wizard.checked({name: choice for name, choice in TONE.items() if name != "apart"})
    with pytest.raises(BadData, match="but got list"):
        wizard.checked(["tone"])


def test_data_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadData, match=r"none\.csv"):
        wizard.choose(TONE, str(tmp_path / "none.csv"), HOME, stub())


def test_a_time_is_said_in_one_unit():
    said = [texts.lasting(minutes).en for minutes in (0.2, 12, 100, 3_000, 90_000)]
    assert said == ["a minute", "12 minutes", "2 hours", "2 days", "62 days"]


def test_chinese_sets_a_space_where_scripts_meet():
    assert texts.said(Words("{a} b", "用{a}训练"), a="LoRA") == Words("LoRA b", "用 LoRA 训练")
