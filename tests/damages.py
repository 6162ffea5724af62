"""Ways in which a file on the disk may be damaged."""

import json


def truncate(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def empty(path):
    path.write_bytes(b"")


def delete(path):
    path.unlink()


def become_folder(path):
    path.unlink()
    path.mkdir()


def link_to_itself(path):
    path.unlink()
    path.symlink_to(path.name)


def overwrite(content):
    def damage(path):
        path.write_bytes(content)

    return damage


def change_types(path):
    """Every value of a JSON file, or of its lines, becomes one of another type."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.suffix == ".jsonl" else [path.read_text()]
    path.write_text("\n".join(json.dumps(confuse(json.loads(line))) for line in lines), encoding="utf-8")


def confuse(value):
    if isinstance(value, dict):
        return {key: confuse_one(entry) for key, entry in value.items()}
    return confuse_one(value)


def confuse_one(value):
    if isinstance(value, str):
        return 5
    return "soon" if isinstance(value, int | float) else 0


DAMAGES = {
    "truncated": truncate,
    "empty": empty,
    "deleted": delete,
    "folder": become_folder,
    "link to itself": link_to_itself,
    "no text": overwrite(b"\xff\xfe\x00PK\x03\x04" * 20),
    "list": overwrite(b"[1, 2]"),
    "null": overwrite(b"null"),
    "deep": overwrite(b"[" * 100_000),
    "huge number": overwrite(b'{"step": 1e999, "updated": 1e400, "pid": -1, "loss": NaN}'),
    "other types": change_types,
}
# Of JSON files alone.
JSON_DAMAGES = ("other types", "list", "null", "deep", "huge number")
JSON_FILES = (".json", ".jsonl")


def list_files(folder):
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())


def suits(file, damage):
    """Whether a damage is one that a file of this kind can have."""
    return damage not in JSON_DAMAGES or file.suffix in JSON_FILES
