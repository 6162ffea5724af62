"""The forms that data comes in, each brought into the shape that is learned from: one file each."""

from collections.abc import Callable

from studio.data.readers.rows import ParsedRows
from studio.data.reshape import (
    chat_tree,
    conversations,
    joined_texts,
    label_columns,
    label_studio,
    listed_turns,
    nested_texts,
    preference_pairs,
    rated_generations,
    rejected_answers,
    reply_trees,
    sided_messages,
    split_column,
    system_prompts,
    tool_calls,
    transcripts,
    unlearnable,
    unlearned_answers,
    wrapped_texts,
)

# In the order in which they are tried. Each returns rows of another form as they are, so that several may
# apply: a system prompt in an object is taken out of it, then put before its conversation.
FORMS: tuple[Callable[[ParsedRows], ParsedRows], ...] = (
    unlearnable.refuse_unlearnable,
    split_column.leave_out_test_rows,
    label_studio.take_annotations,
    chat_tree.follow_branches,
    rated_generations.pair_rated_generations,
    wrapped_texts.unwrap_texts,
    nested_texts.take_nested_texts,
    listed_turns.take_listed_turns,
    tool_calls.cut_at_tool_calls,
    reply_trees.follow_replies,
    transcripts.divide_transcripts,
    rejected_answers.pair_rejected_answers,
    sided_messages.join_sides,
    sided_messages.split_rated_conversations,
    system_prompts.add_history,
    system_prompts.add_system_prompts,
    unlearned_answers.note_unlearned_answers,
    joined_texts.join_text_pairs,
    preference_pairs.to_chosen_rejected,
    conversations.to_conversations,
    joined_texts.join_titles,
    label_columns.join_label_columns,
)


def to_learnable(parsed: ParsedRows) -> ParsedRows:
    """Rows in the shape that is learned from, whatever form they came in.

    Raises:
        BadData: Nothing could be learned from them, such as pictures.
    """
    for reshape in FORMS:
        parsed = reshape(parsed)
    return parsed
