"""A verdict ships what is shown to be better, and says so when rows cannot tell."""

import numpy as np
import pytest
from sampling import sample
from scipy import stats

from studio.evaluate import evidence, next_steps, paired, predictions, verdict
from studio.evaluate import verdict_messages as messages
from studio.evaluate.predictions import Answered, Prediction
from studio.evaluate.verdict import Verdict

LABELS = ("a", "b", "c", "d")
N_DRAWS = 200


def answer(label, is_right):
    return {"label": label if is_right else LABELS[LABELS.index(label) - 1], "probability": 0.9}


def classes(tuned, linear=None, split="test"):
    """Answers to texts with one class each, from whether each model is right; the usual class is "a"."""
    rows = []
    for index, tuned_right in enumerate(tuned):
        label = LABELS[index % len(LABELS)]
        linear_answer = answer(label, linear[index]) if linear is not None else None
        example = {"text": f"text {index}", "label": label}
        rows.append(Prediction(index, example, answer(label, tuned_right), linear=linear_answer))
    return Answered(split, rows, {"label": "a"})


def questions(base, tuned, split="test"):
    """Answers to questions with known answers, from whether each model is right."""
    texts = {True: "2", False: "3"}
    rows = [
        Prediction(
            index,
            {"prompt": "1 + 1", "answer": "2"},
            {"text": texts[tuned_right]},
            {"text": texts[base_right]},
        )
        for index, (base_right, tuned_right) in enumerate(zip(base, tuned, strict=True))
    ]
    return Answered(split, rows)


def hits(n_right, n):
    return [index < n_right for index in range(n)]


def reason_texts(result):
    return [reason.text for reason in result.reasons]


def step_texts(result):
    return [step.message.text for step in result.next_steps]


def test_a_result_that_is_shown_to_be_better_ships_with_a_sentence_to_repeat():
    result = verdict.judge(classes(hits(86, 98), hits(60, 98)), {})
    assert result.state == "ship"
    assert result.headline.render() == (
        "88% correct on 98 test texts (95% interval 80–93%); always guessing the largest class: 26%; "
        "the linear model: 61%."
    )
    assert result.headline.render("zh").startswith("98 条测试文本答对 88%")


def test_the_rows_are_called_what_they_are_in_both_languages():
    result = verdict.judge(classes(hits(86, 98), hits(60, 98), split="validation"), {})
    assert "98 validation texts" in result.headline.render()
    assert "98 条验证文本" in result.headline.render("zh")


def test_a_linear_model_that_is_as_good_is_the_headline():
    result = verdict.judge(classes(hits(20, 24), hits(19, 24)), {})
    assert result.state == "cannot_tell"
    assert result.headline.render() == (
        "A linear model does as well, as far as 24 test texts can show: 79% correct against 83% correct "
        "for the tuned model."
    )
    assert step_texts(result)[0] == next_steps.TAKE_LINEAR.text


def test_a_linear_model_that_is_as_good_on_many_rows_keeps_a_result_back():
    result = verdict.judge(classes(hits(350, 400), hits(349, 400)), {})
    assert (result.state, result.headline.text) == ("do_not_ship", messages.LINEAR_IS_AS_GOOD.text)


def test_a_linear_model_that_is_better_keeps_a_result_back():
    result = verdict.judge(classes(hits(70, 98), hits(90, 98)), {})
    assert (result.state, result.headline.text) == ("do_not_ship", messages.LINEAR_IS_BETTER.text)


def test_the_linear_model_is_not_recommended_where_neither_beats_guessing():
    result = verdict.judge(classes(hits(12, 40), hits(11, 40)), {})
    assert result.headline.text == messages.HEADLINE.text
    assert next_steps.TAKE_LINEAR.text not in step_texts(result)


def test_the_linear_model_as_a_result_is_not_compared_with_itself():
    result = verdict.judge(classes(hits(86, 98), hits(86, 98)), {"method": {"linear_head": True}})
    assert result.state == "ship"
    assert [comparison.name for comparison in result.comparisons] == ["majority"]


