"""The words of the model card, in both languages."""

from studio.words import Words

INTRO = Words(
    "{base}, tuned with {method} ({trainable:,} of {total:,} parameters, {share:.2%}) on {train} examples.",
    "基础模型：{base}；训练方法：{method}。用了 {train} 个样本，训练了 {total:,} 个参数中的 {trainable:,} 个（{share:.2%}）。",
)
RESULT = Words("## Result on examples it has not seen", "## 在没见过的样本上的结果")
HEADINGS = Words("| measure | base | tuned |", "| 指标 | 基础模型 | 微调后的模型 |")
MEASURES = {
    "loss": Words("loss", "损失（loss）"),
    "perplexity": Words("perplexity", "困惑度（perplexity）"),
    "accuracy": Words("accuracy", "准确率（accuracy）"),
    "f1": Words("f1", "F1（宏平均）"),
    "right": Words("share of questions answered rightly", "答对的比例"),
    "asked": Words("questions asked", "问题数"),
}
ON_VALIDATION = Words(
    "Measured on {count} examples kept aside (seed {seed}), which also chose the best state of the training. Few examples make an uncertain figure.",
    "在留出的 {count} 个样本（验证集，随机种子 {seed}）上测得；训练的最佳检查点也是用它们选的。样本少时，数字并不可靠。",
)
ON_TEST = Words(
    "Measured on {count} examples, {whose}, that neither the training nor the choice of its best state has seen.",
    "在 {count} 个样本（{whose}）上测得；训练和挑选最佳检查点时都没有用过它们。",
)
KEPT_ASIDE = Words("kept aside (seed {seed})", "留出的测试集，随机种子 {seed}")
OWN_TEST = Words("the test set {name}", "测试集 {name}")
ROUNDING = Words("## What rounding costs", "## 量化的代价")
WEIGHTS, SIZE = Words("weights", "权重"), Words("size (MB)", "大小（MB）")
ROUNDED = {
    "full_precision": Words("full precision", "全精度"),
    "quantised_afterwards": Words("quantised afterwards", "训练后量化"),
    "quantised_while_training": Words("quantised while training", "训练中量化"),
}
BASE = Words("## Base model", "## 基础模型")
HUB = Words("- {hub}, licence {licence}", "- {hub}，许可证：{licence}")
UNKNOWN = Words("unknown: see the base model", "未知：请查看基础模型的说明")
TRAINED_ON = Words("- trained on {weights} (checksum `{checksum}`)", "- 训练所用的权重：{weights}（校验值 `{checksum}`）")
TUNED = Words("- checksum of the tuned weights: `{checksum}`", "- 微调后权重的校验值：`{checksum}`")
DATA = Words("## Data", "## 数据")
ROWS = Words("- {name}: {rows} rows, SHA-256 `{sha256}`", "- {name}：{rows} 行，SHA-256 `{sha256}`")
LICENCE = Words("- licence of the data: {licence}", "- 数据的许可证：{licence}")
NOT_GIVEN = Words("not given", "未填写")
PARTS = Words(
    "- {train} to train on, {validation} to check on, {test} for the verdict alone; left out: {incomplete} incomplete, {damaged} damaged",
    "- 训练集 {train} 个，验证集 {validation} 个，测试集 {test} 个；未使用：{incomplete} 个不完整，{damaged} 个损坏",
)
CUT = Words(
    "- {cut} examples were cut at {max_length} tokens, {dropped} dropped",
    "- {cut} 个样本超过 {max_length} 个 token 被截断，{dropped} 个被舍弃",
)
TRAINING = Words("## Training", "## 训练")
METHOD = Words("- method: {method}; settings: {settings}", "- 方法：{method}；设置：{settings}")
NO_SETTINGS = Words("none", "无")
RATE = Words("- learning rate {rate:g}; {others}", "- 学习率 {rate:g}；{others}")
TOOK = Words(
    "- took {seconds:.0f} s on {device}; best validation at step {step}",
    "- 在 {device} 上用时 {seconds:.0f} 秒；第 {step} 步的验证结果最好",
)
USE = Words("## Use it", "## 使用方法")
BESIDE = Words("lies beside this card and teaches PEFT this kind of adapter", "与本文件放在一起，让 PEFT 认识这种适配器")
ON_4_BITS = Words(
    "Learned on a base in 4 bits (NF4): on the unrounded base its answers can differ; the merged form gives exactly those learned.",
    "训练时的基础模型是 4 位的（NF4）：用在未量化的基础模型上，回答可能不同；合并后的形式与训练结果完全一致。",
)
LIMITS = Words("## Limits", "## 局限")
LIMITED = Words(
    "The figures above were measured on {weights}; on other weights of the same name they can differ. It has learned from these examples alone and "
    "shares the base model's weaknesses. Try it on your own questions before anyone relies on it.",
    "以上数字在这份权重上测得：{weights}；换成同名的其他权重，结果可能不同。它只从这些样本里学习，也带着基础模型原有的弱点。"
    "正式使用之前，请先用你自己的问题试一试。",
)
