"""What speaks for which method, what speaks against training, and why a method lost: the chooser's rules, each with its source."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from studio.plan import Value

# Question -> the choices under which a rule holds, any of them. Beside the six questions there are facts from the estimates: `base`
# (reader, writer), `room` (whether LoRA fits: enough, short, open), `practice` (whether RLHF in all its stages is able to run, or out), and
# `won`, the method that was chosen.
Condition = Mapping[str, Sequence[str]]
Facts = Mapping[str, str]


@dataclass(frozen=True)
class Rule:
    """Under these answers these methods gain points; `name` is the sentence that says so, `settings` what the plan then sets."""

    name: str
    when: Condition
    points: Mapping[str, int]
    settings: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Explanation:
    """Under these answers this sentence is true; `methods` are those it is said of (all where empty).

    `timed` adds how much longer a method would take.
    """

    name: str
    when: Condition
    methods: Sequence[str] = ()
    timed: bool = True


def when(**choices: str) -> Condition:
    """`when(have="answers texts", apart="far")`: either of the first two and the last."""
    return {name: tuple(value.split()) for name, value in choices.items()}


def holds(condition: Condition, facts: Facts) -> bool:
    """Whether the answers and facts are among those of a condition."""
    return all(facts.get(name) in choices for name, choices in condition.items())


# 8 and more decide, 1 to 3 only tell the others apart; what the result has to be (for a phone; within memory) comes before all else. A method without points is never chosen. A rule of thumb is one of ours or of the
# article this studio grew out of (brief/mission.md), and no measurement.
RULES = (
    # The article: light adaptation of large models -> LoRA first, QLoRA, prefix tuning. That LoRA comes first of them: rule of thumb.
    Rule("light", {}, {"lora": 3, "qlora": 2, "frozen": 1, "prefix": 1, "adapter": 1, "peft": 1}),
    # Zhou et al. 2023, LIMA: 1,000 chosen examples made an assistant of a 65B model, which had its knowledge from before.
    Rule(
        "manner",
        when(change="tone format", have="answers texts"),
        {"lora": 1, "qlora": 1, "prefix": 1, "peft": 1},
    ),
    # Biderman et al. 2024, LoRA Learns Less and Forgets Less: better kept abilities outside the target domain than full fine-tuning.
    Rule("keeps", when(apart="near middle"), {"lora": 1, "qlora": 1}),
    # The article: little money and time -> the light methods. The small file follows from what is trained.
    Rule("cheap", when(budget="free small"), {"lora": 1, "qlora": 1, "prefix": 1, "adapter": 1, "peft": 1}),
    # The article: a task that differs a lot and ample resources -> full fine-tuning.
    Rule(
        "ample", when(apart="far", many="many lots", budget="large any", have="answers texts"), {"full": 10}
    ),
    Rule(
        "ample",
        when(apart="far", many="many lots", budget="large any", have="labels", base="writer"),
        {"full": 10},
    ),
    # Biderman et al. 2024: LoRA at usual ranks learns less of code and mathematics; seen with 100,000 examples and more.
    Rule("further", when(apart="far", many="lots", budget="large any", have="answers texts"), {"full": 1}),
    # Devlin et al. 2018, BERT: all of a reading model is fine-tuned end to end. That it pays from some 500 texts on: rule of thumb beside
    # Zhang et al. 2021, who saw runs differ widely below 1,000.
    Rule("reader", when(have="labels", base="reader", many="many lots"), {"full": 12}),
    # The article: edge -> quantisation-aware fine-tuning or QLoRA. Jacob et al. 2017 and Liu et al. 2023 (LLM-QAT); Dettmers et al. 2023.
    Rule("phone", when(where="phone"), {"qlora": 20, "qat": 20}),
    # Rules of thumb between the two: QAT trains every number, as full fine-tuning does, so it wants data and time as that does.
    Rule("rounded", when(where="phone", many="many lots", budget="small large any"), {"qat": 8}),
    Rule("small_correction", when(where="phone", many="some"), {"qlora": 2}),
    Rule("quick_correction", when(where="phone", many="many lots", budget="free"), {"qlora": 2}),
    # Dettmers et al. 2023, QLoRA: a 4-bit base, where the 16-bit one does not fit (65B on one card of 48 GB).
    Rule("room", when(room="short"), {"qlora": 20}),
    # The article: similar task, little data -> frozen layers. Lee et al. 2019, What Would Elsa Do?: the last fourth of the layers reached
    # 90 % of the quality of all of them, in sorting and comparing texts.
    Rule("similar", when(have="labels", apart="near", many="some"), {"frozen": 10}),
    # The article: switching tasks fast -> prefix tuning. Li and Liang 2021: ahead of full fine-tuning with 50 to 500 examples, in turning
    # tables into texts and in summaries, which are fixed forms.
    Rule(
        "steer",
        when(change="format", have="answers", apart="near", many="some", where="server cloud"),
        {"prefix": 10},
    ),
    Rule(
        "switch",
        when(change="format", have="answers", apart="near", many="some", where="server cloud"),
        {"prefix": 2},
    ),
    # The article: domain adaptation -> adapters. Houlsby et al. 2019: near full fine-tuning on 26 tasks, with the base untouched.
    Rule(
        "field", when(change="knowledge", have="answers texts", apart="far", many="many lots"), {"adapter": 9}
    ),
    # Ovadia et al. 2023: retrieval beats training for facts, whether the model saw them before or not.
    Rule(
        "look_up",
        when(change="knowledge", have="answers texts", apart="far", many="many lots"),
        {"adapter": 2, "full": 1, "lora": 1},
    ),
    # The article: tasks that must match human values -> RLHF. Only RLHF reads pairs (studio/methods/compatibility.py).
    Rule("taste", when(have="pairs"), {"rlhf": 10}),
    # Rafailov et al. 2023, DPO. That few pairs, little time or little memory speak for it: rule of thumb.
    Rule("direct", when(have="pairs", many="some"), {"rlhf": 2}, {"algorithm": "dpo"}),
    Rule("direct", when(have="pairs", many="many lots", budget="free"), {"rlhf": 2}, {"algorithm": "dpo"}),
    Rule(
        "direct",
        when(have="pairs", many="many lots", budget="small large any", practice="out"),
        {"rlhf": 2},
        {"algorithm": "dpo"},
    ),
    # Ouyang et al. 2022, InstructGPT: a reward model from 33,000 prompts with ranked answers; hundreds suffice for one trait (thumb).
    Rule(
        "judged", when(have="pairs", many="many lots", budget="small large any", practice="able"), {"rlhf": 2}
    ),
    # The article: no labels, reasoning -> UPFT. Ji et al. 2025: 819 to 600,000 questions, models of 7 and 8 billion parameters.
    Rule("alone", when(have="questions"), {"upft": 10}),
    Rule("modest", when(have="questions"), {"upft": 2}),
    # The article: quick development -> PEFT. That not knowing where it will run calls for trying: rule of thumb. A tone is LoRA's own case.
    Rule("quick", when(budget="free", where="unknown", change="decisions format"), {"peft": 8}),
)

# The first line that holds says what to do instead of training; an empty name sends on to the methods.
ADVICE = (
    # A field's language can be trained (Gururangan et al. 2020, Don't Stop Pretraining); its facts are in `look_up`.
    Explanation("", when(change="knowledge", have="answers texts", apart="far", many="many lots")),
    Explanation("facts", when(change="knowledge")),  # Ovadia et al. 2023
    Explanation("nothing", when(have="nothing")),
    Explanation("labels_manner", when(have="labels", change="tone format")),
    Explanation(
        "alone_manner", when(have="questions", change="tone format")
    ),  # Ji et al. 2025: the model learns from itself alone
    Explanation(
        "few", when(many="few", have="answers labels pairs texts")
    ),  # OpenAI's fine-tuning guide: improvements show from 50 examples on
    Explanation(
        "alone_far", when(have="questions", apart="far")
    ),  # Ji et al. 2025: small gains on weak models
    Explanation("texts_decisions", when(have="texts", change="decisions")),
)

# Why a method that could run was not chosen: of its lines the first that holds. Every one is true under its answers, whoever won.
REJECTIONS = (
    Explanation(
        "size", when(where="phone", won="qlora qat"), ("full", "frozen", "lora", "prefix", "adapter", "peft")
    ),
    Explanation("full_near", when(apart="near middle"), ("full",)),
    Explanation("full_some", when(many="some"), ("full",)),
    Explanation("full_budget", when(budget="free small"), ("full",)),
    Explanation("full", {}, ("full",)),
    Explanation("frozen_apart", when(apart="middle far"), ("frozen",)),
    Explanation("frozen_have", when(have="answers texts"), ("frozen",)),
    Explanation("frozen_many", when(many="many lots"), ("frozen",)),
    Explanation("frozen", {}, ("frozen",)),
    Explanation("lora_reader", when(won="full", base="reader"), ("lora",)),
    Explanation("lora_full", when(won="full"), ("lora",)),
    Explanation("lora_frozen", when(won="frozen", have="labels", apart="near"), ("lora",)),
    Explanation("lora_prefix", when(won="prefix"), ("lora",)),
    Explanation("lora_adapter", when(won="adapter"), ("lora",)),
    Explanation("lora_peft", when(won="peft", where="unknown"), ("lora",)),
    Explanation("lora", {}, ("lora",)),
    Explanation("prefix_apart", when(apart="middle far"), ("prefix",)),
    Explanation("prefix_change", when(change="tone decisions knowledge"), ("prefix",)),
    Explanation("prefix_many", when(many="many lots"), ("prefix",)),
    Explanation("prefix_where", when(where="unknown"), ("prefix",)),
    Explanation("prefix", {}, ("prefix",)),
    Explanation("rlhf", {}, ("rlhf",), timed=False),
    Explanation("upft", {}, ("upft",), timed=False),
    Explanation("adapter_change", when(change="tone format decisions"), ("adapter",)),
    Explanation("adapter_full", when(won="full"), ("adapter",)),
    Explanation("adapter", {}, ("adapter",)),
    Explanation("qlora_qat", when(won="qat"), ("qlora",)),
    Explanation("qlora_room", when(room="enough"), ("qlora",)),
    Explanation("qlora", {}, ("qlora",)),
    Explanation("qat_room", when(where="server cloud"), ("qat",)),
    Explanation("qat_open", when(where="unknown"), ("qat",)),
    Explanation("qat", {}, ("qat",)),
    Explanation("peft", {}, ("peft",)),
)


def matching_rules(method: str, facts: Facts) -> list[tuple[int, Rule]]:
    """What the rules give a method under these facts, the most first; rules that give it nothing are left out."""
    matches = [
        (rule.points[method], rule) for rule in RULES if method in rule.points and holds(rule.when, facts)
    ]
    return sorted(matches, key=lambda match: -match[0])


def first_match(explanations: Sequence[Explanation], facts: Facts, method: str = "") -> Explanation | None:
    """The first line that holds, of those said of a method where one is named."""
    return next(
        (
            explanation
            for explanation in explanations
            if (not explanation.methods or method in explanation.methods) and holds(explanation.when, facts)
        ),
        None,
    )
