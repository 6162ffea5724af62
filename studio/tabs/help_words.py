"""Every word of the help parts that stands in no card, in both languages."""

from studio.words import Words, label

HOW = label("How this method works", "这种方法怎么工作")
EXACT = label("The exact terms", "专业术语与公式")
AROUND = label("Show me around", "带我看看")
OPEN_GLOSSARY = label("Glossary", "术语表")

HEADS: dict[str, Words] = {
    "what": Words("What it is", "它是什么"),
    "how": Words("How it works here", "在这里怎么做"),
    "steps": Words("The steps", "步骤"),
    "fits": Words("It fits when", "适合"),
    "fits_not": Words("It does not fit when", "不适合"),
    "watch": Words("What to watch", "训练时看什么"),
    "cost": Words("What it will cost here", "在这里要花多少"),
    "source": Words("Source:", "出处："),
}
TRY = Words("Try it on a sample, a short run", "用示例数据跑一次短训练")
TRY_TIMED = Words("Try it on a sample; about {time}", "用示例数据试试，约 {time}")
WITH_SAMPLE = Words("With “{name}”: {rows} rows that come with the studio.", "使用自带的“{name}”，共 {rows} 条。")
COST_UNKNOWN = Words("Add data and choose a base model to see the estimate here.", "上传数据并选好基础模型后，这里会给出估算。")
OF_METHOD = Words("Settings of {method}", "“{method}”的设置")
OF_TRAINING = Words("Settings of the training", "训练的设置")

GLOSSARY: dict[str, Words] = {
    "title": Words("Glossary", "术语表"),
    "search": Words("Find a term", "查找术语"),
    "count": Words("{count} terms", "共 {count} 个术语"),
    "found": Words("{found} of {count} terms", "{count} 个术语中找到 {found} 个"),
    "none": Words("No term holds “{text}”. Try a shorter word.", "没有找到“{text}”。换个更短的词试试。"),
    "close": Words("Close", "关闭"),
    "exact": Words("Exactly:", "准确地说："),
}
CURVE: dict[str, Words] = {
    "open": Words("What this curve says", "这条曲线说明什么"),
    "good": Words("When all is well:", "正常时："),
    "bad": Words("When it is not:", "不正常时："),
    "exact": Words("Exactly:", "准确地说："),
}

# One step for each tab, in their order.
TOUR: tuple[tuple[Words, Words], ...] = (
    (
        Words("Bring your examples", "上传你的样本"),
        Words(
            "A spreadsheet, a file or pasted rows; or one of the samples, to begin with. The studio reads them, says what it understood and helps to mend what is wrong.",
            "表格、文件或粘贴的几行都行，也可以先用自带的示例数据。工作室会读懂它、告诉你它的理解，并帮你改好有问题的地方。",
        ),
    ),
    (
        Words("Choose how it learns", "选择怎么学"),
        Words(
            "Ten methods side by side, with the memory, time and money each would take here. One is chosen already, and its settings are filled in.",
            "十种方法并排列出，各要多少内存、时间和钱，一目了然。已经替你选好一种，设置也填好了。",
        ),
    ),
    (
        Words("Watch it learn", "看着它学"),
        Words(
            "One button starts the training, and the curves say how it goes. You may stop whenever you like and keep what was learned; closing the page stops nothing.",
            "一个按钮开始训练，曲线告诉你进展。随时可以停下并保留学到的内容；关掉页面，训练也不会停。",
        ),
    ),
    (
        Words("Ask both models", "问问两个模型"),
        Words(
            "Put the same question to the base model and to the fine-tuned one, and read both answers side by side.",
            "把同一个问题交给基础模型和微调后的模型，并排看两份回答。",
        ),
    ),
    (
        Words("Take it home", "带走成果"),
        Words(
            "Download what was learned, with a model card and the plan that made it. Until then everything stays on this machine.",
            "下载训练成果，附带模型卡和这次训练的计划。在此之前，一切都留在这台机器上。",
        ),
    ),
)
TOUR_WORDS: dict[str, Words] = {
    "name": Words("A short tour", "快速导览"),
    "place": Words("Step {step} of {count}", "第 {step} 步，共 {count} 步"),
    "next": Words("Next", "下一步"),
    "back": Words("Back", "上一步"),
    "skip": Words("Skip the tour", "跳过导览"),
    "done": Words("Done", "开始使用"),
}
