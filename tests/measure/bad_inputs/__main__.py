"""Gives bad and hostile inputs to the commands and judges what they answer.

    python -m tests.measure.bad_inputs
    python -m tests.measure.bad_inputs --only=img,run.c_list --folder=DIR

Prints a line for every input that is not answered as it should be, and a table of verdicts. Exits
with 1 if an input is unsafe, hangs, ends in a traceback, or if more than --allowed are not ok.
"""

import argparse
import collections
import importlib
import pkgutil
import sys
import tempfile
from pathlib import Path

from tests.measure.bad_inputs import groups, running, shared
from tests.measure.bad_inputs.case import Case

VERDICTS = ("ok", "unclear", "silent", "traceback", "hang", "unsafe")


def cases() -> list[Case]:
    """The cases of all groups."""
    found: list[Case] = []
    for module in pkgutil.iter_modules(groups.__path__):
        found += importlib.import_module(f"{groups.__name__}.{module.name}").CASES
    names = collections.Counter(case.name for case in found)
    repeated = [name for name, count in names.items() if count > 1]
    assert not repeated, f"several cases have the names {repeated}"
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", default="", help="groups and names, joined by commas")
    parser.add_argument("--folder", help="keep the made files here")
    parser.add_argument("--patience", type=float, default=120, help="seconds until it hangs")
    parser.add_argument("--allowed", type=int, default=16, help="inputs that may be not ok")
    parser.add_argument("--show", action="store_true", help="print what every command prints")
    args = parser.parse_args()
    wanted = set(filter(None, args.only.split(",")))
    counts: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(args.folder or temporary).resolve()
        folder.mkdir(exist_ok=True)
        shared.make(folder)
        running.prepare(folder)
        chosen = [case for case in cases() if not wanted or {case.name, case.group} & wanted]
        for case in chosen:
            answer = running.run(case, folder, patience=args.patience)
            counts[case.group][answer.verdict] += 1
            if args.show:
                print(answer.output.encode("unicode_escape").decode().replace("\\n", "\n"))
            if answer.verdict != "ok" or args.show:
                line = f"{case.name}: {answer.verdict}: {case.what}: {answer.why}"
                print(line.encode("unicode_escape").decode(), flush=True)
    print(f"{'group':10}" + "".join(f"{verdict:>11}" for verdict in VERDICTS))
    for group, found in counts.items():
        print(f"{group:10}" + "".join(f"{found[verdict]:11}" for verdict in VERDICTS))
    total = sum(counts.values(), collections.Counter())
    print(f"{'all':10}" + "".join(f"{total[verdict]:11}" for verdict in VERDICTS))
    harm = total["traceback"] + total["hang"] + total["unsafe"]
    return int(harm > 0 or total.total() - total["ok"] > args.allowed)


if __name__ == "__main__":
    sys.exit(main())
