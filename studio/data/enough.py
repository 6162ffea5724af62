"""How many examples a method wants at least for a result worth having, and why."""

from studio.plan import Task
from studio.words import Words

RULE = Words("That is a rule of thumb, no measurement.", "这是经验值，并非实测。")
# (method or "" for every other one, task) -> how many, and why. Sources:
# - full, chat: LIMA (Zhou et al. 2023, NeurIPS): 1,000 curated questions and answers made an assistant of a 65B model.
# - every other method, chat: OpenAI's fine-tuning guide saw "clear improvements" from 50 to 100 examples and asks to start with 50.
# - prefix, chat: Li and Liang 2021 (ACL), low-data setting: subsets of 50 to 500 examples, ahead of full fine-tuning.
# - full, classify: Zhang et al. 2021 (ICLR), "Revisiting few-sample BERT fine-tuning": below about 1,000 examples runs differ widely by seed.
# - every other method, classify: SetFit (Tunstall et al. 2022) reaches with 8 examples a class, by its own training, what RoBERTa-large
#   reaches on 3,000; plain training of a head wants several times that. 100 in all is a rule of thumb.
# - rlhf, prefer: InstructGPT's reward model (Ouyang et al. 2022) had 33,000 prompts; 300 pairs for one trait is a rule of thumb.
# - rlhf, chat: its first stage is ordinary fine-tuning on example answers, and its later stages practise on the same questions.
# - upft, prompts: Ji et al. 2025 (arXiv 2503.02875) trained on 819 questions (LIMO) to 600,000; 12,000 (PRM-12K) in the main comparison.
# - complete: no published least number; what counts is the amount of text rather than of rows.
_WANTED: dict[tuple[str, Task], tuple[int, Words]] = {
    ("full", "chat"): (
        1000,
        Words(
            "All of the model changes, and little data lets it forget what it knew; 1,000 chosen examples made a good assistant (LIMA, 2023).",
            "全部参数都会变动，数据太少容易丢掉原有能力；LIMA（2023）用 1,000 个精选样本训练出了不错的助手。",
        ),
    ),
    ("prefix", "chat"): (
        50,
        Words(
            "The authors of prefix tuning came ahead of full fine-tuning with 50 to 500 examples (Li and Liang, 2021).",
            "前缀微调的作者用 50 到 500 个样本就超过了全量微调（Li 与 Liang，2021）。",
        ),
    ),
    ("rlhf", "chat"): (
        300,
        Words(
            "The questions are practised on again and again, so they should cover what people ask. {rule}",
            "后面的阶段会在这些问题上反复练习，所以要覆盖常见的问题。{rule}",
        ).filled(rule=RULE),
    ),
    ("", "chat"): (
        50,
        Words(
            "A tone or a form shows from 50 to 100 good examples on (OpenAI's guide to fine-tuning); new tasks want several times that.",
            "语气和格式通常 50 到 100 个好样本就能看出效果（OpenAI 微调指南）；新任务需要几倍于此。",
        ),
    ),
    ("full", "classify"): (
        1000,
        Words(
            "With fewer, training all of the model gives very different results from one run to the next (Zhang et al., 2021).",
            "再少的话，全量训练每次的结果会差别很大（Zhang 等，2021）。",
        ),
    ),
    ("", "classify"): (
        100,
        Words("A class shows from a few dozen examples on. {rule}", "每个类别有几十个样本才看得出规律。{rule}").filled(rule=RULE),
    ),
    ("", "complete"): (
        100,
        Words(
            "The manner of writing shows from some hundred paragraphs on; of long documents fewer will do. {rule}",
            "几百段文字才能看出写作风格；文档较长时可以少一些。{rule}",
        ).filled(rule=RULE),
    ),
    ("", "prefer"): (
        300,
        Words(
            "One trait, such as a tone, can be told from a few hundred pairs; published reward models saw ten thousands. {rule}",
            "像语气这样的单一特征，几百对就能学到；公开的奖励模型用了数万对。{rule}",
        ).filled(rule=RULE),
    ),
    ("", "prompts"): (
        800,
        Words(
            "The authors of UPFT trained on 819 questions at the least, and on 12,000 in their main comparison (Ji et al., 2025).",
            "UPFT 的作者最少用了 819 个问题，主要实验用了 12,000 个（Ji 等，2025）。",
        ),
    ),
}


def wanted(method: str, task: Task) -> tuple[int, Words]:
    """How many examples `method` wants at least for a result worth having with `task`, and why; "" asks for methods in general.

    A method without a number of its own takes the task's. The sources stand beside the numbers, and a rule of thumb is called one.
    """
    return _WANTED.get((method, task)) or _WANTED["", task]