def test_a_classifier_is_not_compared_with_the_random_head_of_its_base():
    rows = [
        Prediction(index, {"text": "t", "label": "b"}, {"label": "b"}, base={"label": "a"})
        for index in range(30)
    ]
    (comparison,) = verdict.judge(Answered("test", rows, {"label": "a"}), {}).comparisons
    assert comparison.name == "majority"
    assert verdict.judge(Answered("test", rows), {}).headline == messages.NOTHING_HELD_OUT


def test_below_twenty_rows_no_percentage_is_a_result():
    result = verdict.judge(classes(hits(19, 19), hits(4, 19)), {})
    assert result.state == "cannot_tell"
    assert "%" not in result.headline.render()
    assert next_steps.MORE_EXAMPLES.text in step_texts(result)


def test_an_open_difference_says_how_many_more_rows_would_show_ten_points():
    result = verdict.judge(classes(hits(24, 40), hits(20, 40)), {})
    assert result.state == "cannot_tell"
    (more,) = [step.message for step in result.next_steps if step.message.text == next_steps.MORE_ROWS.text]
    losses = 1 / 42
    assert more.values["count"] == paired.rows_to_show(0.1, losses) - 40
    assert more.values["difference"] == next_steps.IN_POINTS.format(points=10)


def test_no_more_rows_are_asked_for_than_are_answered_in_writing():
    result = verdict.judge(questions(hits(20, 40), hits(24, 40)), {})
    assert result.state == "cannot_tell"
    assert step_texts(result) == [next_steps.LET_PEOPLE_VOTE.text]


def test_a_larger_test_set_is_never_a_smaller_one(make_plan):
    """A run of 3,000 examples has 300 test rows: 130 are no more."""
    setup = next_steps.Setup(make_plan(), {"data": {"train": 2400, "validation": 300, "test": 300}})
    assert setup.find_test_share(130) is None
    assert setup.find_test_share(400) == 0.15


def test_practice_that_forgot_something_is_for_people_to_decide():
    forgot = {"retention": {"arithmetic": {"before": 0.8, "after": 0.4, "n": 40, "low": -0.6, "high": -0.2}}}
    practice = {
        **{"before": {"reward": 0.1}, "after": {"reward": 0.5}, "questions": {"held_out": 40}},
        "change": {"mean": 0.4, "low": 0.2, "high": 0.6},
    }
    report = {"method": {"rl": practice}}
    assert verdict.judge(None, report).state == "ship"
    result = verdict.judge(None, report | forgot)
    assert result.state == "cannot_tell"
    assert next_steps.REMEMBER.text in step_texts(result)


def test_an_open_reward_has_a_next_step():
    practice = {
        **{"before": {"reward": 0.1}, "after": {"reward": 0.2}, "questions": {"held_out": 40}},
        "change": {"mean": 0.1, "low": -0.2, "high": 0.4},
    }
    result = verdict.judge(None, {"method": {"rl": practice}})
    assert result.state == "cannot_tell"
    assert next_steps.TRAIN_OTHERWISE.text in step_texts(result)


def test_a_result_that_changed_nothing_on_many_rows_is_not_shipped():
    assert verdict.judge(questions(hits(250, 400), hits(250, 400)), {}).state == "do_not_ship"


def test_validation_rows_that_chose_the_state_must_show_more():
    base, tuned = hits(60, 100), hits(67, 100)  # 7 of 7: p = 0.016
    on_test = verdict.judge(questions(base, tuned), {})
    on_validation = verdict.judge(questions(base, tuned, split="validation"), {})
    assert (on_test.state, on_validation.state) == ("ship", "cannot_tell")
    assert messages.CHOSE_THE_STATE in on_validation.reasons
    assert messages.CHOSE_THE_STATE not in on_test.reasons


def test_a_result_that_forgot_something_is_for_people_to_decide():
    report = {"retention": {"arithmetic": {"before": 0.8, "after": 0.4, "n": 40, "low": -0.6, "high": -0.2}}}
    result = verdict.judge(questions(hits(20, 98), hits(86, 98)), report)
    assert result.state == "cannot_tell"
    assert next_steps.REMEMBER.text in step_texts(result)


