"""The chooser over the whole grid of answers: every set becomes a plan that can run or advice, for reasons that hold."""

import csv
import dataclasses
import itertools
import re
from functools import lru_cache

import pytest
import yaml

from studio import chooser, methods, presets
from studio import plan as plans
from studio.chooser import answers as asked
from studio.chooser import dataset_summary as cases
from studio.chooser import exclusions, rules, texts
from studio.chooser.texts import TEXTS
from studio.data.quality.minimum_examples import get_min_examples
from studio.errors import BadData
from studio.estimate import all_methods, dataset_lengths
from studio.estimate.machines import catalogue
from studio.estimate.types import Estimate, range_around
from studio.i18n import Message, languages
from studio.methods import compatibility

NAMES = list(presets.methods())
GRID = [
    dict(zip((one.id for one in chooser.QUESTIONS), combination, strict=True))
    for combination in itertools.product(*([name for name, _ in one.choices] for one in chooser.QUESTIONS))
]
SOME = GRID[::31]
TONE = {
    "change": "tone",
    "have": "answers",
    "many": "some",
    "where": "server",
    "budget": "small",
    "apart": "middle",
}
CHINESE = re.compile(r"[\u4e00-\u9fff]")
PLACES = catalogue.load_machines()
HOME, T4 = PLACES["hf-cpu-basic"], PLACES["hf-t4-small"]


def stub(minutes=10.0, lacking=(), slow=(), need=4.0, room=16.0):
    """Estimates by decree: `lacking` methods need 3.1 GB more than there are, `slow` ones ten days."""

    def made(plan):
        found = {}
        for place, name in enumerate(NAMES):
            if compatibility.find_incompatibility(name, plan.task):
                continue
            size, no = (room + 3.1, True) if name in lacking else (need, False)
            took = 10 * 24 * 60.0 if name in slow else minutes * (1 + place / 10)
            found[name] = Estimate(
                name,
                10**6,
                10**8,
                range_around(size, 1.1),
                {"model": size},
                range_around(took, 2),
                fits="no" if no else "yes",
                room_gb=room,
            )
        return found

    return made


def by_formula(place):
    """The estimates of the closed form; each plan is priced once."""
    known = {}

    def made(plan):
        key = (
            plan.task,
            plan.model,
            plan.data.source,
            str(plan.method.settings) and plan.method.model_dump_json(),
        )
        if key not in known:
            base = all_methods.find_base_model(plan.model)
            settings = {
                plan.method.name: methods.get(plan.method.name).resolve_settings(plan.method.settings)
            }
            lengths = dataset_lengths.measure_lengths(plan, base.folder)
            context = all_methods.EstimateContext(plan, place, base, lengths, settings)
            known[key] = all_methods.estimate_all_methods(context, use_traces=False)
        return known[key]

    return made


@lru_cache
def grid():
    """Every set of answers with what it comes to, on data of 140 questions with answers."""
    return [(answers, chooser.choose(answers, "sample:support-tone", HOME, stub())) for answers in GRID]


def chosen():
    return [(answers, found) for answers, found in grid() if found.method]


def sentences(found):
    """Everything a choice says, but its prompt."""
    return [*found.reasons, *found.rejections.values(), *(one for one in (found.advice, found.note) if one)]


