"""What columns are called for each role, in English and Chinese, and what the roles are called on the page."""

from studio.plan import GROUP
from studio.words import Words, label

# What an answer is called in Chinese.
REPLIES = ("回答", "回复", "答复", "解答", "解决方案", "处理结果", "处理办法", "处理意见")
NAMES: dict[str, tuple[str, ...]] = {
    "prompt": (
        "prompt",
        "question",
        "instruction",
        "customer",
        "input",
        "query",
        "user",
        "request",
        "message",
        "problem",
        "问题",
        "提问",
        "题目",
        "指令",
        "客户",
        "顾客",
        "用户",
        "留言",
        "咨询",
        "输入",
    ),
    "response": ("response", "answer", "reply", "output", "completion", "assistant", "target", *REPLIES, "答案", "输出"),
    "context": ("input", "context", "passage", "background", "输入", "上下文", "背景"),
    "system": ("system", "system_prompt", "系统", "系统提示"),
    "completion": ("completion", "response", "answer", "output", "reply", *REPLIES),
    "verdict": ("label", "verdict", "thumbs", "feedback", "rating", "liked", "stars", "评价", "反馈", "满意度", "星级", "评分", "标签"),
    GROUP: ("conversation_id", "conversation id", "thread_id", "dialog_id", "dialogue_id", "session_id", "chat_id", "会话编号", "对话编号"),
    "text": (
        *("text", "sentence", "message", "content", "ticket", "review", "comment", "body", "question"),
        *("document", "article", "passage", "story", "文本", "内容", "正文", "评论", "文章", "段落"),
    ),
    "label": ("label", "category", "class", "intent", "tag", "topic", "sentiment", "标签", "类别", "分类", "意图"),
    "chosen": (
        "chosen",
        "accepted",
        "preferred",
        "better",
        "winner",
        "best",
        "good",
        "选中",
        "更好",
        "较好",
        "优选",
        "接受",
        "优质",
        "满意",
        "好的",
    ),
    "rejected": (
        *("rejected", "refused", "worse", "loser", "worst", "bad", "non_preferred", "not preferred", "dispreferred", "other answer"),
        *("拒绝", "更差", "较差", "落选", "劣质", "不满意", "差的", "不好的"),
    ),
    "messages": ("messages", "conversations", "conversation", "dialogue", "dialog", "chat", "对话", "会话", "消息"),
    "answer": ("answer", "solution", "result", "答案", "结果", "解答"),
}
ROLE_NAMES: dict[str, Words] = {
    "prompt": label("What is asked (prompt)", "问题（prompt）"),
    "response": label("The answer to learn (response)", "要学的回答（response）"),
    "text": label("The text to sort (text)", "要分类的文本（text）"),
    "label": label("The class it belongs to (label)", "所属类别（label）"),
    "chosen": label("The better answer (chosen)", "较好的回答（chosen）"),
    "rejected": label("The worse answer (rejected)", "较差的回答（rejected）"),
    "messages": label("The whole conversation (messages)", "整段对话（messages）"),
    "context": label("What belongs to the question (input, may stay empty)", "附在问题后面的内容（input，可留空）"),
    "system": label("What the model is told first (system, may stay empty)", "先告诉模型的话（system，可留空）"),
    "completion": label("One answer (completion)", "单个回答（completion）"),
    "verdict": label("Whether that answer is good (label)", "这个回答好不好（label）"),
    GROUP: label("What belongs together, such as a conversation’s number (may stay empty)", "同组标记，例如会话编号（可留空）"),
    "answer": label("The known answer, to check on (may stay empty)", "已知答案，用于核对（可留空）"),
}
TEXT_TO_LEARN = label("The text to learn (text)", "要学的文本（text）")