def test_without_known_answers_there_is_nothing_to_compare():
    result = verdict.judge(None, {})
    assert (result.state, result.headline) == ("cannot_tell", messages.NOTHING_HELD_OUT)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("n", "losses"),
    sample([(n, losses) for n in (40, 100, 400) for losses in (0.03, 0.1)], [(40, 0.1), (100, 0.03)]),
)
def test_the_base_against_itself_is_seldom_shipped_and_a_visible_improvement_mostly_is(n, losses):
    """The bars: "ship" at most 5 % where there is no difference, at least 80 % where it says it can see it.

    The draws are held against the bars by exact binomial tests: a true share on the wrong side by 8 points is
    found in most of the six cases, and one that meets its bar fails one in 1,000.
    """
    generator = np.random.default_rng(n)
    visible = paired.visible_difference(n, losses)

    def count_shipped(difference):
        n_shipped = 0
        for _ in range(N_DRAWS):
            kinds = generator.choice(3, size=n, p=[difference + losses, losses, 1 - difference - 2 * losses])
            is_right_anyway = generator.random(n) < 0.7
            tuned = (kinds == 0) | ((kinds == 2) & is_right_anyway)
            base = (kinds == 1) | ((kinds == 2) & is_right_anyway)
            gathered = evidence.gather(questions(base, tuned), {})
            n_shipped += verdict.decide(gathered) == "ship"
        return n_shipped

    too_often = stats.binomtest(count_shipped(0.0), N_DRAWS, 0.05, alternative="greater")
    too_seldom = stats.binomtest(count_shipped(visible), N_DRAWS, 0.80, alternative="less")
    assert too_often.pvalue > 0.001
    assert too_seldom.pvalue > 0.001


def chat(n, base_loss, tuned_loss, **others):
    rows = [
        Prediction(
            index,
            {"prompt": f"question {index}", "response": "A long and friendly answer, with a greeting. " * 2},
            {"loss": tuned_loss + 0.1 * (index % 3)},
            {"loss": base_loss + 0.1 * (index % 3)},
        )
        for index in range(n)
    ]
    return Answered("test", rows, **others)


def test_long_answers_are_judged_by_the_loss_of_each_row():
    result = verdict.judge(chat(24, 2.5, 1.4), {})
    assert (result.state, result.measure) == ("ship", "loss")
    assert result.headline.render() == "The wanted answer became likelier for 24 of 24 test answers."
    assert messages.LOSS_IS_NOT_QUALITY in result.reasons
    assert verdict.judge(chat(24, 1.4, 2.5), {}).state == "do_not_ship"


def test_known_answers_are_judged_right_or_wrong():
    rows = [
        Prediction(
            index,
            {"prompt": f"{index} + 1", "answer": str(index + 1)},
            {"text": f"{index + 1}"},
            {"text": "?"},
        )
        for index in range(30)
    ]
    result = verdict.judge(Answered("test", rows), {})
    assert (result.state, result.measure, result.score.value) == ("ship", "answer_accuracy", 1.0)


def test_short_answers_and_json_are_compared_as_a_whole():
    wanted = ['{"city": "Graz", "order": 12}', "yes"]
    given = ['{"order": 12.0, "city": " Graz"}', "Yes"]
    for answer_text, text in zip(wanted, given, strict=True):
        rows = [
            Prediction(
                index,
                {"prompt": "q", "response": answer_text},
                {"text": text, "loss": 1.0},
                {"text": "no", "loss": 2.0},
            )
            for index in range(20)
        ]
        result = verdict.judge(Answered("test", rows), {})
        assert (result.measure, result.score.value) == ("exact_match", 1.0)


def pairs(tuned_margins, base_margins=None):
    rows = []
    for index, margin in enumerate(tuned_margins):
        base = {"margin": base_margins[index]} if base_margins is not None else None
        rows.append(
            Prediction(index, {"prompt": "q", "chosen": "a", "rejected": "b"}, {"margin": margin}, base)
        )
    return Answered("test", rows)


