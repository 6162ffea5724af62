"""Labels that are spelled differently are the same where a person would say so, and only there."""

from studio.data.quality.label_stats import normalize_label

SAME_LABEL = [
    ("refund", "Refund "),
    ("refund", "refunds"),
    ("query", "Queries"),
    ("box", "boxes"),
    ("refund", "ＲＥＦＵＮＤ"),
    ("tech problem", "Tech-Problem"),
    ("tech_problem", "tech  problem"),
    ("1", "1.0"),
    ("退款", "退款。"),
    ("5 stars", "5 star"),
]
DIFFERENT_LABELS = [
    ("c", "c++"),
    ("+", "-"),
    ("1", "-1"),
    ("1", "10"),
    ("bus", "bu"),
    ("class", "clas"),
    ("status", "statu"),
    ("yes", "ye"),
    ("退款", "退货"),
    (".", "!"),
]


def test_spellings_of_one_label_mean_the_same():
    wrong = [pair for pair in SAME_LABEL if len(set(map(normalize_label, pair))) != 1]
    assert wrong == []


def test_labels_that_differ_stay_apart():
    wrong = [pair for pair in DIFFERENT_LABELS if len(set(map(normalize_label, pair))) != 2]
    assert wrong == []
