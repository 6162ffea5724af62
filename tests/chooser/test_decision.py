"""The chooser over all sets of answers: each becomes a plan that can run or advice, for reasons that hold."""

import dataclasses
import re

import pytest
from chooser_cases import (
    CPU,
    GRID,
    GRID_SAMPLE,
    MACHINES,
    METHOD_NAMES,
    T4,
    TONE,
    choose_grid,
    choose_methods,
    closed_form_estimates,
    fixed_estimates,
    sentences,
    write_csv,
)
from sampling import sample

from studio import chooser, methods, presets
from studio import plan as plans
from studio.chooser import answers as chooser_answers
from studio.chooser import dataset_summary, exclusions
from studio.chooser.texts import TEXTS
from studio.data.quality import base_languages
from studio.data.quality.minimum_examples import get_min_examples
from studio.data.schema.infer_roles import RoleGuess
from studio.estimate import all_methods
from studio.estimate.machines import catalogue
from studio.estimate.types import Estimate as RunEstimate
from studio.estimate.types import range_around
from studio.evaluate import baselines
from studio.evaluate.baselines import Baseline, Baselines
from studio.evaluate.paired import Estimate
from studio.methods import compatibility
from studio.methods.rlhf_stages import schedule as rlhf_schedule


def choose(source="", estimator=None, machine=CPU, guess=None, model="", **changes):
    """The choice for TONE with these changes."""
    estimator = estimator or fixed_estimates()
    return chooser.choose({**TONE, **changes}, source, machine, estimator, guess, model)


# All sets of answers


@pytest.mark.thorough
def test_every_set_of_answers_becomes_a_plan_that_passes_every_check_or_advice():
    for answers, choice in choose_grid():
        if choice.method:
            raw = choice.plan.model_dump()
            assert plans.find_problems(raw) + methods.find_plan_problems(raw) == [], answers
            assert choice.plan.method.name == choice.method
            assert choice.plan.training == plans.Training(), "the training is left to its defaults"
            assert choice.advice is None
        else:
            assert (choice.plan, choice.estimate) == (None, None)
            assert choice.advice.render()
            assert len(choice.reasons) == 1, answers
        assert choice.prompt.render(), answers


def test_a_method_wins_for_three_reasons_and_every_other_says_why_it_lost():
    for answers, choice in choose_methods():
        assert len({reason.render() for reason in choice.reasons}) == 3, answers
        assert list(choice.rejections) == [name for name in METHOD_NAMES if name != choice.method], answers


def test_every_method_wins_somewhere_and_so_does_advice():
    assert {choice.method for _, choice in choose_grid()} == {*METHOD_NAMES, None}


def test_everything_that_is_said_is_a_whole_sentence_in_both_languages():
    rendered = {
        (message.render(), message.render("zh"))
        for _, choice in choose_grid()
        for message in sentences(choice)
    }
    unfilled = re.compile(r"[{}]|None|\binf\b|\(\)")
    scripts_touch = re.compile(r"[\u4e00-\u9fff][A-Za-z0-9$]|[A-Za-z0-9][\u4e00-\u9fff]")
    wrong = [
        (english, chinese)
        for english, chinese in rendered
        if not re.fullmatch(r"[A-Z0-9].*[.]", english)
        or not chinese.endswith("。")
        or unfilled.search(english + chinese)
        or scripts_touch.search(chinese)
    ]
    assert wrong == []


@pytest.mark.parametrize("question", ["change", "many", "budget", "have"])
def test_what_is_said_speaks_of_the_answers_that_were_given_and_of_no_others(question):
    short_texts = {name: text.render().lower() for name, text in TEXTS.questions[question].short.items()}
    # A sentence that names its own condition before the answer that does not meet it, such as "with days or
    # hundreds of dollars to spend".
    openings = tuple(text.render().split("{")[0].lower() for text in sentences_with_a_condition())
    assert all(openings)
    texts_by_choice = {}
    for answers, choice in choose_methods():
        for message in (*choice.reasons, *choice.rejections.values()):
            texts_by_choice.setdefault(answers[question], set()).add(message.render().lower())
    wrong = []
    for chosen, texts in texts_by_choice.items():
        own_text = short_texts[chosen]
        others = [text for name, text in short_texts.items() if name != chosen and text not in own_text]
        for text in texts:
            if text.startswith(openings):
                continue
            wrong += [(chosen, text) for other in others if other in text.replace(own_text, "")]
    assert wrong == []


