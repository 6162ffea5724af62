"""The role that a column's name suggests, in English or Chinese."""

import re

from studio.plan import GROUP_ROLE

NAMES_BY_ROLE: dict[str, tuple[str, ...]] = {
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
        "inquiry",
        "enquiry",
        "frage",
        "anfrage",
        "pregunta",
        "问题",
        "问题描述",
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
    "response": (
        *(
            "response",
            "answer",
            "reply",
            "output",
            "completion",
            "assistant",
            "target",
            "resolution",
            "agent",
            "bot",
            "antwort",
            "respuesta",
            "réponse",
            "回答",
            "答案",
            "回复",
            "答复",
            "输出",
        ),
        *("解答", "解决方案", "处理结果", "处理办法", "处理方案", "处理意见"),
    ),
    "context": ("input", "context", "passage", "background", "输入", "上下文", "背景"),
    "system": ("system", "system_prompt", "系统", "系统提示"),
    "completion": ("completion", "response", "answer", "output", "reply", "回答", "回复"),
    "verdict": (
        "label",
        "verdict",
        "thumbs",
        "feedback",
        "rating",
        "liked",
        "stars",
        "评价",
        "反馈",
        "满意度",
        "星级",
        "评分",
        "标签",
    ),
    GROUP_ROLE: (
        "conversation_id",
        "conversation id",
        "thread_id",
        "dialog_id",
        "dialogue_id",
        "session_id",
        "chat_id",
        "会话编号",
        "对话编号",
    ),
    "text": (
        *("text", "sentence", "message", "content", "ticket", "review", "comment", "body", "question"),
        *("feedback", "email", "narrative", "description"),
        *("document", "article", "passage", "story", "文本", "内容", "正文", "评论", "文章", "段落"),
    ),
    "label": (
        "label",
        "category",
        "class",
        "intent",
        "tag",
        "topic",
        "sentiment",
        "queue",
        "department",
        "kategorie",
        "标签",
        "类别",
        "分类",
        "意图",
    ),
    "labels": (
        *("labels", "tags", "categories", "topics", "classes", "intents"),
        *("label", "tag", "category", "topic", "class", "intent", "标签", "类别", "分类", "意图"),
    ),
    "rating": (
        "rating",
        "ratings",
        "stars",
        "score",
        "csat",
        "nps",
        "评分",
        "星级",
        "打分",
        "满意度",
        "分数",
    ),
    "chosen": (
        *("chosen", "accepted", "preferred", "better", "winner", "best", "good"),
        *("选中", "更好", "较好", "优选", "接受", "优质", "满意", "好的", "更优", "最佳"),
    ),
    "rejected": (
        *(
            "rejected",
            "refused",
            "worse",
            "loser",
            "worst",
            "bad",
            "non_preferred",
            "not_preferred",
            "dispreferred",
            "less_preferred",
        ),
        *(
            "non-preferred",
            "not preferred",
            "less preferred",
            "other answer",
            "other response",
            "other_answer",
            "other_response",
        ),
        *("拒绝", "更差", "较差", "落选", "不满意", "不好", "劣质", "差的", "最差", "其他回答", "另一个回答"),
    ),
    "messages": (
        "messages",
        "contents",
        "transcript",
        "conversations",
        "conversation",
        "dialogue",
        "dialog",
        "chat",
        "对话",
        "会话",
        "消息",
    ),
    "answer": ("answer", "solution", "result", "答案", "结果", "解答"),
}
# Columns such as customer_id, responseTime or 客户编号 describe a text, but do not hold it.
METADATA_SUFFIX = re.compile(
    r"(^|[_\- ])(id|uuid|guid|time|timestamp|date|at|no|nr|number|count|email|phone|url)$"
    r"|(编号|时间|日期|数量|次数|电话|邮箱)$"
)
# Columns with such a name hold no text either, though they may well hold a class.
ATTRIBUTE_SUFFIX = re.compile(
    r"[_\- ](names?|address|type|kind|status|state|language|lang|channel|source|rating|score|length|tokens"
    r"|model|category)$"
    r"|(姓名|名称|名字|地址|类型|状态|语言|渠道|来源|评分|满意度|长度|类别|分类)$"
)
CAMEL_CASE_BOUNDARY = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")  # within customerName
# Roles of texts that somebody wrote, which a name alone does not prove; those of answers differ from row to
# row.
TEXT_ROLES = ("prompt", "response", "completion", "text", "chosen", "rejected")
RESPONSE_ROLES = ("response", "completion", "chosen", "rejected")
# Names of speakers: such a column may hold what they write, or who they are.
SPEAKER_NAMES = ("customer", "user", "assistant", "agent", "bot", "客户", "顾客", "用户")
# Of several columns of answers, those with such a word hold the ones that are to be learned; and of several
# columns of classes, the first of these words names what is asked for most.
BEST_ANSWER_WORDS = (
    *("ideal", "golden", "gold", "corrected", "improved", "approved", "expected", "reference", "final"),
    *("理想", "标准", "参考", "正确", "修改后"),
)
DISCARDED_ANSWER_WORDS = ("old", "draft", "previous", "original", "actual", "旧", "草稿", "原")
LABEL_WORDS = (
    *("label", "intent", "category", "type", "topic", "subject", "queue", "department", "priority"),
    *("标签", "意图", "类别", "类型", "主题", "部门", "优先级"),
)
MINOR_LABEL_WORDS = ("channel", "status", "source", "language", "gender", "country", "state", "渠道", "状态")
SYSTEM_PROMPT = re.compile(r"^(system|系统)([_ ]?(prompt|message|instructions?|提示词?|消息))?$")
SHORT_WORD_LENGTH = 4  # letters
# Turns the word after it into its opposite: 不满意 is not 满意, nor non_preferred preferred.
NEGATION = re.compile(r"[不非没未]$|(^|[\W_])(non|not|un|dis|less)[\W_]?$")


