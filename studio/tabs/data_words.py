"""Every word of the Data tab, in both languages."""

from studio.plan import Task
from studio.words import Words, label

TASKS: dict[Task, Words] = {
    "chat": Words("Answer the way my examples do (text generation)", "照我的样本那样回答（文本生成）"),
    "classify": Words("Sort texts into my classes (classification)", "把文本归入我的类别（分类）"),
    "complete": Words("Continue text in the style of my examples (completion)", "照我的文本风格往下写（文本续写）"),
    "prefer": Words("Prefer the better of two answers (preference pairs)", "学会给出人更认可的那种回答（偏好对）"),
    "prompts": Words(
        "Get more consistent on questions without answers (unlabelled prompts)", "只有问题、没有答案，让回答更稳（无标注问题）"
    ),
}
HEAD = label(
    "### Bring your examples\nA spreadsheet, an export, a colleague’s file: one example a row. You see at once what was understood, and what is wrong with it.",
    "### 上传样本\n表格、导出文件、同事给的数据都可以：每行一个样本。马上就能看到理解成了什么、哪里有问题。",
)
DROP = label(
    "Your examples (CSV, Excel, JSON, JSONL, Parquet, text or a zip of these, up to 100 MB)",
    "你的样本（CSV、Excel、JSON、JSONL、Parquet、文本，或它们的压缩包，最大 100 MB）",
)
OTHER_WAYS = label("Other ways: paste, fetch from the hub, or start from a template", "其他方式：粘贴、从 Hub 获取，或从模板开始")
PASTE = label("Paste rows from a spreadsheet, or any text", "粘贴表格中的若干行，或任意文本")
PASTE_HELP = label("The first row names the columns.", "第一行为列名。")
TAKE_PASTED = label("Use what I pasted", "使用粘贴的内容")
HUB = label("A data set on the Hugging Face hub (owner/name)", "Hugging Face Hub 上的数据集（owner/name）")
HUB_HELP = label("Only tables are fetched, never code. Nothing of yours is sent.", "只下载表格，不运行任何代码，也不上传你的内容。")
TAKE_HUB = label("Fetch it", "获取")
TEMPLATE = label("A table to fill in, with two example rows", "可填写的表格模板，附两行示例")
TEMPLATE_FOR = label("Template for", "模板用于")
AS_CSV, AS_EXCEL = label("Template as CSV", "下载 CSV 模板"), label("Template as Excel", "下载 Excel 模板")
OR_SAMPLE = label("No file at hand? Start with a sample written for this studio.", "手边没有文件？先用自带的示例数据试试。")
CANCEL = label("Cancel", "取消")
CALLED_OFF = Words("Cancelled. Nothing was kept.", "已取消，没有保留任何内容。")
SHEET = label("Sheet of the workbook", "工作簿中的工作表")
TASK = label("What should the model learn?", "要让模型学会什么？")
MORE_COLUMNS = label("More columns (may stay empty)", "更多列（可留空）")
NEXT = label("Next: choose a method", "下一步：选择方法")
FIELD = label("Column", "列")
NO_COLUMN = Words("none", "无")
EMPTY = Words(
    "No examples yet. Drop a file above, paste some, or use a sample.", "还没有样本。请在上方上传文件、粘贴内容，或使用示例数据。"
)
WORKING = Words("{what}… {share:.0%}", "{what}… {share:.0%}")
MEGABYTES = Words("{what}… {share:.0%} of {of:,.1f} MB", "{what}……{share:.0%}（共 {of:,.1f} MB）")
KEEPING = Words("Read to the end. Keeping a copy…", "读取完毕，正在保存副本……")
LEFT = Words("about {time} left", "约剩 {time}")
STARTING = Words("Opening “{name}”…", "正在打开“{name}”…")
READ = Words("“{name}”: {rows:,} {rows:row|rows}, {columns} {columns:column|columns}.", "“{name}”：{rows:,} 行，{columns} 列。")
DIVIDED = Words("Its fields are divided by “{sign}”.", "各列之间以“{sign}”分隔。")
TAKEN_CHAT = Words("The model will read “{first}” and learn to write “{second}”.", "模型读“{first}”，学着写出“{second}”。")
TAKEN_CLASSES = Words(
    "The model will read “{first}” and learn to choose one of {count} classes from “{second}”: {classes}.",
    "模型读“{first}”，学着把它归入“{second}”的 {count} 个类别：{classes}。",
)
TAKEN: dict[str, Words] = {
    "messages": Words("The model will learn every answer of the conversations in “{first}”.", "模型会学习“{first}”里对话中的每个回答。"),
    "complete": Words(
        "The model will learn to write texts like those in “{first}”, word by word to their end.",
        "模型会学着写出“{first}”里那样的文本，逐词写到结尾。",
    ),
    "prefer": Words(
        "To each question in “{first}” the model will learn to prefer “{second}” over “{third}”.",
        "对“{first}”里的每个问题，模型会学着更倾向“{second}”，而不是“{third}”。",
    ),
    "whole": Words(
        "The conversations in “{first}” and “{second}” begin alike; the model will learn to prefer how “{first}” ends.",
        "“{first}”和“{second}”里的对话开头相同；模型会学着更倾向“{first}”的结尾。",
    ),
    "verdict": Words(
        "“{third}” says which answers in “{second}” are good; good and bad ones to the same question in “{first}” were joined into pairs.",
        "“{third}”标明“{second}”里的回答好不好；同一问题（“{first}”）的好坏回答已配成对。",
    ),
    "prompts": Words(
        "The model will answer the questions in “{first}” itself and learn from how its own answers begin.",
        "模型会自己回答“{first}”里的问题，再拿这些回答的开头来学。",
    ),
}
CHECKED_ON = Words("“{column}” is never learned; the answers are checked against it.", "“{column}”不会用来训练，只用来核对回答。")
WITH_CONTEXT = Words("“{column}” is put after the question.", "“{column}”会接在问题之后。")
WITH_SYSTEM = Words("“{column}” is what the model is told first.", "“{column}”是事先告诉模型的话。")
WITH_GROUP = Words(
    "Rows with the same “{column}” stay on one side when examples are kept aside.", "“{column}”相同的行在划分时会留在同一侧。"
)
SURE = Words("Understood from the column names and what stands below them.", "根据列名和列里的内容判断。")
UNSURE = Words(
    "Is that right? The column names and what stands below them do not make it certain. If not, change the lists below.",
    "这样对吗？光看列名和内容还不能确定，以上只是推测。不对的话，请在下方的列表中更改。",
)
CHOSEN = Words("As you chose.", "按你的选择。")
DAMAGED = Words("{count:,} damaged {count:row|rows} left out.", "跳过了 {count:,} 行损坏的数据。")
DAMAGED_FILE = Words("{count:,} {count:part|parts} of the file left out.", "文件中有 {count:,} 处内容被忽略。")
DAMAGED_ROW = Words("Row {line:,} {why}.", "第 {line:,} 行{why}。")
DAMAGED_PART = Words("{why}.", "{why}。")
DAMAGED_WHICH = Words("Which ones, and why", "具体是哪些，为什么")
DAMAGED_MORE = Words("… and {count:,} more", "……还有 {count:,} 处")
INCOMPLETE = Words("{count:,} {count:row|rows} with an empty or unreadable cell left out.", "忽略了 {count} 行单元格为空或无法读取的数据。")
SPLIT = Words(
    "Of {count:,} examples, {train:,} {train:is|are} learned, {check:,} {check:is|are} checked on while training (validation), {test}; what is nearly the same stays together (seed {seed}).",
    "{count:,} 个样本中，{train:,} 个用于训练，{check:,} 个留作验证（验证集），{test}；近似重复的样本会留在同一侧（随机种子 {seed}）。",
)
SPLIT_TEST = Words("{test:,} {test:is|are} kept for the final test after training (test)", "{test:,} 个留作训练后的最终测试（测试集）")
SPLIT_NONE = Words(
    "none are kept for a final test, so the results after training are measured on the {check:,} as well",
    "没有单独留出测试集，训练后的效果也用这 {check:,} 个来衡量",
)
OWN_TEST = Words(
    "the final test after training uses the {test:,} of “{name}” (test)", "训练后的最终测试用“{name}”的 {test:,} 个样本（测试集）"
)
OWN_TEST_TITLE = label("Bring a test set of your own", "使用自己的测试集")
OWN_TEST_HELP = label(
    "The final test after training is made with it alone; the model never learns from it. It needs the same columns as your examples, and is remembered with them.",
    "训练后的最终测试只用它来做，模型不会拿它学习。它的列要与你的样本相同，并会随这份样本一起记住。",
)
TEST_OF = label("The final test uses", "最终测试使用")
TEST_PART = Words("a part of my examples", "我的样本中的一部分")
DROP_TEST = label("Test set (same kinds of file)", "测试集（文件类型同上）")