def sentences_with_a_condition():
    """What names a condition of its own: on the budget of full fine-tuning, and on the kind of data."""
    rejections = [
        rejection.text
        for name in ("full", "rlhf", "upft")
        for rejection in presets.methods()[name].chooser.rejections
        if rejection.text and "budget" in rejection.when
    ]
    cards = [card.chooser for card in presets.methods().values()]
    return [
        *rejections,
        *TEXTS.wrong_data.values(),
        *(text for card in cards for text in card.wrong_data.values()),
        *(
            rejection.text
            for name in ("rlhf", "upft")
            for rejection in presets.methods()[name].chooser.rejections
        ),
    ]


def test_the_same_answers_come_to_the_same_in_whatever_order_they_are_given():
    for answers in GRID_SAMPLE:
        choices = [
            chooser.choose(dict(order), "sample:support-tone", CPU, fixed_estimates())
            for order in (answers.items(), reversed(answers.items()))
        ]
        assert choices[0] == choices[1]


# What the article and the papers say


@pytest.mark.parametrize(
    ("changes", "method"),
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
def test_the_article_s_advice_holds_where_everything_fits(changes, method):
    assert choose(**changes).method == method


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"change": "knowledge"}, "facts"),
        ({"have": "nothing"}, "nothing"),
        ({"many": "few"}, "few"),
        ({"have": "labels"}, "labels_manner"),
        ({"have": "questions"}, "alone_manner"),
        ({"change": "decisions", "have": "questions", "many": "lots", "apart": "far"}, "alone_far"),
        ({"change": "decisions", "have": "questions", "many": "some"}, "short"),
        ({"change": "decisions", "have": "texts"}, "texts_decisions"),
    ],
    ids=lambda value: value if isinstance(value, str) else ",".join(value.values()),
)
def test_where_training_is_not_the_answer_it_says_so_and_what_to_do_instead(changes, advice):
    choice = choose(**changes)
    assert choice.method is None
    assert choice.reasons[0].text == TEXTS.advice[advice].why.text
    assert choice.advice.text == TEXTS.advice[advice].instead.text
    assert len(choice.advice.render()) > 60


def test_too_few_questions_name_the_method_and_what_it_asks_for():
    reason = choose(change="decisions", have="questions").reasons[0]
    assert (reason.values["method"].render(), reason.values["wanted"]) == ("UPFT", "800")


def test_a_method_that_wants_more_examples_than_there_can_be_never_wins():
    for answers, choice in choose_methods():
        min_examples = get_min_examples(choice.method, choice.plan.task)[0]
        assert min_examples <= chooser_answers.AMOUNT_RANGES[answers["many"]][1], answers


def test_few_pairs_take_the_short_cut_and_many_are_practised_on():
    few, many = (choose(have="pairs", many=amount) for amount in ("some", "lots"))
    assert few.plan.method.settings == {"algorithm": "dpo"}
    assert "DPO" in few.reasons[1].render()
    assert many.plan.method.settings == {}
    assert "reward model" in many.reasons[1].render()


def test_thumbs_without_pairs_are_learned_from_one_by_one(tmp_path):
    rows = [(f"Is room {number} open?", f"It is, dear guest {number}.", number % 2) for number in range(60)]
    source = write_csv(tmp_path / "thumbs.csv", ("prompt", "completion", "label"), *rows)
    assert chooser.prefill(source, CPU, estimator=fixed_estimates())["have"] == "pairs"
    choice = choose(source, have="pairs")
    assert (choice.method, choice.plan.method.settings) == ("rlhf", {"algorithm": "kto"})
    assert "thumb" in choice.reasons[0].render()
    assert "KTO" in choice.reasons[1].render()


def test_questions_with_known_results_are_practised_on_and_those_without_are_not(tmp_path):
    def choose_for(*columns):
        rows = [(f"What is {number} and 1?", str(number + 1)) for number in range(120)]
        source = write_csv(tmp_path / "sums.csv", ("question", "answer"), *rows)
        guess = RoleGuess("prompts", dict(columns), is_confident=True)
        return choose(source, guess=guess, change="decisions", have="questions", many="many")

    known, alone = (
        choose_for(("prompt", "question"), ("answer", "answer")),
        choose_for(("prompt", "question")),
    )
    assert (known.method, alone.method) == ("rlhf", "upft")
    assert "GRPO" in known.reasons[1].render()
    assert (
        rlhf_schedule.resolve_algorithm({"algorithm": "data", **known.plan.method.settings}, "prompts")
        == "grpo"
    )
    assert "would leave yours unused" in known.rejections["upft"].render()


