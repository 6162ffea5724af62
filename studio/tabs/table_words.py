"""Every word of the comparison table, in both languages."""

from studio.words import Words

HEADS = {
    "method": Words("Method", "方法"),
    "updated": Words("Parameters that change", "训练的参数"),
    "memory": Words("Memory at its peak", "内存峰值"),
    "time": Words("Time", "时间"),
    "money": Words("Money", "费用"),
    "disk": Words("On disk", "磁盘占用"),
    "energy": Words("Energy", "用电"),
}
# What there is less of where a method does better; of the parameters that change, fewer is not better.
LESS = {
    "memory": Words("memory", "内存"),
    "time": Words("time", "时间"),
    "money": Words("money", "费用"),
    "disk": Words("space", "空间"),
    "energy": Words("energy", "用电"),
}
DETAILS = {
    "principle": Words("How it works", "原理"),
    "steps": Words("Steps", "步骤"),
    "when": Words("When", "何时选用"),
    "needs": Words("Data it wants", "需要的数据"),
    "parts": Words("What fills the memory", "内存用在哪里（用显卡时指显存）"),
    "stretches": Words("Where the time goes", "时间花在哪里"),
    "sure": Words("Where these figures come from", "这些数字从何而来"),
    "reach": Words("How far it could go here", "在这台机器上最多能用多大"),
    "missing": Words("What is not known", "未知的内容"),
}
# Every word that the script says by itself; what is in braces it fills in.
SAID = {
    "tools": Words("What the table shows", "表格显示内容"),
    "fits": Words("Only what fits", "只看放得下的"),
    "data": Words("Only what my data allows", "只看我的数据用得上的"),
    "sort": Words("Sort by", "排序"),
    "article": Words("The article’s order", "默认顺序"),
    "least": Words("{column}: least first", "{column}：从少到多"),
    "most": Words("{column}: most first", "{column}：从多到少"),
    "csv": Words("Copy as CSV", "复制为 CSV"),
    "image": Words("Copy as image", "复制为图片"),
    "copied": Words("Copied: {count} rows for a spreadsheet.", "已复制 {count} 行，可粘贴到电子表格。"),
    "pictured": Words("Copied: a picture of the table.", "已复制表格图片。"),
    "saved": Words("Saved as {file}, since this browser does not copy pictures.", "这个浏览器不能复制图片，已存为 {file}。"),
    "byHand": Words(
        "This browser does not copy by itself: the text below is selected, copy it from there.",
        "浏览器不能自动复制：下面的文本已选中，请手动复制。",
    ),
    "failed": Words("The picture could not be made.", "图片未能生成。"),
    "shown": Words("{count} of {all} methods are shown.", "显示 {all} 种方法中的 {count} 种。"),
    "none": Words("No method is left with these filters.", "没有方法符合这些筛选条件。"),
    "clear": Words("Show all methods", "显示全部方法"),
    "details": Words("Details", "详情"),
    "pin": Words("Pin to compare", "加入对比"),
    "unpin": Words("Unpin", "移出对比"),
    "full": Words("Two methods are pinned already: unpin one first.", "已有两种方法在对比，请先移出一种。"),
    "versus": Words("Side by side", "并排比较"),
    "second": Words("Pin a second method to see the two side by side.", "再选一种方法，就能并排比较。"),
    "same": Words("no clear difference", "没有明显差别"),
    "half": Words("half the {what}", "{what}只要一半"),
    "third": Words("a third of the {what}", "{what}只要三分之一"),
    "quarter": Words("a quarter of the {what}", "{what}只要四分之一"),
    "part": Words("1/{count} of the {what}", "{what}只要 1/{count}"),
    "less": Words("{count}% less {what}", "{what}少 {count}%"),
    "nothing": Words("no {what} at all", "{what}为零"),
}
CAPTION = Words("Ten ways to teach a model, and what each costs", "教模型的十种方法，以及各自的成本")
ABOUT = Words(
    "On {place}. Ranges are made to hold nine runs of ten; the record above says how they did.",
    "在 {place} 上训练。范围按十次里九次落在其中来给；实际如何，见上方的记录。",
)
ABOUT_ROOM = Words(
    "On {place}, which has {room} for a run. Ranges are made to hold nine runs of ten; the record above says how they did.",
    "在 {place} 上训练，可用内存 {room}。范围按十次里九次落在其中来给；实际如何，见上方的记录。",
)
PENDING = Words("Finer figures are on their way", "正在算更精确的数字")
CHOSEN = Words("chosen", "已选")
SETTINGS = Words("Its settings ↓", "它的设置 ↓")
LEAST = Words("wants {least} examples or more", "建议至少 {least} 个样本")
SCARCE = Words("wants {least} examples, you have {have}", "建议至少 {least} 个样本，现有 {have} 个")
EXACT = Words("{trained} of {total}, exactly", "{trained} / {total}（精确值）")
NEARLY = Words("{trained} of {total}, with two classes", "{trained} / {total}（按两类计）")
STATES = {"yes": Words("fits", "放得下"), "tight": Words("tight", "偏紧"), "no": Words("does not fit", "放不下")}
MOSTLY = Words("mostly: {part}", "主要是：{part}")
MORE = Words("needs {more} more than the {room} there are", "可用 {room}，还差 {more}")
REMEDIES = Words("What would make it fit:", "怎样才放得下：")
EASES = Words("What would leave more room:", "怎样更宽裕：")
FREE = Words("free", "免费")
NO_PRICE = Words("no price known", "价格未知")
UNKNOWN = Words("not known until the base model’s shape is known", "要先知道基础模型的结构")
REFUSED = Words("not worked out, since it cannot be used here", "这里用不了，所以没有估算")
REACH = Words(
    "By the same estimate memory allows {batch} examples per step (batch size), or texts of up to {length} tokens (max length), everything else as it is.",
    "按同样的估算，其他不变时，内存允许每步{batch}个样本（batch size），或文本最长 {length} 个 token（max length）。",
)
REACH_ALL = Words(
    "By the same estimate memory allows {batch} examples per step (batch size); the texts fit at any length they have.",
    "按同样的估算，内存允许每步{batch}个样本（batch size）；文本无论多长都放得下。",
)
UP_TO, OR_MORE = Words("up to {count}", "最多 {count} "), Words("{count} or more", "至少 {count} ")
UNSAID = Words("not known", "未知")
LEVELS = {
    "formula": Words("A first estimate by formula.", "用公式得出的初步估算。"),
    "traced": Words("One step was traced operation by operation, without training.", "逐个操作推演了一步，并未真正训练。"),
}
MEASURED = Words("The speed was measured on this machine.", "速度是在这台机器上实测的。")
REST = Words("the rest", "其余")
# The phases of a run (studio.methods.work) as a person would tell them apart.
STRETCHES = {
    "start": Words("getting ready (loading)", "准备（加载）"),
    "train": Words("learning", "学习"),
    "sft": Words("learning from good answers (SFT)", "照着示范回答学（SFT）"),
    "full_precision": Words("learning at full precision, to compare", "以全精度学习，用于对比"),
    "verdict": Words("the verdict before and after (test)", "训练前后的评判（测试集）"),
    "check": Words("checking on examples kept aside (validation)", "在验证集上评估"),
    "ask": Words("asking questions before and after", "训练前后问问题"),
    "bottom": Words("running the frozen part once", "运行一次冻结部分"),
    "openings": Words("writing the model’s own openings", "生成模型自己的回答开头"),
    "head": Words("a good start for the reward model", "为奖励模型准备好起点"),
    "reward": Words("teaching the reward model", "训练奖励模型"),
    "write": Words("writing answers to practise on", "生成练习用的回答"),
    "judge": Words("scoring the answers", "为回答打分"),
    "reference": Words("comparing with the original (reference)", "与起点模型对比（参考模型）"),
    "rl": Words("practising (RL)", "练习（RL）"),
    "dpo": Words("learning from pairs (DPO)", "从偏好对学习（DPO）"),
    "save": Words("saving the result", "保存结果"),
}
# Beside the columns, in a copied file.
ENDS = (Words("low", "低"), Words("likely", "最可能"), Words("high", "高"))
CSV = (
    Words("Parameters trained", "训练的参数量"),
    Words("Parameters in all", "参数总量"),
    Words("Room (GB)", "可用内存（GB）"),
    Words("Fits", "能否放下"),
    Words("Currency", "货币"),
)
