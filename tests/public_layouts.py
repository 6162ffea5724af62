"""Layouts of well-known public data sets, rebuilt with own wording, and what is to be learned of each.

`LAYOUTS` maps a name to the file's name, its bytes, and the readings that are right: the task, and the parts
of the second example in any order of keys. The first reading is the best one. No reading: nothing should be
called sure.
"""

from field_cases import N_ROWS, a, answer, bad, chat, jsonl, question, s, table, u

Q, A, B = question(1), answer(1), bad(1)
QA = ("chat", {"prompt": Q, "response": A})
TURNS = ("chat", chat(("u", Q), ("a", A)))
PAIR = ("prefer", {"prompt": Q, "chosen": A, "rejected": B})
LABELS = ("billing", "shipping", "account")


def label(n):
    return LABELS[n % 3]


def labelled(text, name="shipping"):
    return ("classify", {"text": text, "label": name})


def long(n):
    return (
        f"The shop of our town sells lamp number {n} since spring. People like its light, and many come back "
        f"for a second one. The owner says that number {n} will stay on sale until autumn."
    )


def short(n):
    return f"Lamp {n} sells well in our town."


ENGLISH, GERMAN = "The lamp of order {} is broken.", "Die Lampe aus Bestellung {} ist kaputt."
ALPACA = "Below is an instruction.\n\n### Instruction:\n{}\n\n### Response:\n{}"

