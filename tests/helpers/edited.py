"""JSON files in which one value is another."""

import copy
import json

from ferjax.workdir import digests

GONE = object()


def changed(fields, path, value):
    """The nested fields with one value set, or removed where it is `GONE`."""
    made = copy.deepcopy(fields)
    *groups, last = path.split("/")
    inside = made
    for name in groups:
        inside = inside[int(name) if isinstance(inside, list) else name]
    if value is GONE:
        del inside[last]
    else:
        inside[int(last) if isinstance(inside, list) else last] = value
    return made


def edit(file, *changes):
    """Changes a file by (path, value) pairs."""
    fields = json.loads(file.read_text())
    for path, value in changes:
        fields = changed(fields, path, value)
    file.write_text(json.dumps(fields))


def edit_checkpoints(workdir, *changes, kind="best"):
    """Changes what the checkpoints of a run say of themselves, as somebody would who wants it used.

    Their digest of the description is made anew.
    """
    for file in (workdir / "checkpoints").glob(f"{kind}/*/meta/metadata"):
        edit(file, *changes)
        fields = json.loads(file.read_text())
        if isinstance(fields, dict) and isinstance(fields.get("sha256"), dict):
            about = {name: fields.get(name) for name in ("spec", "progress")}
            edit(file, ("sha256/meta", digests.of_json(about)))
