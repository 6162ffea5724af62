"""What a visitor may see and name: on a page that others can reach, only what is their own."""

import os
from pathlib import Path

from studio import presets, runs
from studio.data import keep
from studio.data.keep import Kept
from studio.errors import BadData, NotPossible, StudioError
from studio.estimate import table as costs
from studio.models import fetch
from studio.runs import Run
from studio.words import Words

OPEN = "STUDIO_OPEN"
MOST_WAITING = 10


def open_to_others() -> bool:
    """Whether the page listens beyond this machine, as on a Space; decided when it is launched."""
    return os.environ.get(OPEN) == "1"


def check_owner() -> None:
    """Refuse what concerns the machine, where others can reach the page."""
    if open_to_others():
        raise NotPossible(
            Words(
                "On a page that others can reach, the machine is not measured from the page.",
                "这个页面别人也能打开，所以不能在页面上测量机器。",
            ),
            Words("Whoever runs the studio can: `studio measure`.", "工作室的运行者可以用 `studio measure` 测量。"),
        )


def visible(mine: object) -> list[Run]:
    """The runs to list: all of them on a page of one's own, else those this browser has started (`mine`, a list of ids)."""
    known = ids(mine)
    return [run for run in runs.all_runs() if run.id in known or not open_to_others()]


def ids(mine: object) -> list[str]:
    """What a browser remembers as its runs, as far as it can be ids."""
    return [item for item in mine if isinstance(item, str) and runs.ID.fullmatch(item)][-500:] if isinstance(mine, list) else []


def dataset(source: str) -> Kept:
    """The data set a browser names: a sample or one kept under an id nobody can guess, never a path of this machine."""
    if not isinstance(source, str) or source.partition(":")[0] not in ("sample", "dataset"):
        raise BadData(
            Words("The page was asked for a data set it does not keep.", "这里没有保存这个数据集。"),
            Words("Upload your file again, or use a sample.", "请重新上传文件，或使用示例数据。"),
        )
    return keep.find(source)


def sets(mine: object) -> list[Kept]:
    """The data sets to list: all of them on a page of one's own, else those this browser has brought (`mine`, a list of sources)."""
    known = {item for item in mine if isinstance(item, str)} if isinstance(mine, list) else set()
    return [kept for kept in keep.all_sets() if kept.source in known or not open_to_others()]


def own_set(source: str, mine: object) -> Kept:
    """A data set that this visitor may change or delete: one that is listed for them."""
    found = dataset(source)
    if found.own and found.source not in {kept.source for kept in sets(mine)}:
        raise BadData(
            Words("This data set was brought by someone else.", "这个数据集是别人上传的。"),
            Words("Upload your own copy to change it.", "请上传自己的副本再修改。"),
        )
    return found


def check_queue() -> None:
    """Refuse one more run where others can reach the page and MOST_WAITING runs have not ended yet."""
    going = sum(runs.status(run).state not in runs.ENDED for run in runs.all_runs()) if open_to_others() else 0
    if going >= MOST_WAITING:
        raise NotPossible(
            Words("{count} runs are waiting or training already.", "已有 {count} 个训练在排队或进行。"),
            Words("Come back when some have ended, or duplicate the studio for yourself.", "请稍后再来，或复制一份自己的工作室。"),
            count=going,
        )


def base(model: str) -> costs.Base | None:
    """The base model a browser names; None where it names none, or one it may not name (check_model)."""
    if not model:
        return None
    try:
        check_model(str(model))
    except StudioError:
        return None
    return costs.base(str(model))


def check_model(model: str) -> None:
    """Refuse what can be no model, and a folder of this machine where others can reach the page."""
    known = model in presets.models() or fetch.HUB_ID.fullmatch(model)
    if not known and not (open_to_others() or Path(model).is_dir()):
        raise fetch.unknown(model)
    if open_to_others() and model not in presets.models() and not (fetch.HUB_ID.fullmatch(model) and not Path(model).exists()):
        raise NotPossible(
            Words(
                "On a page that others can reach, a model cannot be a folder of the machine: “{model}”.",
                "这个页面别人也能打开，所以不能用本机文件夹里的模型：“{model}”。",
            ),
            Words("Choose one from the list, or type a hub id (owner/name).", "请从列表里选，或输入 Hub 模型 ID（owner/name）。"),
            model=model[:80],
        )
