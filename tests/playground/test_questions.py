"""Questions to try come from what a run has not learned from."""

from studio.evaluate import predictions
from studio.playground import questions


def held_out(run, role):
    rows = predictions.read_lines(run.folder / "data" / "validation.jsonl")
    return {row[role] for row in rows}


def test_five_different_held_out_questions_are_offered_and_always_the_same(finished):
    run = finished("lora", "chat")
    offered = questions.offer(run)
    assert len(set(offered)) == 5
    assert set(offered) <= held_out(run, "prompt")
    assert questions.offer(run) == offered


def test_texts_to_classify_are_offered_whole_and_others_by_their_beginning(finished):
    classifier, writer = finished("lora", "classify"), finished("lora", "complete")
    assert set(questions.offer(classifier)) <= held_out(classifier, "text")
    texts = held_out(writer, "text")
    for offered in questions.offer(writer):
        assert any(text.startswith(offered) and len(text) > len(offered) for text in texts)


def test_long_questions_and_a_run_without_rows_offer_nothing(finished):
    run = finished("lora", "classify")
    path = run.folder / "data" / "validation.jsonl"
    path.write_text('{"text": "' + "x" * 300 + '", "label": "billing"}\n', encoding="utf-8")
    assert questions.offer(run) == []
    path.unlink()
    assert questions.offer(run) == []
