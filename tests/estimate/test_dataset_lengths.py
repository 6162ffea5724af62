"""The lengths of a plan's examples, counted or estimated, and the workload that follows from them."""

import json

import pytest
from estimate_cases import shape_of

from studio import methods, runs
from studio.data import examples
from studio.data.text import json_answers
from studio.estimate import dataset_lengths
from studio.estimate.dataset_lengths import DatasetLengths
from studio.methods.training import first_step
from studio.methods.workload import RowTokens
from studio.models import load
from studio.plan import Data, MethodChoice, Plan, Training
from studio.training import setup


def test_a_test_set_of_its_own_costs_its_time_and_no_example_to_learn_from(make_plan):
    plan = make_plan()
    data_with_test = plan.data.model_copy(update={"test": plan.data.source})
    plan_with_test = plan.model_copy(update={"data": data_with_test})
    lengths = dataset_lengths.measure_lengths(plan, None)
    lengths_with_test = dataset_lengths.measure_lengths(plan_with_test, None)
    assert (lengths.n_test, lengths_with_test.n_test) == (0, lengths.count)
    method, shape = methods.get("lora"), shape_of("smollm2-135m")
    settings = method.resolve_settings({})
    workload = dataset_lengths.build_workload(plan, method, settings, shape, lengths)
    workload_with_test = dataset_lengths.build_workload(
        plan_with_test, method, settings, shape, lengths_with_test
    )
    assert workload_with_test.n_train == workload.n_train
    phases = {phase.name: phase for phase in method.build_phases(settings, workload_with_test)}
    n_tested = sum(micro_batch.rows * micro_batch.repeats for micro_batch in phases["verdict"].micro_batches)
    assert n_tested >= lengths_with_test.n_test


def test_a_share_of_the_training_rows_counts_as_many_as_a_run_trains_on(make_plan):
    plan = make_plan("lora", "classify")
    plan = plan.model_copy(update={"data": plan.data.model_copy(update={"train_share": 0.5})})
    method, shape = methods.get("lora"), shape_of("smollm2-135m")
    lengths = dataset_lengths.measure_lengths(plan, None)
    workload = dataset_lengths.build_workload(plan, method, method.resolve_settings({}), shape, lengths)
    prepared = setup.prepare_data(runs.create(plan), plan)
    assert workload.n_train == len(prepared.splits.train)
    assert workload.n_validation == len(prepared.splits.validation)
    assert workload.n_read == sum(map(len, (prepared.splits.train, prepared.splits.validation)))


@pytest.mark.parametrize(
    ("name", "settings", "max_tokens"),
    [
        ("lora", {}, 512),
        ("prefix", {"virtual_tokens": 100}, 412),
        ("peft", {"type": "prompt_tuning", "prompt_tuning_num_virtual_tokens": 60}, 452),
        ("peft", {"type": "p_tuning", "p_tuning_num_virtual_tokens": 30}, 482),
        ("peft", {"type": "ia3"}, 512),
    ],
)
def test_texts_are_as_long_as_virtual_tokens_allow(name, settings, max_tokens):
    plan = Plan(
        task="classify",
        model="minilm-l6",
        data=Data(source="-"),
        method=MethodChoice(name=name, settings=settings),
        training=Training(max_length=1024),
    )
    rows = (RowTokens(40), RowTokens(430), RowTokens(2000))
    lengths = DatasetLengths(rows, 90, 0, 3, is_exact=True)
    method = methods.get(name)
    resolved = method.resolve_settings(settings)
    workload = dataset_lengths.build_workload(plan, method, resolved, shape_of("minilm-l6"), lengths)
    tokens = [
        micro_batch.tokens
        for phase in method.build_phases(resolved, workload)
        for micro_batch in phase.micro_batches
    ]
    assert max(tokens) == max_tokens


@pytest.mark.parametrize(
    ("question", "request_text"),
    [("where is my lamp", first_step.ENGLISH_REQUEST), ("我的灯在哪里？", first_step.CHINESE_REQUEST)],
)
def test_the_request_for_a_first_step_is_counted_in_the_language_of_the_questions(
    question, request_text, make_plan, tiny_chat, tmp_path
):
    path = tmp_path / "questions.csv"
    path.write_text("prompt\n" + "\n".join(f"{question} {row}" for row in range(20)), encoding="utf-8")
    plan = make_plan("upft", "prompts")
    data = plan.data.model_copy(update={"source": str(path), "columns": {"prompt": "prompt"}})
    plan = plan.model_copy(update={"data": data})
    lengths = dataset_lengths.measure_lengths(plan, tiny_chat, wait=True)
    assert lengths.first_step_tokens == len(load.tokenizer(tiny_chat)(request_text)["input_ids"])
    method, shape = methods.get("upft"), shape_of("smollm2-135m")
    workload = dataset_lengths.build_workload(plan, method, method.resolve_settings({}), shape, lengths)
    assert workload.first_step_tokens == lengths.first_step_tokens


