"""Every word of the Method tab, in both languages; those of its table stand beside it."""

from studio.words import Words, label

HEAD = label(
    "### Choose a method\nAll ten side by side. A row opens its settings below.",
    "### 选择方法\n十种方法并排比较。点选一行，下方会显示它的设置。",
)
METHOD = Words("Method", "方法")
MODEL = label("Base model to start from", "从哪个基础模型开始")
MODEL_HELP = label(
    "Choose from the list, or type a hub id (owner/name) or a folder.", "从列表里选，或输入 Hub 模型 ID（owner/name）或文件夹路径。"
)
ROUNDS = label("How often every example is seen (epochs)", "每个样本看几遍（轮数 epochs）")
ROUNDS_HELP = label(
    "More rounds learn the examples better, until the model repeats them by heart: watch the validation loss.",
    "轮数越多学得越牢，太多就成了死记硬背：请留意验证损失。",
)
BATCH = label("Examples per step (batch size)", "每步的样本数（batch size）")
BATCH_HELP = label("More needs more memory and makes steadier, fewer steps.", "越大越占内存，但步数更少，每一步也更稳。")
RATE = label("How big each step is (learning rate)", "每一步迈多大（learning rate）")
RATE_HELP = label(
    "0 takes the value that suits the method and model. Too high never settles, too low hardly learns.",
    "填 0 表示使用适合这种方法和模型的值。过高无法收敛，过低几乎学不到。",
)
MORE = label("More settings", "更多设置")
LENGTH = label("Longest example in tokens (max length)", "单个样本最长 token 数（max length）")
LENGTH_HELP = label(
    "Longer texts are cut here; a token is about three quarters of an English word.",
    "更长的文本会在这里截断；一个 token 约为四分之三个英文单词，折合多少汉字因模型而异。",
)
ASIDE = label("Share kept aside to check on (validation)", "留作验证集的比例")
ASIDE_HELP = label(
    "The model never trains on these; the validation loss is measured on them.", "这些样本不参与训练，验证损失就在它们上面计算。"
)
TESTED = label("Share kept for the final test", "留作最终测试的比例（测试集）")
TESTED_HELP = label(
    "Every before-and-after figure is measured on these, and nothing is chosen by them. 0 uses the validation part instead.",
    "训练前后的数字都在这部分上评估，也不据此做任何选择。填 0 则改用验证集。",
)
CHECKS = label("How often the validation loss is measured (evaluations)", "训练过程中验证几次（evaluations）")
CHECKS_HELP = label(
    "Spread evenly over the run. More show the curve more finely and find the best state more exactly; each takes a little time.",
    "均匀分布在整个训练中。次数越多，曲线越细，最佳检查点也找得越准，但每次都要花一点时间。",
)
PATIENCE = label("Stop after so many checks without progress (early stopping)", "连续几次验证没有进步就停止（早停）")
PATIENCE_HELP = label("0 never stops early. The best state is kept either way.", "0 表示不提前停止。无论填几，都会保留效果最好的检查点。")
SCHEDULE = label("How the size of the steps changes (learning rate schedule)", "步子大小怎样变化（学习率调度）")
SCHEDULE_HELP = label(
    "Big steps find the direction, small ones at the end settle. Falling evenly suits nearly always.",
    "先迈大步找方向，最后用小步收敛。一般选“匀速降到 0”就好。",
)
SCHEDULES = {
    "linear": Words("Falls evenly to 0 (linear)", "匀速降到 0（linear）"),
    "cosine": Words("Falls slowly, then fast, then slowly to 0 (cosine)", "先慢、再快、最后慢慢降到 0（cosine）"),
    "constant_with_warmup": Words("Stays the same after the warm-up (constant with warm-up)", "预热后保持不变（constant with warmup）"),
    "constant": Words("The same from the first step on, without warm-up (constant)", "从头到尾不变，没有预热（constant）"),
}
WARMUP = label("Share of the steps that starts gently (warm-up)", "开头用来预热的步数比例（warmup）")
WARMUP_HELP = label(
    "Over this share the steps grow from nothing to their full size. Raise it if the loss jumps right at the start.",
    "在这段步数里，步子从 0 逐渐加大到设定的大小。如果损失一开始就乱跳，可以调大。",
)
DECAY = label("Pull what is learned towards 0 (weight decay)", "把学到的参数往 0 拉（权重衰减 weight decay）")
DECAY_HELP = label(
    "A brake against learning by heart where there is little data. 0 leaves it out; 0.01 to 0.1 is usual.",
    "数据少时，可以抑制死记硬背。填 0 表示不用，常用 0.01–0.1。",
)
RECOMPUTE = label("Save memory by computing twice (gradient checkpointing)", "重算中间结果以节省内存（gradient checkpointing）")
RECOMPUTE_HELP = label(
    "Intermediate results are thrown away and computed again: far less memory, and a quarter to a half more time. Large models on a card do so anyway.",
    "中间结果先丢掉，用到时再算一遍：省很多内存，用时多四分之一到一半。在显卡上训练大模型时，本来就会这样做。",
)
SEED = label("Random starting point (seed)", "随机种子（seed）")
SEED_HELP = label("The same seed gives the same split and the same training.", "相同的种子会得到相同的划分和训练。")
NEXT = label("Next: train", "下一步：训练")
MORE_OF_METHOD = label("More settings of this method", "这种方法的更多设置")
SUITS = Words(
    "Suggested for {count} training examples: epochs {epochs:g}, {batch} examples at a time, {steps} steps in all.",
    "按 {count} 个训练样本推荐：{epochs:g} 轮，每步 {batch} 个，共 {steps} 步。",
)
SUITS_STAGE = Words("This holds for the first stage; the later ones are set above.", "以上适用于第一个阶段；后面的阶段在上方设置。")
NO_KNOBS = label("This method has no settings of its own: everything is trained.", "这种方法没有自己的设置：全部参数都训练。")
UNKNOWN = Words("There is no such method.", "没有这种方法。")