# The estimator has the last word


def test_what_does_not_fit_never_wins_and_says_by_how_much():
    problems = {}
    for name in METHOD_NAMES:
        for answers in GRID_SAMPLE:
            choice = chooser.choose(answers, "sample:support-tone", CPU, fixed_estimates(too_large=(name,)))
            if choice.method == name:
                problems[name] = answers
            if choice.method and not compatibility.find_incompatibility(name, choice.plan.task):
                rejection = choice.rejections[name]
                if (rejection.text, rejection.values["over"]) != (TEXTS.exclusions["room"].text, "3.1"):
                    problems[name] = rejection.render()
    assert problems == {}


def test_what_takes_longer_than_allowed_never_wins_unless_anything_is_allowed():
    problems = {}
    for name in METHOD_NAMES:
        for answers in GRID_SAMPLE:
            choice = chooser.choose(answers, "sample:support-tone", CPU, fixed_estimates(too_slow=(name,)))
            if choice.method == name and answers["budget"] != "any":
                problems[name] = answers
    assert problems == {}


@pytest.mark.parametrize(
    ("minutes", "budgets"), [(70, {"small", "large", "any"}), (300, {"large", "any"}), (5000, {"any"})]
)
def test_a_run_stays_within_the_budget_that_was_named(minutes, budgets):
    estimator = fixed_estimates(minutes)
    allowed = {
        answers["budget"] for answers in GRID_SAMPLE if chooser.choose(answers, "", CPU, estimator).method
    }
    assert allowed == budgets


def test_on_a_machine_with_a_price_the_money_counts():
    def estimate_with_price(plan):
        money = range_around(30.0, 1.2)
        estimates = fixed_estimates(minutes=9_000)(plan)
        return {name: dataclasses.replace(estimate, money=money) for name, estimate in estimates.items()}

    choices = {
        budget: choose(machine=T4, estimator=estimate_with_price, budget=budget)
        for budget in exclusions.BUDGET_LIMITS
    }
    assert [budget for budget, choice in choices.items() if choice.method] == ["large", "any"]
    assert (
        choices["small"].rejections["lora"].render()
        == "Costs about $30.00 on Hugging Face t4-small; you allow an evening or a few dollars."
    )
    estimate = fixed_estimates()(choices["any"].plan)["lora"]
    in_yuan = dataclasses.replace(estimate, money=range_around(5.0, 1.2), currency="CNY")
    assert "¥5.00" in exclusions.over_budget(in_yuan, T4, "free").render()
    assert exclusions.over_budget(in_yuan, T4, "small") is None, "yuan are not dollars, so the time counts"


def test_where_nothing_fits_it_names_what_comes_closest():
    choice = choose(estimator=fixed_estimates(too_large=METHOD_NAMES))
    assert choice.method is None
    assert choice.reasons[0].text == TEXTS.advice["room"].why.text
    assert choice.reasons[0].values["over"] == "3.1"
    assert set(choice.rejections) == set(METHOD_NAMES)


def test_where_nothing_is_quick_enough_it_names_the_quickest():
    reason = choose(estimator=fixed_estimates(minutes=100), budget="free").reasons[0]
    assert (
        "even the quickest way, frozen-layer fine-tuning, takes about 2 hours; you allow an hour and no money"
        in reason.render()
    )


def test_a_loser_that_takes_clearly_longer_says_so():
    rejections = choose().rejections
    assert rejections["qat"].render().endswith("It would take about 18 minutes here, against 12 minutes.")
    assert rejections["prefix"].text != TEXTS.slower.text, "13 minutes against 12 decide nothing"


def test_the_estimate_is_that_of_the_plan_with_its_own_settings():
    plans_seen = []

    def estimate(plan):
        plans_seen.append(plan)
        trainable = 7 if plan.method.settings else 10**6
        return {
            name: dataclasses.replace(method_estimate, trainable=trainable)
            for name, method_estimate in fixed_estimates()(plan).items()
        }

    choice = choose(estimator=estimate, have="pairs")
    assert plans_seen[-1] == choice.plan
    assert choice.estimate.trainable == 7


def test_rlhf_that_does_not_fit_in_all_its_stages_takes_the_short_cut():
    def estimate(plan):
        is_short_cut = plan.method.settings.get("algorithm") == "dpo"
        return fixed_estimates(too_large=() if is_short_cut else ("rlhf",))(plan)

    choice = choose(estimator=estimate, have="pairs", many="lots", budget="any")
    assert (choice.method, choice.plan.method.settings) == ("rlhf", {"algorithm": "dpo"})
    assert choice.estimate.fits == "yes"