# Your data sets.
SETS = label("Your data sets", "你的数据集")
SETS_CHOOSE = label("Open another one", "打开另一个")
SETS_EMPTY = Words("None yet: what you bring is kept here until you delete it.", "还没有：上传的数据会保存在这里，直到你删除。")
SET_NAME, SET_LICENCE = label("Name", "名称"), label("Licence or source, for the model card", "许可证或来源（写入模型卡）")
SET_SAVE, SET_DELETE = label("Save name and licence", "保存名称和许可证"), label("Delete this data set…", "删除此数据集…")
SET_SURE, SET_KEEP = label("Yes, delete permanently", "确定，永久删除"), label("Keep it", "保留")
SET_GONE = Words("“{name}” was deleted. Runs that learned from it keep their own copy.", "“{name}”已删除。用过它的训练各自留有副本。")
SET_BUSY = Words("A run that has not read “{name}” yet still needs it.", "有一个训练还没读取“{name}”，正在等着用它。")
SET_BUSY_DO = Words("Wait until that run has started, or stop it first.", "请等那个训练开始，或先停止它。")
SET_SAVED = Words("Saved as “{name}”.", "已保存为“{name}”。")
SET_LINE = Words("{name} · {rows:,} {rows:row|rows} · {when}", "{name} · {rows:,} 行 · {when}")
SET_ABOUT = Words(
    "From {origin}, {when}; {changes} {changes:change|changes} since; SHA-256 {sha}…",
    "来源：{origin}，{when}；之后改动 {changes} 处；SHA-256 {sha}…",
)
ORIGINS = {"upload": Words("a file", "文件"), "paste": Words("pasted text", "粘贴的文本")}

