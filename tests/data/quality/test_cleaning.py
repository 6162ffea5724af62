"""HTML is stripped and mojibake repaired, in linear time; everything else stays as it is."""

import time

import pytest

from studio.data.quality import cleaning
from studio.data.readers.read import Table
from studio.data.schema import infer_roles

MAX_CPU_SECONDS = 5  # a pattern whose time grows with the square of the length takes minutes


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("a < b and b > c, <name>, R&D;, ?a=1&copy=2", "a < b and b > c, <name>, R&D;, ?a=1&copy=2"),
        (
            "Use `<b>`:\n```\n<div>&amp;</div>\n```\nin <i>this</i> &quot;page&quot;",
            'Use `<b>`:\n```\n<div>&amp;</div>\n```\nin this "page"',
        ),
        ("<head><title>T</title></head><body>Hi<script>x()</script>&nbsp;you</body>", "Hi you"),
        ("<ul><li>one</li><li>two</li></ul>end<!-- note -->", "one\ntwo\n\nend"),
        ("<table><tr><td>a</td><td>b</td></tr></table>", "a\tb"),
        ('See <a href="https://shop.example">the shop</a>', "See the shop"),
        (
            "<p align=center>one<br>two<hr noshade><input type='text' disabled> <img src=x.png alt=\"a > "
            'b"/>',
            "one\ntwo",
        ),
        ("<ul><li>one<li>two</ul> <a href=https://x.example?a=1&b=2>more</a>", "onetwo\n\n more"),
        ("so<b>me</b> <span class = 'x'>words</SPAN>", "some words"),
        *(
            (text, text)
            for text in (
                "If a<b and b>0, which one is larger?",
                "if a<b and b>c then x",
                "a<b>c",
                "p<q && q>r",
                "i<s or s>t",
            )
        ),
        *(
            (text, text)
            for text in (
                "List<String> x; Map<K, List<A>> y;",
                "vector<i> v",
                "Use <name> here",
                "1 <a or b> 2",
            )
        ),
    ],
)
def test_html_goes_and_line_breaks_and_code_stay(text, plain):
    assert cleaning.strip_html(text) == plain
    assert cleaning.strip_html(plain) == plain


@pytest.mark.parametrize(
    "text",
    [
        "naïve café",
        "Größe „gut“ – ja…",
        "“Café’s” menu—déjà vu",
        "Привет, мир",
        "你好，世界。“订单”…",
        "模",
        "联通公司的订单",
        "注文をキャンセル",
        "Ελλάδα",
    ],
)
def test_sound_text_in_any_script_is_not_repaired(text):
    assert cleaning.fix_mojibake(text) == text


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *(
            (text, encoding)
            for text in ("您的订单已经发货了吗", "我想问一下发货时间呢")
            for encoding in ("latin-1", "gb18030")
        ),
        ("Größe: 5 €, it’s fine – café", "cp1252"),
        ("Привет, мир", "cp1251"),
    ],
)
def test_utf8_read_in_another_encoding_is_put_right(text, encoding):
    assert cleaning.fix_mojibake(text.encode().decode(encoding, "replace")) == text


def test_utf8_read_as_gbk_by_a_browser_is_put_right_too():
    raw = "我想申请退款吗".encode()
    alone = raw.index(b"\x80\x80") + 1  # the end of 退, where a character of two bytes would begin
    garbled = raw[:alone].decode("gb18030") + "€" + raw[alone + 1 :].decode("gb18030")
    assert cleaning.fix_mojibake(garbled) == "我想申请退款吗"


def test_a_text_that_lost_its_end_is_told_and_not_repaired():
    garbled = "您的订单已经发货".encode()[:23].decode("gb18030", "replace").replace("�", "?")
    assert (cleaning.has_lost_characters(garbled), cleaning.fix_mojibake(garbled)) == (True, garbled)
    assert not any(
        map(
            cleaning.has_lost_characters,
            ("您好吗?", "What?", "请问?退款?", "您的订单已经发货".encode().decode("gb18030")),
        )
    )


@pytest.mark.parametrize(
    "text",
    [
        "<!--" * 50_000,
        "</style>" + "<style>" * 28_000,
        "<a " * 60_000,
        "&" + "amp;" * 49_000,
        "```a" * 50_000 + "<",
        "<" * 200_000,
        "Ã" * 200_000,
        "1" * 200_000 + "x",
        "1." * 100_000 + "x",
        "<b>" + " " * 190_000 + "x</b>",
    ],
)
def test_a_hostile_cell_is_read_in_time_that_grows_with_its_length(text):
    began = time.process_time()
    cleaning.strip_html(text)
    cleaning.fix_mojibake(text)
    infer_roles.guess_roles(
        Table("t.csv", ("question", "answer"), ({"question": "how many?", "answer": text},) * 3), "prompts"
    )
    assert time.process_time() - began < MAX_CPU_SECONDS