def test_what_nobody_can_estimate_is_said_to_be_open():
    unknown = {name: RunEstimate(name, missing=(all_methods.NO_SHAPE,)) for name in METHOD_NAMES}
    choice = choose(estimator=lambda plan: unknown, model="someone/new-model")
    assert choice.method == "lora"
    assert choice.reasons[2].text == TEXTS.open.text
    assert choice.reasons[2].render().endswith("once the base model new-model is here.")


def test_a_model_that_only_reads_is_refused_for_everything_that_writes():
    choice = choose(model="minilm-l6")
    assert choice.method is None
    refusal = compatibility.ENCODER_CANNOT_GENERATE
    assert choice.reasons[0].render() == refusal.reason.render()
    assert choice.advice.render() == refusal.alternative.render()


def test_a_missing_library_rules_out_what_needs_it(monkeypatch):
    monkeypatch.setattr(compatibility, "is_installed", lambda library: False)
    choice = choose(where="phone")
    assert choice.method == "lora"
    assert "bitsandbytes" in choice.rejections["qlora"].render()
    assert "torchao" in choice.rejections["qat"].render()


@pytest.mark.parametrize(
    "machine", sample([CPU, T4, MACHINES["hf-h200"]], [T4]), ids=lambda machine: machine.id
)
def test_the_real_estimates_and_the_choice_agree(machine):
    estimator = closed_form_estimates(machine)
    winners = set()
    for answers in GRID[::13]:
        choice = chooser.choose(answers, "sample:support-tone", machine, estimator)
        if choice.method:
            winners.add(choice.method)
            estimate = estimator(choice.plan)[choice.method]
            assert estimate.fits in ("yes", "tight"), answers
            assert choice.estimate == estimate
            assert exclusions.over_budget(estimate, machine, answers["budget"]) is None
    assert len(winners) >= 6


def test_qlora_wins_where_lora_alone_does_not_fit_and_says_how_much_it_lacks():
    choice = choose("sample:support-tone", closed_form_estimates(T4), T4, model="qwen3-8b")
    assert choice.method == "qlora"
    reason = choice.reasons[0].render()
    missing = re.fullmatch(r"LoRA would need ([\d.]+) GB more than Hugging Face t4-small has; .*", reason)
    assert f"Needs {missing[1]} GB more" in choice.rejections["lora"].render()


@pytest.mark.parametrize(("gigabytes", "name"), dataset_summary.GENERATIVE_MODELS)
def test_a_base_model_that_is_proposed_leaves_room_for_lora(gigabytes, name):
    machine = dataclasses.replace(MACHINES["hf-l4x1"], usable_bytes=int(gigabytes * catalogue.GIB))
    dataset = dataset_summary.dataset_for_task(None, "chat")
    assert dataset_summary.choose_base_model(dataset, machine, phone=False) == name
    plan = plans.Plan(task="chat", model=name, data=dataset.data, method=plans.MethodChoice(name="lora"))
    assert closed_form_estimates(machine)(plan)["lora"].fits == "yes"


def test_a_phone_is_given_a_small_model_and_a_processor_an_embedded_one():
    dataset = dataset_summary.dataset_for_task(None, "chat")
    assert dataset_summary.choose_base_model(dataset, MACHINES["hf-h200"], phone=True) == "qwen3-1.7b"
    assert dataset_summary.choose_base_model(dataset, CPU, phone=False) == "smollm2-135m"
    assert presets.models()["smollm2-135m"].wheel


# The data at hand


def test_data_that_serves_the_answers_is_used_as_it_is():
    choice = choose("sample:support-tone")
    columns = {"prompt": "customer", "response": "reply"}
    assert choice.plan.data == plans.Data(source="sample:support-tone", columns=columns)
    assert choice.note is None


def test_columns_that_a_person_set_are_kept():
    guess = RoleGuess("complete", {"text": "reply"}, is_confident=True)
    choice = choose("sample:support-tone", guess=guess, have="texts")
    assert (choice.plan.task, choice.plan.data.columns) == ("complete", {"text": "reply"})
    assert choice.note is None


@pytest.mark.parametrize("data_kind", chooser_answers.TASK_BY_DATA_KIND)
def test_without_data_the_plan_stands_on_a_sample_and_says_so(data_kind):
    change = "decisions" if data_kind in ("labels", "questions") else "tone"
    choice = choose(have=data_kind, many="many", change=change)
    assert choice.plan.data.source.startswith("sample:")
    assert choice.note.text == TEXTS.notes["none"].text


