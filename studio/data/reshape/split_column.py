"""A column that divides the rows into those to train on and those to test on is kept to."""

from dataclasses import replace

from studio.data.readers.rows import ParsedRows
from studio.data.reshape import columns
from studio.i18n import Message

SPLIT_NAMES = ("split", "subset", "partition", "dataset_split", "data_split", "set", "数据集", "划分")
TRAIN_VALUES, TEST_VALUES = (
    frozenset(("train", "training", "训练", "训练集")),
    frozenset(("test", "testing", "测试", "测试集")),
)
VALIDATION_VALUES = frozenset(("validation", "val", "valid", "dev", "eval", "验证", "验证集"))
TEST_ROWS_LEFT_OUT = Message(
    "“{column}” marks {count:,} {count:row|rows} as test rows: they are left out. To test on them, save them "
    "as a file of their own without this column."
)


def leave_out_test_rows(parsed: ParsedRows) -> ParsedRows:
    """The rows without those that a column marks as test rows."""
    column = columns.first_named(parsed.columns, SPLIT_NAMES)
    if not column:
        return parsed
    values = {row[column].strip().lower() for row in parsed.rows}
    part_names = TRAIN_VALUES | TEST_VALUES | VALIDATION_VALUES
    if not values <= part_names or not values & TRAIN_VALUES or not values & TEST_VALUES:
        return parsed
    rows = [row for row in parsed.rows if row[column].strip().lower() not in TEST_VALUES]
    kept_columns = tuple(name for name in parsed.columns if name != column)
    kept_rows = [{name: row[name] for name in kept_columns} for row in rows]
    note = TEST_ROWS_LEFT_OUT.format(column=column, count=len(parsed.rows) - len(rows))
    return replace(parsed, columns=kept_columns, rows=kept_rows, notes=(*parsed.notes, note))