LAYOUTS = {
    "alpaca with text": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "instruction": question(n),
                "input": "",
                "output": answer(n),
                "text": ALPACA.format(question(n), answer(n)),
            }
        ),
        [QA],
    ),
    "python instructions with a full prompt": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "instruction": question(n),
                "input": "",
                "output": answer(n),
                "prompt": ALPACA.format(question(n), answer(n)),
            }
        ),
        [QA],
    ),
    "dolly": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "instruction": question(n),
                "context": "" if n % 2 else long(n),
                "response": answer(n),
                "category": ("closed_qa", "open_qa")[n % 2],
            }
        ),
        [QA],
    ),
    "OpenOrca": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "id": f"niv.{n}",
                "system_prompt": "Be kind.",
                "question": question(n),
                "response": answer(n),
            }
        ),
        [("chat", chat(("s", "Be kind."), ("u", Q), ("a", A)))],
    ),
    "ultrachat": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "prompt": question(n),
                "prompt_id": f"{n:064x}",
                "messages": [u(question(n)), a(answer(n))],
            }
        ),
        [TURNS],
    ),
    "no robots": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "prompt": question(n),
                "prompt_id": f"{n:064x}",
                "messages": [s("Be kind."), u(question(n)), a(answer(n))],
                "category": ("Chat", "Open QA")[n % 2],
            }
        ),
        [("chat", chat(("s", "Be kind."), ("u", Q), ("a", A)))],
    ),
    "ultrafeedback binarized": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "prompt": question(n),
                "prompt_id": f"{n:064x}",
                "chosen": [u(question(n)), a(answer(n))],
                "rejected": [u(question(n)), a(bad(n))],
                "messages": [u(question(n)), a(answer(n))],
                "score_chosen": 8.5,
                "score_rejected": 3.0 + n / 50,
            }
        ),
        [PAIR],
    ),
    "orpo mix": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "source": "x",
                "chosen": [u(question(n)), a(answer(n))],
                "rejected": [u(question(n)), a(bad(n))],
                "prompt": question(n),
                "question": question(n),
            }
        ),
        [PAIR],
    ),
    "distilabel pairs with ratings": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "instruction": question(n),
                "chosen_response": answer(n),
                "rejected_response": bad(n),
                "chosen_rating": 9,
                "rejected_rating": 2,
            }
        ),
        [PAIR],
    ),
    "hh-rlhf": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "chosen": f"\n\nHuman: {question(n)}\n\nAssistant: {answer(n)}",
                "rejected": f"\n\nHuman: {question(n)}\n\nAssistant: {bad(n)}",
            }
        ),
        [PAIR],
    ),
    "kto mix": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "dataset": "x",
                "prompt": [u(question(n // 2))],
                "completion": [a((bad if n % 2 else answer)(n // 2))],
                "label": n % 2 == 0,
            }
        ),
        [PAIR],
    ),
    "summaries compared": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "prompt": f"Sum up: {long(n)}",
                "response_a": short(n),
                "response_b": bad(n),
                "winner": "a",
            }
        ),
        [("prefer", {"prompt": f"Sum up: {long(1)}", "chosen": short(1), "rejected": B})],
    ),
    "imdb": ("a.csv", table(("text", "label"), lambda n: (long(n), n % 2)), [labelled(long(1), "1")]),
    "sst2": (
        "a.csv",
        table(("idx", "sentence", "label"), lambda n: (n, short(n), n % 2)),
        [labelled(short(1), "1")],
    ),
    "ag news without names": (
        "a.csv",
        table((1, "A first title", long(999)), lambda n: (n % 4 + 1, f"Title of day {n}", long(n)), 80),
        [
            ("classify", {"text": long(0), "label": "1"}),
            ("classify", {"text": f"Title of day 0\n\n{long(0)}", "label": "1"}),
        ],
    ),
    "amazon polarity": (
        "a.csv",
        table(("label", "title", "content"), lambda n: (n % 2, f"Good lamp number {n} of mine", long(n)), 80),
        [labelled(f"Good lamp number 1 of mine\n\n{long(1)}", "1")],
    ),
    "banking77": ("a.csv", table(("text", "category"), lambda n: (question(n), label(n))), [labelled(Q)]),
    "emotion": ("a.csv", table(("text", "label"), lambda n: (question(n), label(n))), [labelled(Q)]),
    "yelp stars": (
        "a.csv",
        table(("stars", "text"), lambda n: (n % 5 + 1, long(n)), 80),
        [("classify", {"text": long(1), "rating": "2"}), labelled(long(1), "2")],
    ),
    "spam with empty columns": (
        "a.csv",
        table(("v1", "v2", "", "", ""), lambda n: (("ham", "spam")[n % 2], short(n), "", "", "")),
        [labelled(short(1), "spam")],
    ),
    "trec": (
        "a.csv",
        table(
            ("text", "coarse_label", "fine_label"), lambda n: (question(n), label(n), f"{label(n)}:{n % 2}")
        ),
        [labelled(Q), labelled(Q, "shipping:1")],
    ),
    "go emotions": (
        "a.jsonl",
        jsonl(lambda n: {"text": question(n), "labels": [[0], [1, 2], [2], [0, 1]][n % 4], "id": f"e{n}"}),
        [("classify", {"text": Q, "labels": '["1", "2"]'})],
    ),
    "jigsaw": (
        "a.csv",
        table(
            ("id", "comment_text", "toxic", "severe_toxic", "obscene", "threat", "insult"),
            lambda n: (
                f"{n:016x}",
                short(n),
                n % 2,
                0 if n % 9 else 1,
                n // 2 % 2,
                int(n % 7 == 0),
                n // 3 % 2,
            ),
            80,
        ),
        [("classify", {"text": short(1), "labels": '["toxic"]'})],
    ),
    "mnli": (
        "a.csv",
        table(("premise", "hypothesis", "label", "idx"), lambda n: (long(n), short(n), n % 3, n), 60),
        [labelled(f"premise: {long(1)}\n\nhypothesis: {short(1)}", "1")],
    ),
    "gsm8k": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "question": f"If I have {n} lamps and buy 2, how many are there?",
                "answer": f"{n} + 2 = {n + 2}\n#### {n + 2}",
            }
        ),
        [
            (
                "prompts",
                {"prompt": "If I have 1 lamps and buy 2, how many are there?", "answer": "1 + 2 = 3\n#### 3"},
            ),
            (
                "chat",
                {
                    "prompt": "If I have 1 lamps and buy 2, how many are there?",
                    "response": "1 + 2 = 3\n#### 3",
                },
            ),
        ],
    ),
    "samsum": (
        "a.csv",
        table(
            ("id", "dialogue", "summary"),
            lambda n: (
                f"1{n}",
                f"Amanda: I baked {n} cakes.\r\nJerry: Sure, I come!\r\nAmanda: At six.",
                short(n),
            ),
        ),
        [
            (
                "chat",
                {
                    "prompt": "Amanda: I baked 1 cakes.\nJerry: Sure, I come!\nAmanda: At six.",
                    "response": short(1),
                },
            )
        ],
    ),
    "dialogsum": (
        "a.csv",
        table(
            ("id", "dialogue", "summary", "topic"),
            lambda n: (
                f"t{n}",
                f"#Person1#: I baked {n} cakes.\n#Person2#: Sure, I come!",
                short(n),
                label(n),
            ),
        ),
        [("chat", {"prompt": "#Person1#: I baked 1 cakes.\n#Person2#: Sure, I come!", "response": short(1)})],
    ),
    "xsum": (
        "a.csv",
        table(("document", "summary", "id"), lambda n: (long(n), short(n), 17000000 + n)),
        [("chat", {"prompt": long(1), "response": short(1)})],
    ),
    "cnn": (
        "a.csv",
        table(("article", "highlights", "id"), lambda n: (long(n), short(n), f"{n:040x}")),
        [("chat", {"prompt": long(1), "response": short(1)})],
    ),
    "translation objects": (
        "a.jsonl",
        jsonl(lambda n: {"translation": {"en": ENGLISH.format(n), "de": GERMAN.format(n)}}),
        [("chat", {"prompt": ENGLISH.format(1), "response": GERMAN.format(1)})],
    ),
    "translation columns": (
        "a.csv",
        table(("en", "de"), lambda n: (ENGLISH.format(n), GERMAN.format(n))),
        [("chat", {"prompt": ENGLISH.format(1), "response": GERMAN.format(1)})],
    ),
    "boolq": (
        "a.jsonl",
        jsonl(lambda n: {"question": question(n), "passage": long(n), "answer": n % 2 == 0}),
        [("chat", {"prompt": f"{Q}\n\n{long(1)}", "response": "false"})],
    ),
    "mmlu": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "question": question(n),
                "subject": "x",
                "choices": ["a lamp", "a bed"],
                "answer": n % 2,
            }
        ),
        [],
    ),
    "commonsense": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "id": f"c{n}",
                "question": question(n),
                "question_concept": "order",
                "choices": {"label": ["A", "B"], "text": ["at home", "far away"]},
                "answerKey": "AB"[n % 2],
            }
        ),
        [],
    ),
    "lima": (
        "a.jsonl",
        jsonl(lambda n: {"conversations": [question(n), answer(n)], "source": "x"}),
        [TURNS],
    ),
    "sharegpt with ids": (
        "a.json",
        b"["
        + b",".join(
            jsonl(
                lambda n: {
                    "id": f"x_{n}",
                    "conversations": [
                        {"from": "human", "value": question(n)},
                        {"from": "gpt", "value": answer(n)},
                    ],
                }
            ).split(b"\n")
        )
        + b"]",
        [TURNS],
    ),
    "magpie": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "uuid": f"{n}-f",
                "instruction": question(n),
                "response": answer(n),
                "conversations": [
                    {"from": "human", "value": question(n)},
                    {"from": "gpt", "value": answer(n)},
                ],
                "quality": ("good", "excellent")[n % 2],
                "reward": 0.5,
            }
        ),
        [TURNS, QA],
    ),
    "patients and doctors": (
        "a.csv",
        table(
            ("Description", "Patient", "Doctor"),
            lambda n: (
                f"What about case {n} of mine?",
                long(n),
                f"I would see somebody about case {n} soon.",
            ),
        ),
        [("chat", {"prompt": long(1), "response": "I would see somebody about case 1 soon."})],
    ),
    "counselling": (
        "a.csv",
        table(("Context", "Response"), lambda n: (long(n), answer(n))),
        [("chat", {"prompt": long(1), "response": A})],
    ),
    "bitext": (
        "a.csv",
        table(
            ("flags", "instruction", "category", "intent", "response"),
            lambda n: ("BQZ", question(n), "ORDER", label(n), answer(n)),
        ),
        [QA],
    ),
    "faq": (
        "a.csv",
        table(("Question", "Answer", "Category"), lambda n: (question(n), answer(n), label(n))),
        [QA],
    ),
    "tickets": (
        "a.csv",
        table(
            ("Ticket #", "Subject", "Description", "Status", "Priority", "Tags"),
            lambda n: (
                *(n, f"About order {n}", long(n), "open", ("low", "high")[n % 2]),
                ("a, b", "b, c", "a", "c, a")[n % 4],
            ),
            80,
        ),
        [
            ("classify", {"text": f"About order 1\n\n{long(1)}", "label": "high"}),
            ("classify", {"text": f"About order 1\n\n{long(1)}", "labels": '["b", "c"]'}),
        ],
    ),
    "issues and resolutions": (
        "a.csv",
        table(("Issue", "Resolution"), lambda n: (long(n), answer(n))),
        [("chat", {"prompt": long(1), "response": A})],
    ),
    "mails with replies": (
        "a.csv",
        table(
            ("from", "to", "subject", "body", "reply"),
            lambda n: (f"a{n}@b.example", "c@d.example", f"About order {n} of mine", long(n), answer(n)),
        ),
        [("chat", {"prompt": f"About order 1 of mine\n\n{long(1)}", "response": A})],
    ),
    "belle": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "instruction": f"请问第{n}号订单什么时候发货？",
                "input": "",
                "output": f"第{n}号订单明天发货，请您留意。",
            }
        ),
        [("chat", {"prompt": "请问第1号订单什么时候发货？", "response": "第1号订单明天发货，请您留意。"})],
    ),
    "firefly": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "kind": "OpenQA",
                "input": f"请问第{n}号订单什么时候发货？",
                "target": f"第{n}号订单明天发货，请您留意。",
            }
        ),
        [("chat", {"prompt": "请问第1号订单什么时候发货？", "response": "第1号订单明天发货，请您留意。"})],
    ),
    "old OpenAI": (
        "a.jsonl",
        jsonl(lambda n: {"prompt": f"{question(n)}\n\n###\n\n", "completion": f" {answer(n)} END"}),
        [("chat", {"prompt": f"{Q}\n\n###", "response": f"{A} END"})],
    ),
    "survey": (
        "a.csv",
        table(("score", "comment"), lambda n: (n % 11, long(n)), 80),
        [("classify", {"text": long(1), "rating": "1"}), labelled(long(1), "1")],
    ),
    "reviews with votes": (
        "a.csv",
        table(
            ("review_id", "product", "review", "helpful_votes", "sentiment"),
            lambda n: (f"r{n}", "lamp", long(n), n, ("pos", "neg")[n % 2]),
            60,
        ),
        [labelled(long(1), "neg")],
    ),
    "intents with entities": (
        "a.jsonl",
        jsonl(lambda n: {"text": question(n), "intent": label(n), "entities": [{"start": 3, "end": 9}]}),
        [labelled(Q)],
    ),
    "an answer and a better one": (
        "a.csv",
        table(
            ("question", "model_answer", "corrected_answer", "comment"),
            lambda n: (question(n), bad(n), answer(n), "The model did not know it at all."),
        ),
        [QA],
    ),
    "notes of agents": (
        "a.csv",
        table(
            ("customer_query", "internal_note", "agent_response"),
            lambda n: (question(n), f"Check case {n} in the old system before you answer.", answer(n)),
        ),
        [QA],
    ),
    "languages side by side": (
        "a.csv",
        table(
            ("question_en", "answer_en", "question_de", "answer_de"),
            lambda n: (
                question(n),
                answer(n),
                f"Wie ändere ich Bestellung {n}?",
                f"Öffne Bestellung {n} dort.",
            ),
        ),
        [QA],
    ),
    "versions of a prompt": (
        "a.csv",
        table(
            ("prompt_v1", "prompt_v2", "output_v1", "output_v2", "final_output"),
            lambda n: (question(n), f"{question(n)} Please.", bad(n), short(n), answer(n)),
        ),
        [QA, ("chat", {"prompt": f"{Q} Please.", "response": A})],
    ),
    "thumbs in words": (
        "a.csv",
        table(
            ("user_message", "bot_reply", "user_feedback"),
            lambda n: (question(n // 2), (bad if n % 2 else answer)(n // 2), ("positive", "negative")[n % 2]),
        ),
        [PAIR],
    ),
    "chat log in one cell as lists": (
        "a.csv",
        table(
            ("chat_id", "log"), lambda n: (n, f"[['customer', '{question(n)}'], ['agent', '{answer(n)}']]")
        ),
        [TURNS],
    ),
    "stories": ("a.jsonl", jsonl(lambda n: {"text": long(n)}), [("complete", {"text": long(1)})]),
    "prompts alone": ("a.csv", table(("prompt",), lambda n: (question(n),)), [("prompts", {"prompt": Q})]),
    "personas": (
        "a.csv",
        table(
            ("persona", "user_utterance", "bot_utterance"),
            lambda n: (f"I am a baker of {n} cakes.", question(n), answer(n)),
        ),
        [QA],
    ),
    "codes": (
        "a.jsonl",
        jsonl(
            lambda n: {
                "problem": question(n),
                "code": f"def f(x):\n    return x + {n}",
                "explanation": long(n),
            }
        ),
        [],
    ),
}
assert N_ROWS > 1