def test_a_reward_model_is_judged_against_guessing_and_by_what_practice_gained():
    margins = [1.0] * 70 + [-1.0] * 30
    practice = {"before": {"reward": 0.1}, "after": {"reward": 0.5}, "questions": {"held_out": 40}}
    gained = {"method": {"rl": {**practice, "change": {"mean": 0.4, "low": 0.2, "high": 0.6}}}}
    unclear = {"method": {"rl": {**practice, "change": {"mean": 0.4, "low": -0.2, "high": 1.0}}}}
    assert verdict.judge(pairs(margins), gained).state == "ship"
    assert verdict.judge(pairs(margins), unclear).state == "cannot_tell"
    assert verdict.judge(pairs([1.0, -1.0] * 50), gained).state == "cannot_tell"


def test_a_policy_is_judged_on_the_same_pairs_as_the_base():
    base = [1.0] * 50 + [-1.0] * 50
    assert verdict.judge(pairs([1.0] * 80 + [-1.0] * 20, base), {}).state == "ship"
    assert verdict.judge(pairs([1.0] * 20 + [-1.0] * 80, base), {}).state == "do_not_ship"


def test_labels_and_numbers_are_judged_by_f1_and_by_their_error():
    label_rows = [
        Prediction(
            index, {"text": "t", "labels": '["a", "b"]'}, {"labels": ["a", "b"]}, linear={"labels": ["c"]}
        )
        for index in range(30)
    ]
    assert verdict.judge(Answered("test", label_rows), {}).measure == "micro_f1"
    assert verdict.judge(Answered("test", label_rows), {}).state == "ship"
    rating_rows = [
        Prediction(
            index,
            {"text": "t", "rating": str(1 + index % 5)},
            {"value": 1.1 + index % 5},
            linear={"value": 9.0},
        )
        for index in range(30)
    ]
    result = verdict.judge(Answered("test", rating_rows, {"value": 3.0}), {})
    assert (result.state, result.measure) == ("ship", "mae")
    assert [comparison.name for comparison in result.comparisons] == ["median", "linear"]


def test_a_reward_that_was_gamed_is_not_shipped():
    margins = pairs([1.0] * 70 + [-1.0] * 30)
    sign = messages.NOTHING_HELD_OUT  # any sentence
    assert verdict.judge(margins, {}).state == "ship"
    result = verdict.judge(margins, {"gaming": sign.to_json()})
    assert (result.state, sign in result.reasons) == ("cannot_tell", True)
    assert next_steps.READ_ANSWERS.text in step_texts(result)


def test_a_verdict_is_the_same_every_time_and_survives_the_report():
    answered = chat(30, 2.0, 1.8)
    first, second = (verdict.judge(answered, {}) for _ in range(2))
    assert first == second
    stored = Verdict.from_json(first.to_json())
    assert stored.headline.render("zh") == first.headline.render("zh")
    assert (stored.state, stored.comparisons, stored.score) == (first.state, first.comparisons, first.score)
    assert verdict.read({"verdict": first.to_json()}) == stored
    assert verdict.read({}) is None


def test_two_runs_are_compared_on_the_rows_that_both_answered():
    better, worse = classes(hits(86, 98)), classes(hits(40, 98))
    assert verdict.judge_runs(better, worse).state == "ship"
    assert verdict.judge_runs(worse, better).state == "do_not_ship"
    assert "the other run: 41%" in verdict.judge_runs(better, worse).headline.render()
    assert verdict.judge_runs(better, chat(20, 1.0, 1.0)).headline == messages.NOTHING_HELD_OUT


def test_predictions_are_read_with_the_rows_they_answer(tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (data / "train.jsonl").write_text('{"text": "x", "label": "b"}\n{"text": "y", "label": "b"}\n')
    (data / "test.jsonl").write_text('{"text": "one", "label": "a"}\n{"text": "two", "label": "b"}\n')
    outcomes = {1: {"label": "b", "probability": 0.75}}
    predictions.write(
        tmp_path, "test", {"base": {0: {"label": "a"}, **outcomes}, "linear": {}, "tuned": outcomes}
    )
    answered = predictions.read(tmp_path)
    assert (answered.split, answered.usual) == ("test", {"label": "b"})
    (prediction,) = answered.predictions
    assert (prediction.row, prediction.example["text"], prediction.linear) == (1, "two", None)
    assert predictions.read(data) is None
