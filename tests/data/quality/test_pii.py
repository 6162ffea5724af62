"""Personal data is found by its form and its check digits; what only looks like it stays."""

import pytest

from studio.data.quality import pii

# Numbers published as examples (card networks, IBAN registry, GB 11643, python-stdnum) or reserved for
# fiction (Ofcom, NANP, BNetzA).
PERSONAL = [
    ("Write to help+shop@mail.example.co.uk, please.", "Write to [email], please."),
    ("邮箱是kefu_01@example.cn，谢谢", "邮箱是[email]，谢谢"),
    ("My card 4111 1111 1111 1111 was charged twice.", "My card [card] was charged twice."),
    ("card:5555555555554444.", "card:[card]."),
    ("Amex 3782-822463-10005 expired", "Amex [card] expired"),
    ("IBAN DE89 3704 0044 0532 0130 00 please", "IBAN [iban] please"),
    ("GB82WEST12345698765432", "[iban]"),
    ("DE89 3704 0044 0532 0130 00 AND MORE", "[iban] AND MORE"),
    ("身份证号11010519491231002X，请核对", "身份证号[id]，请核对"),
    ("SSN 536-90-4399 on file", "SSN [ssn] on file"),
    ("Call +44 20 7946 0958 or +1 (415) 555-0132.", "Call [phone] or [phone]."),
    ("call 0049 30 23125 123 now", "call [phone] now"),
    ("Ring (415) 555-0132 after five", "Ring [phone] after five"),
    ("415-555-0132", "[phone]"),
    ("我的手机是13800138000，请回电", "我的手机是[phone]，请回电"),
    ("手机 138 0013 8000", "手机 [phone]"),
    ("座机010-88888888", "座机[phone]"),
    ("电话(020)83456789，请回电", "电话[phone]，请回电"),
    ("电话（020）83456789", "电话[phone]"),
    ("电话（0571）8765 4321，分机 8", "电话[phone]，分机 8"),
    ("020-83456789", "[phone]"),
    ("传真：0755 26712345", "传真：[phone]"),
    ("Our office: 020 7946 0958", "Our office: [phone]"),
    ("Téléphone : 01.23.45.67.89", "Téléphone : [phone]"),
]
HARMLESS = [
    "Order 4155550132 has not arrived.",
    "Invoice 4111 1111 1111 1112 (one digit off)",
    "The number 9999999999999995 passes the check of a card, but nobody issues it.",
    "EAN 4006381333931 and IMEI 352099001761481",
    "DE89 3704 0044 0532 0130 01",
    "110105194912310021",
    "订单号202401150012345678",
    "000-12-3456 and 666-12-3456 were never given out",
    "From 2024-01-15 10:30 to 15.01.2024, or 01-02-2024",
    "Version 10.0.19.1, address 192.168.100.200 and 122.333.444.12",
    "pi is 3.14159265358979 and e is 2.718281828459045",
    "ISBN 978-3-16-148410-0",
    "0.25 0.50 0.75 1.00",
    "0123456789",
    "It costs 1,299,000.00 or 12 500 000",
    "Timestamps 1700000000 and 1700000000000",
    "@support wrote: 50 % off, see http://shop.example/p/4155550132",
    # A service number is a company's, and no person's.
    *("客服热线400-800-1234", "拨打 400 820 8820", "热线 4008001234", "800-820-8820 免费"),
    "条款(020)第1234号",
    "Names such as Anna or 小明",
]


def test_personal_data_is_masked_and_nothing_else():
    wrong = {text: pii.mask_pii(text) for text, masked in PERSONAL if pii.mask_pii(text) != masked}
    assert wrong == {}


def test_a_masked_text_stays_as_it_is():
    wrong = {masked: pii.mask_pii(masked) for _, masked in PERSONAL if pii.mask_pii(masked) != masked}
    assert wrong == {}


def test_what_only_looks_like_personal_data_stays():
    wrong = {
        text: pii.mask_pii(text) for text in HARMLESS if pii.find_pii(text) or pii.mask_pii(text) != text
    }
    assert wrong == {}


def test_places_are_told_in_order_and_without_overlap():
    spans = pii.find_pii("a@b.example 415-555-0132 a@b.example")
    assert [(span.kind, span.start, span.end) for span in spans] == [
        ("email", 0, 11),
        ("phone", 12, 24),
        ("email", 25, 36),
    ]


def test_every_kind_is_found_by_some_example_and_has_a_name_in_both_languages():
    assert {span.kind for text, _ in PERSONAL for span in pii.find_pii(text)} == set(pii.PII_KINDS)
    assert all(name.render() and name.render("zh") for name in pii.PII_KINDS.values())


@pytest.mark.parametrize(
    "text",
    [
        "a" * 200_000,
        "1" * 200_000,
        "1 " * 100_000,
        "a@" * 100_000,
        "a@" + "a." * 100_000,
        "AB12 " * 40_000,
        "(" * 200_000,
    ],
)
def test_a_very_long_cell_takes_no_more_than_its_length(text):
    assert pii.find_pii(text) == ()