def write(path, *rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return str(path)


# The words


def test_there_are_six_questions_of_six_choices_at_most_and_each_choice_stands_in_a_sentence_too():
    assert [one.id for one in chooser.QUESTIONS] == ["change", "have", "many", "where", "budget", "apart"]
    for one in chooser.QUESTIONS:
        assert 2 <= len(one.choices) <= 6
        assert list(TEXTS.questions[one.id].short) == [name for name, _ in one.choices]


def test_every_word_is_said_in_both_languages_with_the_same_blanks():
    def leaves(found, place=""):
        if isinstance(found, dict) and set(found) & set(languages()):
            return [(place, found)]
        return [leaf for key, part in found.items() for leaf in leaves(part, f"{place}.{key}")]

    for place, said in leaves(yaml.safe_load(texts.TEXTS_FILE.read_text(encoding="utf-8"))):
        assert set(said) == set(languages()), place
        assert not CHINESE.search(said["en"]), place
        blanks = [set(re.findall(r"{(\w+)", said[language])) for language in languages()]
        assert blanks[0] == blanks[1], place
        name_alone = place in (".names.lora", ".names.rlhf", ".names.qlora", ".names.upft", ".names.peft")
        assert name_alone or CHINESE.search(said["zh"]) or not re.sub(r"{\w+}", "", said["zh"]).strip(), place


def test_every_rule_has_its_sentence_and_no_sentence_is_left_over():
    assert {rule.name for rule in rules.RULES} == set(TEXTS.rules)
    assert {line.name for line in rules.REJECTIONS} == set(TEXTS.lost)
    assert {line.name for line in rules.ADVICE if line.name} | {"short", "budget", "room", "refused"} == set(
        TEXTS.advice
    )
    assert set(TEXTS.names) == set(NAMES)
    questions = {one.id: {name for name, _ in one.choices} for one in chooser.QUESTIONS}
    for one in (*rules.RULES, *rules.ADVICE, *rules.REJECTIONS):
        for name, choices in one.when.items():
            assert name not in questions or set(choices) <= questions[name], one


@pytest.mark.parametrize("name", NAMES)
def test_a_loser_is_never_left_without_a_line(name):
    assert any(not line.when and name in line.methods for line in rules.REJECTIONS)


# The grid


def test_every_set_of_answers_becomes_a_plan_that_passes_every_check_or_advice():
    for answers, found in grid():
        if found.method:
            raw = found.plan.model_dump()
            assert plans.find_problems(raw) + methods.find_plan_problems(raw) == [], answers
            assert found.plan.method.name == found.method
            assert found.plan.training == plans.Training(), "the training is left to its defaults"
            assert found.advice is None
        else:
            assert (found.plan, found.estimate) == (None, None)
            assert found.advice.render()
            assert len(found.reasons) == 1, answers
        assert found.prompt.render(), answers


def test_a_method_wins_for_three_reasons_and_every_other_says_why_it_lost():
    for answers, found in chosen():
        assert len(found.reasons) == 3, answers
        assert len({said.render() for said in found.reasons}) == 3, answers
        assert list(found.rejections) == [name for name in NAMES if name != found.method], answers


def test_every_method_wins_somewhere_and_so_does_advice():
    won = {found.method for _, found in grid()}
    assert won == {*NAMES, None}


def test_everything_that_is_said_is_a_whole_sentence_in_both_languages():
    for answers, found in grid():
        for said in sentences(found):
            assert re.fullmatch(r"[A-Z0-9].*[.]", said.render()), (answers, said.render())
            assert said.render("zh").endswith("。"), (answers, said.render("zh"))
            assert not re.search(r"[{}]|None|\binf\b|\(\)", said.render() + said.render("zh")), (
                answers,
                said,
            )
            assert not re.search(
                r"[\u4e00-\u9fff][A-Za-z0-9$]|[A-Za-z0-9][\u4e00-\u9fff]", said.render("zh")
            ), said.render("zh")


@pytest.mark.parametrize("question", ["change", "many", "budget", "have"])
def test_what_is_said_speaks_of_the_answers_that_were_given_and_of_no_others(question):
    shorts = TEXTS.questions[question].short
    # A rule names its own condition, such as "with days or hundreds of dollars to spend", before the answer that does not meet it.
    conditions = (
        {"full_budget"}
        if question == "budget"
        else {"examples_questions", "rlhf", "upft", "upft_pairs", "examples_pairs", "facts"}
    )
    own = [TEXTS.lost[name].render().split("{")[0] for name in conditions if name in TEXTS.lost]
    own += [TEXTS.shut[name].render().split("{")[0] for name in conditions if name in TEXTS.shut]
    for answers, found in chosen():
        for said in (*found.reasons, *found.rejections.values()):
            if any(said.render().startswith(head) for head in own):
                continue
            for name, words in shorts.items():
                mine = shorts[answers[question]].render().lower()
                if name != answers[question] and words.render().lower() not in mine:
                    assert words.render().lower() not in said.render().lower().replace(mine, ""), (
                        answers,
                        said.render(),
                    )


def test_the_same_answers_come_to_the_same_in_whatever_order_they_are_given():
    for answers in SOME:
        found = [
            chooser.choose(dict(order), "sample:support-tone", HOME, stub())
            for order in (answers.items(), reversed(answers.items()))
        ]
        assert found[0] == found[1]


def test_of_two_methods_with_the_same_points_the_first_of_the_table_wins():
    answers = {**TONE, "change": "knowledge", "many": "lots", "budget": "large", "apart": "far"}
    facts = {**answers, "base": "writer", "room": "enough"}
    scores = {name: sum(points for points, _ in rules.matching_rules(name, facts)) for name in NAMES}
    assert scores["full"] == scores["adapter"] == max(scores.values())
    assert chooser.choose(answers, "", HOME, stub()).method == "full"


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
    assert chooser.choose({**TONE, **changed}, "", HOME, stub()).method == method


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
    found = chooser.choose({**TONE, **changed}, "", HOME, stub())
    assert found.method is None
    assert said in found.reasons[0].render()
    assert len(found.advice.render()) > 60


def test_a_method_that_wants_more_examples_than_there_can_be_never_wins():
    for answers, found in chosen():
        assert (
            get_min_examples(found.method, found.plan.task)[0] <= asked.AMOUNT_RANGES[answers["many"]][1]
        ), answers


def test_few_pairs_take_the_short_cut_and_many_are_practised_on():
    pairs = {**TONE, "have": "pairs"}
    few, many = (chooser.choose({**pairs, "many": many}, "", HOME, stub()) for many in ("some", "lots"))
    assert few.plan.method.settings == {"algorithm": "dpo"}
    assert "DPO" in few.reasons[1].render()
    assert many.plan.method.settings == {}
    assert "reward model" in many.reasons[1].render()


# The estimator has the last word


@pytest.mark.parametrize("name", NAMES)
def test_what_does_not_fit_never_wins_and_says_by_how_much(name):
    for answers in SOME:
        found = chooser.choose(answers, "sample:support-tone", HOME, stub(lacking=(name,)))
        assert found.method != name, answers
        if found.method and not compatibility.find_incompatibility(name, found.plan.task):
            assert (
                found.rejections[name]
                .render()
                .startswith("Needs 3.1 GB more than Hugging Face Space, cpu-basic has, mostly for the model")
            )


@pytest.mark.parametrize("name", NAMES)
def test_what_takes_longer_than_allowed_never_wins_unless_anything_is_allowed(name):
    for answers in SOME:
        found = chooser.choose(answers, "sample:support-tone", HOME, stub(slow=(name,)))
        assert found.method != name or answers["budget"] == "any", answers


@pytest.mark.parametrize(
    ("minutes", "budgets"), [(70, {"small", "large", "any"}), (300, {"large", "any"}), (5000, {"any"})]
)
def test_a_run_stays_within_the_budget_that_was_named(minutes, budgets):
    found = {answers["budget"] for answers in SOME if chooser.choose(answers, "", HOME, stub(minutes)).method}
    assert found == budgets


def test_on_a_machine_with_a_price_the_money_counts():
    def priced(plan):
        money = range_around(30.0, 1.2)
        return {
            name: dataclasses.replace(one, money=money) for name, one in stub(minutes=9_000)(plan).items()
        }

    found = {
        budget: chooser.choose({**TONE, "budget": budget}, "", T4, priced)
        for budget in exclusions.BUDGET_LIMITS
    }
    assert [budget for budget, one in found.items() if one.method] == ["large", "any"]
    assert (
        found["small"].rejections["lora"].render()
        == "Costs about $30.00 on Hugging Face t4-small; you allow an evening or a few dollars."
    )
    yuan = stub()(found["any"].plan)["lora"]
    yuan = dataclasses.replace(yuan, money=range_around(5.0, 1.2), currency="CNY")
    assert "¥5.00" in exclusions.over_budget(yuan, T4, "free").render()
    assert exclusions.over_budget(yuan, T4, "small") is None, "yuan are not dollars, so the time counts"


def test_where_nothing_fits_it_names_what_comes_closest():
    found = chooser.choose(TONE, "", HOME, stub(lacking=NAMES))
    assert found.method is None
    assert "needs 3.1 GB more" in found.reasons[0].render()
    assert set(found.rejections) == set(NAMES)


def test_where_nothing_is_quick_enough_it_names_the_quickest():
    found = chooser.choose({**TONE, "budget": "free"}, "", HOME, stub(minutes=100))
    assert found.method is None
    assert (
        "even the quickest way, frozen-layer fine-tuning, takes about 2 hours; you allow an hour and no money"
        in found.reasons[0].render()
    )


def test_a_loser_that_takes_clearly_longer_says_so():
    found = chooser.choose(TONE, "", HOME, stub())
    assert (
        found.rejections["qat"].render().endswith("It would take about 18 minutes here, against 12 minutes.")
    )
    assert "here, against" not in found.rejections["prefix"].render(), "13 minutes against 12 decide nothing"


def test_the_estimate_is_that_of_the_plan_with_its_own_settings():
    seen = []

    def estimates(plan):
        seen.append(plan)
        found = stub()(plan)
        return (
            {name: dataclasses.replace(one, trainable=7) for name, one in found.items()}
            if plan.method.settings
            else found
        )

    found = chooser.choose({**TONE, "have": "pairs"}, "", HOME, estimates)
    assert seen[-1] == found.plan
    assert found.estimate.trainable == 7


def test_rlhf_that_does_not_fit_in_all_its_stages_takes_the_short_cut():
    def estimates(plan):
        return stub(lacking=() if plan.method.settings.get("algorithm") == "dpo" else ("rlhf",))(plan)

    found = chooser.choose({**TONE, "have": "pairs", "many": "lots", "budget": "any"}, "", HOME, estimates)
    assert (found.method, found.plan.method.settings) == ("rlhf", {"algorithm": "dpo"})
    assert found.estimate.fits == "yes"


def test_what_nobody_can_estimate_is_said_to_be_open():
    unknown = {name: Estimate(name, missing=(all_methods.NO_SHAPE,)) for name in NAMES}
    found = chooser.choose(TONE, "", HOME, lambda plan: unknown, model="someone/new-model")
    assert found.method == "lora"
    assert (
        found.reasons[2].render()
        == "What it takes on Hugging Face Space, cpu-basic is known once the base model new-model is here."
    )


def test_a_model_that_only_reads_is_refused_for_everything_that_writes():
    found = chooser.choose(TONE, "", HOME, stub(), model="minilm-l6")
    assert found.method is None
    assert found.reasons[0] == compatibility.ENCODER_CANNOT_GENERATE.reason
    assert found.advice == compatibility.ENCODER_CANNOT_GENERATE.alternative


def test_a_missing_library_rules_out_what_needs_it(monkeypatch):
    monkeypatch.setattr(compatibility, "is_installed", lambda library: False)
    found = chooser.choose({**TONE, "where": "phone"}, "", HOME, stub())
    assert found.method == "lora"
    assert "bitsandbytes" in found.rejections["qlora"].render()
    assert "torchao" in found.rejections["qat"].render()


@pytest.mark.parametrize("place", [HOME, T4, PLACES["hf-h200"]], ids=lambda place: place.id)
def test_the_real_estimates_and_the_choice_agree(place):
    estimates = by_formula(place)
    won = set()
    for answers in GRID[::13]:
        found = chooser.choose(answers, "sample:support-tone", place, estimates)
        if found.method:
            won.add(found.method)
            own = estimates(found.plan)[found.method]
            assert own.fits in ("yes", "tight"), answers
            assert found.estimate == own
            assert exclusions.over_budget(own, place, answers["budget"]) is None
    assert len(won) >= 6


def test_qlora_wins_where_lora_alone_does_not_fit_and_says_how_much_it_lacks():
    found = chooser.choose(TONE, "sample:support-tone", T4, by_formula(T4), model="qwen3-8b")
    assert found.method == "qlora"
    lacks = re.fullmatch(
        r"LoRA would need ([\d.]+) GB more than Hugging Face t4-small has; .*", found.reasons[0].render()
    )
    assert f"Needs {lacks[1]} GB more" in found.rejections["lora"].render()


@pytest.mark.parametrize(("room", "name"), cases.GENERATIVE_MODELS)
def test_a_base_model_that_is_proposed_leaves_room_for_lora(room, name):
    place = dataclasses.replace(PLACES["hf-l4x1"], usable_bytes=int(room * catalogue.GIB))
    found = cases.dataset_for_task(None, "chat")
    assert cases.choose_base_model(found, place, phone=False) == name
    plan = plans.Plan(task="chat", model=name, data=found.data, method=plans.MethodChoice(name="lora"))
    assert by_formula(place)(plan)["lora"].fits == "yes"


def test_a_phone_is_given_a_small_model_and_a_processor_an_embedded_one():
    found = cases.dataset_for_task(None, "chat")
    assert cases.choose_base_model(found, PLACES["hf-h200"], phone=True) == "qwen3-1.7b"
    assert cases.choose_base_model(found, HOME, phone=False) == "smollm2-135m"
    assert presets.models()["smollm2-135m"].wheel


# The data at hand


def test_data_that_serves_the_answers_is_used_as_it_is():
    found = chooser.choose(TONE, "sample:support-tone", HOME, stub())
    assert found.plan.data == plans.Data(
        source="sample:support-tone", columns={"prompt": "customer", "response": "reply"}
    )
    assert found.note is None


def test_columns_that_a_person_set_are_kept():
    given = cases.RoleGuess("complete", {"text": "reply"}, is_confident=True)
    found = chooser.choose({**TONE, "have": "texts"}, "sample:support-tone", HOME, stub(), given)
    assert (found.plan.task, found.plan.data.columns, found.note) == ("complete", {"text": "reply"}, None)


@pytest.mark.parametrize("have", asked.TASK_BY_DATA_KIND)
def test_without_data_the_plan_stands_on_a_sample_and_says_so(have):
    answers = {
        **TONE,
        "have": have,
        "many": "many",
        "change": "decisions" if have in ("labels", "questions") else "tone",
    }
    found = chooser.choose(answers, "", HOME, stub())
    assert found.plan.data.source.startswith("sample:")
    assert found.note.render().startswith("There is no data yet, so the plan stands on the sample")


def test_data_of_another_kind_gives_way_to_a_sample_with_a_note():
    found = chooser.choose(
        {**TONE, "change": "decisions", "have": "labels"}, "sample:support-tone", HOME, stub()
    )
    assert found.plan.data.source == "sample:ticket-triage"
    assert "The data at hand holds no labelled texts" in found.note.render()


def test_the_better_answers_of_pairs_can_be_learned_alone_and_questions_without_their_answers():
    better = chooser.choose({**TONE, "have": "answers"}, "sample:support-preference", HOME, stub())
    assert (better.plan.task, better.plan.data.columns) == (
        "chat",
        {"prompt": "customer", "response": "better"},
    )
    alone = chooser.choose(
        {**TONE, "change": "decisions", "have": "questions", "many": "many"},
        "sample:support-tone",
        HOME,
        stub(),
    )
    assert (alone.plan.task, alone.plan.data.columns) == ("prompts", {"prompt": "customer"})


def test_known_answers_to_questions_can_be_learned_where_a_person_says_so():
    assert chooser.prefill("sample:word-problems", HOME, estimator=stub())["have"] == "questions"
    found = chooser.choose({**TONE, "change": "decisions"}, "sample:word-problems", HOME, stub())
    assert (found.plan.task, found.plan.data.columns) == (
        "chat",
        {"prompt": "question", "response": "answer"},
    )


def test_another_number_of_examples_than_answered_is_said_beside_the_estimate():
    found = chooser.choose({**TONE, "many": "lots"}, "sample:support-tone", HOME, stub())
    assert found.note.render() == "The data at hand makes 140 examples, and the estimate is for those."


def test_fewer_examples_than_a_method_wants_are_a_first_try():
    found = chooser.choose({**TONE, "have": "pairs"}, "sample:support-preference", HOME, stub())
    assert "120 of them; RLHF asks for 300 or more" in found.note.render()


def test_too_few_rows_give_advice_with_these_rows_in_the_prompt(tmp_path):
    file = write(
        tmp_path / "few.csv",
        ("customer", "reply"),
        ("Is it open?", "Yes, dear guest."),
        ("Is it far?", "A mile, dear guest."),
    )
    filled = chooser.prefill(file, HOME)
    assert (filled["have"], filled["many"]) == ("answers", "few")
    found = chooser.choose({**TONE, **filled}, file, HOME, stub())
    assert found.method is None
    assert "Message: Is it open?\nAnswer: Yes, dear guest." in found.prompt.render()
    insisting = chooser.choose(TONE, file, HOME, stub())
    assert insisting.plan.data.source == "sample:support-tone"
    assert "has 2 complete examples." in insisting.note.render()


def test_chinese_data_is_given_a_model_that_knows_chinese():
    assert chooser.choose(TONE, "sample:support-zh", HOME, stub()).plan.model == "qwen3-0.6b"
    labels = {**TONE, "change": "decisions", "have": "labels"}
    assert chooser.choose(labels, "sample:support-zh", HOME, stub()).plan.model == "bert-base-chinese"
    assert chooser.choose(TONE, "sample:support-tone", HOME, stub()).plan.model == "smollm2-135m"


def test_a_model_that_was_chosen_stays():
    assert chooser.choose(TONE, "", HOME, stub(), model="smollm2-360m").plan.model == "smollm2-360m"


# The prompt


def test_a_prompt_holds_the_person_s_own_examples_and_asks_a_further_one():
    rows = list(
        csv.DictReader(presets.samples()["support-tone"].path.read_text(encoding="utf-8").splitlines())
    )
    found = chooser.choose(TONE, "sample:support-tone", HOME, stub()).prompt
    for language in languages():
        for row in rows[:3]:
            assert row["customer"] in found.render(language)
            assert row["reply"] in found.render(language)
        assert rows[3]["customer"] in found.render(language)
        assert rows[3]["reply"] not in found.render(language)


def test_a_prompt_for_sorting_names_the_person_s_classes_and_shows_different_ones():
    found = chooser.choose(
        {**TONE, "change": "decisions", "have": "labels"}, "sample:ticket-triage", HOME, stub()
    ).prompt
    assert "account, billing, delivery, product question, returns, technical problem" in found.render()
    assert len(set(re.findall(r"\nClass: (.+)", found.render()))) == 3


def test_a_prompt_for_facts_holds_the_page_where_the_answer_stands():
    found = chooser.choose({**TONE, "change": "knowledge"}, "sample:support-tone", HOME, stub()).prompt
    assert "Answer from the text below alone" in found.render()
    assert "Hello from the potting shed. The missing £4.00" in found.render()


def test_without_data_a_prompt_says_in_brackets_what_belongs_there():
    for answers in SOME:
        found = chooser.choose(answers, "", HOME, stub()).prompt
        for language in languages():
            assert re.search(r"\[[^\]]+\]", found.render(language)), answers
            assert not re.search(r"{\w*}", found.render(language)), answers


def test_braces_in_the_data_stay_as_they_are(tmp_path):
    rows = [(f"How many are in box {number}?", f'{{"count": {number}}}') for number in range(60)]
    file = write(tmp_path / "json.csv", ("customer", "reply"), *rows)
    found = chooser.choose({**TONE, "change": "format"}, file, HOME, stub()).prompt
    assert 'Answer: {"count": 0}' in found.render()
    assert 'Answer: {"count": 0}' not in found.render("zh")
    assert '回答：{"count": 0}' in found.render("zh")


# What is filled in


def test_the_data_and_the_machine_answer_what_they_can():
    filled = {"have": "answers", "many": "some", "where": "unknown", "budget": "free"}
    assert chooser.prefill("sample:support-tone", HOME, estimator=stub()) == filled, "most of six"
    triage = chooser.prefill("sample:ticket-triage", HOME, estimator=stub())
    assert (triage["have"], triage["change"]) == ("labels", "decisions")
    assert chooser.prefill("", T4) == {"where": "cloud", "budget": "small"}


@pytest.mark.parametrize(
    ("minutes", "budget"),
    [(5, "free"), (70, "small"), (300, "large"), (10_000, "any")],
    ids=["minutes", "an hour", "hours", "days"],
)
def test_the_budget_that_is_filled_in_lets_at_least_one_method_run(minutes, budget):
    filled = chooser.prefill("sample:support-tone", HOME, estimator=stub(minutes))
    assert filled["budget"] == budget
    assert chooser.choose({**TONE, **filled}, "sample:support-tone", HOME, stub(minutes)).method


@pytest.mark.parametrize(
    ("count", "many"), [(0, "few"), (49, "few"), (50, "some"), (500, "some"), (501, "many"), (5_001, "lots")]
)
def test_a_number_of_examples_has_its_choice(count, many):
    assert chooser.known_answers("chat", count, 0, HOME)["many"] == many


def test_what_is_filled_in_is_a_choice_of_its_question():
    names = {one.id: [name for name, _ in one.choices] for one in chooser.QUESTIONS}
    for task, place in itertools.product(("", *plans.REQUIRED_ROLES), (HOME, T4)):
        for question, choice in chooser.known_answers(
            task, 100, 3 if task == "classify" else 0, place
        ).items():
            assert choice in names[question]


def test_wrong_answers_are_all_named_at_once():
    with pytest.raises(BadData) as caught:
        chooser.choose({**TONE, "change": "sing", "colour": "blue"} | {"many": 3}, "", HOME, stub())
    for said in (
        "colour: is not a question",
        "change: expected one of knowledge, tone",
        "many: expected one of few",
    ):
        assert said in caught.value.render()
    assert "colour：没有这个问题" in caught.value.render("zh")
    with pytest.raises(BadData, match=r"apart: is missing \(near, middle, far\)"):
        chooser.validate_answers({name: choice for name, choice in TONE.items() if name != "apart"})
    with pytest.raises(BadData, match="but got list"):
        chooser.validate_answers(["tone"])


def test_data_that_is_not_there_is_named(tmp_path):
    with pytest.raises(BadData, match=r"none\.csv"):
        chooser.choose(TONE, str(tmp_path / "none.csv"), HOME, stub())


def test_a_time_is_said_in_one_unit():
    said = [texts.format_duration(minutes).render() for minutes in (0.2, 12, 100, 3_000, 90_000)]
    assert said == ["a minute", "12 minutes", "2 hours", "2 days", "62 days"]


def test_chinese_sets_a_space_where_scripts_meet():
    assert texts.fill_sentence(Message("{a} b", translations={"zh": "用{a}训练"}), a="LoRA") == Message(
        "LoRA b", translations={"zh": "用 LoRA 训练"}
    )
