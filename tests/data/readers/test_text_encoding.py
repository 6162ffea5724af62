"""Which encoding bytes are read in, and whether that is certain or a guess that is said."""

import unicodedata

import pytest

from studio.data.readers import read, text_encoding
from studio.data.schema import infer_roles

TONES = "\u0300\u0301\u0303\u0309\u0323"


def spell_in_cp1258(text):
    """Vietnamese as that encoding has it: letters with their own signs, each tone behind its letter."""
    parts = []
    for letter in text:
        marks = unicodedata.normalize("NFD", letter)[1:]
        tones = [mark for mark in marks if mark in TONES]
        base = unicodedata.normalize("NFD", letter)[0] + "".join(mark for mark in marks if mark not in tones)
        parts.append(unicodedata.normalize("NFC", base) + "".join(tones))
    return "".join(parts)


def write_csv(tmp_path, encoding, question, answer):
    lines = ["question,answer"] + [f"{question} {index}?,{answer} {index}." for index in range(12)]
    path = tmp_path / "a.csv"
    path.write_bytes("\n".join(lines).encode(encoding))
    return path


def test_vietnamese_in_its_own_encoding_is_read_letter_by_letter(tmp_path):
    question, answer = "Làm thế nào để đổi mật khẩu", "Mở phần cài đặt rồi chọn đơn hàng của bạn"
    path = write_csv(tmp_path, "cp1258", spell_in_cp1258(question), spell_in_cp1258(answer))
    table = read.read_table(path)
    assert table.rows[3] == {"question": f"{question} 3?", "answer": f"{answer} 3."}
    assert table.notes == ()


@pytest.mark.parametrize(
    ("encoding", "question", "answer"),
    [
        ("cp1250", "Gdzie jest moja paczka", "Przyjdzie jutro i życzymy miłego dnia"),
        ("cp1251", "Где мой заказ", "Мы доставим его завтра утром"),
        ("koi8_r", "Где мой заказ", "Мы доставим его завтра утром"),
        ("cp1253", "Πού είναι η παραγγελία μου", "Θα έρθει αύριο το πρωί"),
    ],
)
def test_an_encoding_that_was_guessed_is_said_and_makes_the_reading_uncertain(
    tmp_path, encoding, question, answer
):
    table = read.read_table(write_csv(tmp_path, encoding, question, answer))
    assert table.rows[0]["question"].startswith(question)
    assert encoding in table.notes[0].render()
    assert not infer_roles.guess_roles(table).is_confident
    in_utf8 = read.read_table(write_csv(tmp_path, "utf-8", question, answer))
    assert in_utf8.notes == ()
    assert infer_roles.guess_roles(in_utf8).is_confident


def test_what_western_europe_writes_is_no_guess():
    assert text_encoding.decode("Où est l’été ?\n".encode("cp1252") * 9, "a.csv").guessed_encoding == ""