def normalize(column: str) -> str:
    """A column's name in lower case, its words separated."""
    return CAMEL_CASE_BOUNDARY.sub("_", column.strip()).lower()


def is_metadata(column: str, role: str) -> bool:
    """Whether a column describes the texts of a role, such as customer_id, instead of holding them."""
    name = normalize(column)
    if METADATA_SUFFIX.search(name) or (role != "system" and is_system_prompt(column)):
        return True
    return role in TEXT_ROLES and bool(ATTRIBUTE_SUFFIX.search(name))


def is_system_prompt(column: str) -> bool:
    """Whether a column's name says that it holds system prompts."""
    return bool(SYSTEM_PROMPT.match(normalize(column)))


def holds_best_answers(column: str) -> bool:
    """Whether a column's name says that its answers are better than those in other columns."""
    return any(contains_word(column, word) for word in BEST_ANSWER_WORDS)


def holds_discarded_answers(column: str) -> bool:
    """Whether a column's name says that its answers were replaced or only tried."""
    return any(contains_word(column, word) for word in DISCARDED_ANSWER_WORDS)


def label_rank(column: str) -> int:
    """How far behind others a column of classes stands by its name: what is asked for comes first."""
    for rank, word in enumerate(LABEL_WORDS):
        if contains_word(column, word):
            return rank
    is_minor = any(contains_word(column, word) for word in MINOR_LABEL_WORDS)
    return len(LABEL_WORDS) + is_minor


def contains_word(column: str, word: str) -> bool:
    """Whether a column's name contains a word that nothing negates.

    A short word must be a part of its own, since "stage" is not about a "tag".
    """
    name = normalize(column)
    if not word.isascii() or len(word) > SHORT_WORD_LENGTH:
        positions = [position for position in range(len(name)) if name.startswith(word, position)]
        return any(not NEGATION.search(name[:position]) for position in positions)
    parts = re.split(r"[\W_]+", name)
    if word in parts or f"{word}s" in parts:
        return True
    return len(word) == SHORT_WORD_LENGTH and any(part.endswith(word) for part in parts)


def matches_role(column: str, role: str) -> bool:
    """Whether a column's name contains a word for a role."""
    return any(contains_word(column, word) for word in NAMES_BY_ROLE[role]) and not is_metadata(column, role)


def is_exact_match(column: str, role: str) -> bool:
    """Whether a column's name is a word for a role, and not one for a speaker."""
    name = column.strip().lower()
    return name in NAMES_BY_ROLE[role] and name not in SPEAKER_NAMES