@pytest.mark.parametrize("is_counted", [True, False])
def test_among_thousands_the_one_longest_text_is_never_missed(is_counted, make_plan, tiny_chat, tmp_path):
    rows = [f"what is number {row}?,it is one less than number {row + 1}" for row in range(3000)]
    rows[2321] = f"what is number 2321?,{'it is a lamp ' * 60}"
    path = tmp_path / "many.csv"
    path.write_text("prompt,response\n" + "\n".join(rows), encoding="utf-8")
    plan = make_plan()
    plan = plan.model_copy(update={"data": plan.data.model_copy(update={"source": str(path)})})
    lengths = dataset_lengths.measure_lengths(plan, tiny_chat if is_counted else None, wait=True)
    assert (lengths.count, lengths.is_exact) == (3000, is_counted)
    assert len(lengths.rows) == dataset_lengths.MAX_ROWS
    *others, longest = (row.tokens for row in lengths.rows)
    assert longest > 4 * others[-1]
    assert sum(others) / len(others) == pytest.approx(lengths.rows[64].tokens, rel=0.1)


def test_a_text_is_estimated_by_its_letters_and_chinese_by_its_characters():
    assert dataset_lengths.estimate_tokens("word " * 20) == 25
    assert dataset_lengths.estimate_tokens("你" * 10) == 7
    assert dataset_lengths.estimate_tokens("12345") == 5
    assert dataset_lengths.estimate_tokens("") == 1


@pytest.mark.parametrize(
    ("model", "tokens"), [("qwen3-8b", 7), ("smollm2-135m", 18), ("bert-base-chinese", 10), ("hub/other", 7)]
)
def test_a_chinese_character_counts_by_the_vocabulary_of_the_model(model, tokens):
    tokens_per_wide = dataset_lengths._tokens_per_wide_character(model)
    assert dataset_lengths.estimate_tokens("你" * 10, tokens_per_wide) == tokens


def test_lengths_that_a_tokenizer_counted_replace_the_estimate(make_plan, tiny_chat):
    from transformers import AutoTokenizer

    plan = make_plan()
    estimated = dataset_lengths.measure_lengths(plan, None)
    counted = dataset_lengths.measure_lengths(plan, tiny_chat, wait=True)
    assert (estimated.is_exact, counted.is_exact) == (False, True)
    assert estimated.count == counted.count == 40
    assert dataset_lengths.measure_lengths(plan, tiny_chat).rows == counted.rows, "remembered"
    conversation = [
        {"role": "user", "content": "where is my lamp"},
        {"role": "assistant", "content": "Thanks for asking about the lamp. Yours, the shop."},
    ]
    tokenizer = AutoTokenizer.from_pretrained(tiny_chat)
    n_tokens = len(tokenizer.apply_chat_template(conversation)["input_ids"])
    assert n_tokens in {row.tokens for row in counted.rows}


@pytest.mark.parametrize("name", [method.name for method in methods.METHODS if "chat" in method.tasks])
def test_json_answers_are_asked_for_once_before_and_once_after(name, tmp_path, make_plan):
    path = tmp_path / "orders.csv"
    rows = [f'order {n} is late,"{{""intent"": ""late"", ""order"": {n}}}"\n' for n in range(40)]
    path.write_text("prompt,response\n" + "".join(rows), encoding="utf-8")
    plan = make_plan(name)
    plan = plan.model_copy(update={"data": plan.data.model_copy(update={"source": str(path)})})
    lengths = dataset_lengths.measure_lengths(plan, None)
    assert lengths.n_asked == 40
    method, shape = methods.get(name), shape_of("smollm2-135m")
    settings = method.resolve_settings({})
    workload = dataset_lengths.build_workload(plan, method, settings, shape, lengths)
    longest = max(row.completion_tokens for row in lengths.rows)
    n_tokens = json_answers.max_new_tokens(longest)
    phases = method.build_phases(settings, workload)
    (phase,) = [phase for phase in phases if (phase.name, phase.new_tokens) == ("ask", n_tokens)]
    n_asked = sum(micro_batch.rows * micro_batch.repeats for micro_batch in phase.micro_batches)
    assert (phase.passes, n_asked) == (2, workload.n_validation)


def test_every_question_of_a_chat_is_asked_and_no_text_to_classify(make_plan):
    chat = dataset_lengths.measure_lengths(make_plan(), None)
    assert (chat.n_asked, chat.has_json_answers) == (chat.count, False)
    assert dataset_lengths.measure_lengths(make_plan(task="classify"), None).n_asked == 0


def test_earlier_answers_of_a_conversation_are_counted_as_they_are_learned(make_plan, tiny_chat, tmp_path):
    turns = [(role, f"{text} {text}") for role, text in zip(("user", "assistant") * 2, "abcd", strict=True)]
    conversation = [{"role": role, "content": text} for role, text in turns]
    path = tmp_path / "turns.jsonl"
    path.write_text("\n".join(json.dumps({"messages": conversation}) for _ in range(20)), encoding="utf-8")
    plan = make_plan()
    data = plan.data.model_copy(update={"source": str(path), "columns": {"messages": "messages"}})
    plan = plan.model_copy(update={"data": data})
    encoded = examples.encode_chat(conversation, load.tokenizer(tiny_chat), 1000)
    learned = [position for position, label in enumerate(encoded.labels) if label != examples.IGNORE_INDEX]
    for row in dataset_lengths.measure_lengths(plan, tiny_chat, wait=True).rows:
        assert row.lead_tokens == learned[0]
        assert row.earlier_answer_tokens + row.completion_tokens == len(learned)
    for row in dataset_lengths.measure_lengths(plan, None).rows:
        assert row.earlier_answer_tokens > 0
    masked = plan.model_copy(update={"training": plan.training.model_copy(update={"mask_history": True})})
    for folder in (tiny_chat, None):
        rows = dataset_lengths.measure_lengths(masked, folder, wait=True).rows
        assert {row.history_tokens for row in rows} == {0}