# Health.
HEALTH_WAIT = Words("Checking…", "检查中…")
HEALTH_HALT, HEALTH_AGAIN = Words("Stop", "停止"), Words("Check again", "重新检查")
HEALTH_HALTED = Words(
    "Stopped before everything was checked: rows that are nearly the same were not looked for.",
    "检查未完成就停止了：还没有查找近似重复的行。",
)
FIXING, FIX_NOTHING = Words("Changing the rows", "正在修改"), Words("There is nothing left to change.", "没有需要修改的内容了。")
HEALTH_SCORE = Words("Health {score} of 100", "健康分 {score} / 100")
HEALTH_GOOD = Words("No problems found.", "没有发现问题。")
HEALTH_COUNT = Words("{count} {count:finding|findings}", "发现 {count} 个问题")
GRADES = {
    "stop": Words("needs fixing", "需要解决"),
    "warn": Words("worth fixing", "建议处理"),
    "hint": Words("good to know", "供参考"),
    "open": Words("not checked", "未检查"),
}
UNDO = Words("Undo: {what}", "撤销：{what}")
FIXED = Words(
    "Done: {what} ({rows:,} {rows:row|rows} removed, {cells:,} {cells:cell|cells} changed). Your original file is untouched.",
    "已完成：{what}（减少 {rows:,} 行，修改 {cells:,} 个单元格）。原始文件未改动。",
)
UNDONE = Words("Undone: {what}.", "已撤销：{what}。")
NOTHING = Words("There is nothing to undo.", "没有可撤销的改动。")
COPIED = Words("The sample was copied for your changes.", "已复制一份示例数据，改动只作用于副本。")
EDIT = Words("edited rows", "编辑行")
ROWS_OF = Words("rows {rows}", "第 {rows} 行")

# Looking.
SEEN = label("What the model will see", "模型会看到什么")
SEEN_HELP = Words(
    "Three examples under the model’s own chat template. What is learned is marked; the rest is only read.",
    "套用模型自己对话模板的三个样本。标出的部分会被学习，其余只是读入。",
)
SEEN_PLAIN = Words(
    "Three examples. What is learned is marked. The marks of the model’s own template are added once the model is on this machine.",
    "三个样本，标出的部分会被学习。模型下载到本机后，会加上它自己的模板标记。",
)
LEARNED = Words("learned", "学习")
INSTEAD_OF = Words("rather than:", "而不是：")
ROWS = label("Browse, search and edit rows", "逐行查看、搜索、编辑")
ROWS_HELP = label(
    "Change a cell in place. A change can be undone and never touches the original file.",
    "可直接修改单元格。改动可以撤销，不会动原始文件。",
)
SEARCH = label("Find rows that contain", "查找包含以下内容的行")
PAGE = label("Page", "页")
PAGE_OF = Words("Rows {first:,}–{last:,} of {count:,}", "第 {first:,}–{last:,} 行，共 {count:,} 行")
NO_ROWS = Words("No row contains “{text}”.", "没有行包含“{text}”。")
DELETE_ROWS = label("Row numbers to delete (such as 3, 7-9)", "要删除的行号（如 3, 7-9）")
DELETE = label("Delete these rows", "删除这些行")
WRONG_ROWS = Words("“{text}” does not name rows of this page’s data (1 to {count:,}).", "“{text}”不是有效的行号（1 到 {count:,}）。")
WRONG_ROWS_DO = Words("Write numbers such as 3, 7-9.", "请写成 3, 7-9 这样的形式。")
STALE = Words(
    "These rows are no longer as you saw them: another sheet was chosen, or they were changed in another window. Nothing was changed now.",
    "这些行已经和你看到的不一样了：可能换了工作表，或在其他窗口里改过。这次没有改动任何内容。",
)
STALE_DO = Words("They are shown anew; make your change again.", "现在显示的是最新内容，请重新修改。")
CHARTS = label("Lengths and classes", "长度与类别分布")
LENGTHS = Words("Examples by length", "样本长度分布")
LENGTHS_COUNTED = Words(
    "about {total:,} tokens in all,<br>counted by the model’s own tokenizer", "共约 {total:,} 个 token，<br>由该模型的分词器统计"
)
LENGTHS_GUESSED = Words("about {total:,} tokens in all,<br>guessed from the letters", "共约 {total:,} 个 token，<br>按字符数估计")
LENGTHS_SAMPLED = Words("<br>scaled up from a sample", "<br>由部分样本推算到全部")
CLASSES = Words("Examples in each class", "各类别样本数")
CLASSES_SOME = Words("the {shown} largest of {count:,} classes", "共 {count:,} 个类别，只画出最大的 {shown} 个")
COUNT = Words("examples", "样本数")
TOKENS = Words("tokens", "token 数")
LIMIT = Words("cut here", "在此截断")