def test_data_of_another_kind_gives_way_to_a_sample_with_a_note():
    choice = choose("sample:support-tone", change="decisions", have="labels")
    assert choice.plan.data.source == "sample:ticket-triage"
    assert choice.note.text == TEXTS.notes["sample"].text
    assert "labelled texts" in choice.note.render()


def test_the_better_answers_of_pairs_can_be_learned_alone_and_questions_without_their_answers():
    plan = choose("sample:support-preference", have="answers").plan
    assert (plan.task, plan.data.columns) == ("chat", {"prompt": "customer", "response": "better"})
    plan = choose("sample:support-tone", change="decisions", have="questions", many="many").plan
    assert (plan.task, plan.data.columns) == ("prompts", {"prompt": "customer"})


def test_known_answers_to_questions_can_be_learned_where_a_person_says_so():
    estimator = fixed_estimates()
    assert chooser.prefill("sample:word-problems", CPU, estimator=estimator)["have"] == "questions"
    plan = choose("sample:word-problems", change="decisions").plan
    assert (plan.task, plan.data.columns) == ("chat", {"prompt": "question", "response": "answer"})


def test_another_number_of_examples_than_answered_is_said_beside_the_estimate():
    note = choose("sample:support-tone", many="lots").note
    assert (note.text, note.values["count"]) == (TEXTS.notes["count"].text, "140")


def test_fewer_examples_than_a_method_wants_are_a_first_try():
    note = choose("sample:support-preference", have="pairs").note
    assert note.text == TEXTS.under.text
    assert "120 of them" in note.render()
    assert "300 or more" in note.render()


def test_too_few_rows_give_advice_with_these_rows_in_the_prompt(tmp_path):
    source = write_csv(
        tmp_path / "few.csv",
        ("customer", "reply"),
        ("Is it open?", "Yes, dear guest."),
        ("Is it far?", "A mile, dear guest."),
    )
    answers = chooser.prefill(source, CPU)
    assert (answers["have"], answers["many"]) == ("answers", "few")
    choice = choose(source, **answers)
    assert choice.method is None
    assert "Message: Is it open?\nAnswer: Yes, dear guest." in choice.prompt.render()
    insisting = choose(source)
    assert insisting.plan.data.source == "sample:support-tone"
    assert insisting.note.text == TEXTS.notes["unfit"].text
    assert "has 2 complete examples." in insisting.note.render()


def test_chinese_data_is_given_a_model_that_knows_chinese():
    choice = choose("sample:support-zh")
    assert (choice.plan.model, choice.warning) == ("qwen3-0.6b", None)
    warning = choose("sample:support-zh", model="smollm2-135m").warning
    assert warning.text == base_languages.HARDLY_KNOWS.text
    labels = choose("sample:support-zh", change="decisions", have="labels")
    assert labels.plan.model == "bert-base-chinese"
    assert choose("sample:support-tone").plan.model == "smollm2-135m"


def test_a_model_that_was_chosen_stays():
    assert choose(model="smollm2-360m").plan.model == "smollm2-360m"


# What was measured without training


@pytest.mark.parametrize(
    ("right", "advised"), [({"base": 0.2, "few_shot": 0.97}, True), ({"base": 0.2, "few_shot": 0.8}, False)]
)
def test_where_a_prompt_was_measured_to_be_enough_the_advice_is_not_to_train(right, advised, tmp_path):
    rows = [(f"What is {number} and 1?", str(number + 1)) for number in range(120)]
    source = write_csv(tmp_path / "sums.csv", ("prompt", "response"), *rows)
    guess = RoleGuess("chat", {"prompt": "prompt", "response": "response"}, is_confident=True)
    choice = choose(source, guess=guess)
    assert choice.plan
    entries = tuple(
        Baseline(name, Estimate(share, share - 0.1, share + 0.02), 9.0, 0.5) for name, share in right.items()
    )
    measured = Baselines("exact_match", "hits", "test", 60, 60, 0, 100, entries)
    other_split = choice.plan.data.model_copy(update={"test_share": 0.5})
    baselines.keep(choice.plan.model_copy(update={"data": other_split}), measured)
    choice = choose(source, guess=guess)
    assert (choice.plan is None) is advised
    if advised:
        assert "97% of 60 held-out rows right without any training" in choice.reasons[0].render()
        assert "Put these examples into the prompt" in choice.advice.render()
        assert "97%" in choice.reasons[0].render("zh")
