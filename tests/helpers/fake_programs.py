"""Programs that stand in for a cloud: they write down how they were called and answer by a script.

They are shell scripts, because a hundred starts of Python would take seconds.
"""

import shlex
import signal
import subprocess
from pathlib import Path

from tests.helpers import watched

LAUNCH = Path(__file__).resolve().parents[2] / "launch"

# A program that saves when it is told to stop, and says so; it ends by itself after ten minutes: no
# slow machine takes so long to tell it, and what a killed test left behind does not stay.
SAVES = """trap 'echo saved >> {0}/signals; exit 75' TERM
touch {0}/up
for ((i = 0; i < 60000; i++)); do sleep 0.01; done"""
# Waits for a file, for ten minutes.
UNTIL = "for ((i = 0; i < 60000; i++)); do if [[ -e {0} ]]; then break; fi; sleep 0.01; done"

# CPU seconds for a script with fake programs, which takes a tenth of one.
WORK_SECONDS = 60.0

# What quoting can get wrong, in one argument.
AWKWARD = '--config.note=it\'s "$HOME" `id` $(id); a\\b * & | > ü @NAME@ '

# Nothing here starts a process: two hundred of these run in a second.
_RECORDER = r"""#!/bin/bash
here={here}
printf -v record '%q ' "${{0##*/}}" "$@"
printf '%s\n' "$record" >> "$here/calls"
for rule in "$here"/rules/"${{0##*/}}".*; do
  [[ -e $rule/key ]] || continue
  IFS= read -r key < "$rule/key"
  if [[ "$*" == *"$key"* ]]; then
    turn=0
    if [[ -e $rule/turn ]]; then read -r turn < "$rule/turn"; fi
    turn=$((turn + 1))
    while [[ ! -e $rule/answer.$turn ]]; do turn=$((turn - 1)); done
    echo "$turn" > "$rule/turn"
    source "$rule/answer.$turn"
    exit
  fi
done
exit 0
"""


def split(text: str) -> list[list[str]]:
    """The words of each line as bash reads them, which is more than shlex understands."""
    program = r"""while IFS= read -r line; do eval "words=($line)"
        printf '%s\0' "${#words[@]}" "${words[@]}"; done"""
    done = subprocess.run(
        ["bash", "-c", program], input=text, capture_output=True, text=True, check=True
    )
    words = done.stdout.split("\0")[:-1]
    lines = []
    while words:
        count = int(words.pop(0))
        lines.append(words[:count])
        del words[:count]
    return lines


class Fakes:
    """A folder of recording programs, first on PATH.

    `calls()` lists every call so far as a list of words, the program's name first. `answer` says
    what a program does; without an answer it succeeds silently.
    """

    def __init__(self, folder: Path, programs: str) -> None:
        self.folder = folder
        self.path = folder / "programs"
        (folder / "rules").mkdir(parents=True)
        self.path.mkdir()
        self.started: list[subprocess.Popen[str]] = []
        self.script = _RECORDER.format(here=shlex.quote(str(folder)))
        for name in programs.split():
            self.put(self.path / name)

    def put(self, path: Path) -> None:
        """Makes the recording program `path`."""
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(self.script)
        path.chmod(0o755)

    def answer(self, program: str, key: str, *answers: str) -> None:
        """Calls of `program` whose words contain `key` run these pieces of bash in turn.

        The last one is repeated. The rule that was given last wins.
        """
        number = 99 - len(list((self.folder / "rules").iterdir()))
        rule = self.folder / "rules" / f"{program}.{number:02d}"
        rule.mkdir()
        (rule / "key").write_text(key + "\n")
        for turn, text in enumerate(answers, start=1):
            (rule / f"answer.{turn}").write_text(text + "\n")

    def answer_venv(self) -> None:
        """Lets `python3 -m venv FOLDER` make a folder with a recording Python in it."""
        make = f'mkdir -p "$3/bin" && cp {shlex.quote(str(self.path))}/python3 "$3/bin/python"'
        self.answer("python3", "-m venv", make)

    def calls(self) -> list[list[str]]:
        """The calls so far."""
        record = self.folder / "calls"
        if not record.exists():
            return []
        return split(record.read_text())

    def environment(self, **variables: str) -> dict[str, str]:
        """The environment of a recipe: the programs, the variables, and nothing of this session."""
        return {"PATH": f"{self.path}:/usr/bin:/bin", "HOME": str(self.folder)} | variables

    def start(self, script: Path, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Starts a script in the folder, in a process group of its own."""
        # A test run in the background of a shell ignores SIGINT, and bash cannot trap it then.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        process = subprocess.Popen(
            [str(script), *arguments],
            cwd=self.folder,
            env=self.environment(**variables),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.started.append(process)
        return process

    def close(self) -> None:
        """Ends what a failed test left running."""
        for process in self.started:
            if process.returncode is None:
                watched.end(process)
                process.wait()
                process.stdout.close()
                process.stderr.close()

    def run(
        self, script: Path, *arguments: str, **variables: str
    ) -> subprocess.CompletedProcess[str]:
        """Runs a script to its end."""
        return self.finish(self.start(script, *arguments, **variables))

    def finish(self, process: "subprocess.Popen[str]") -> "subprocess.CompletedProcess[str]":
        """Waits until a script and what holds its outputs have ended."""
        return watched.finish(process, work=WORK_SECONDS)[0]

    def wait_for(self, text: str) -> None:
        """Waits until a call contains this text."""
        watched.until(
            lambda: any(text in " ".join(call) for call in self.calls()), text, *self.started
        )

    def wait_for_file(self, name: str) -> None:
        """Waits until the folder has this file."""
        watched.until((self.folder / name).exists, name, *self.started)


def assert_dry_run_is_exact(
    fakes: Fakes, script: Path, *arguments: str, **variables: str
) -> list[list[str]]:
    """Checks that --dry_run calls nothing and prints, for bash, the calls of a run without trouble.

    The run must have been made before; its calls are returned.
    """
    real = fakes.calls()
    (fakes.folder / "calls").unlink()
    made = sorted(path for path in fakes.folder.rglob("*") if "rules" not in path.parts)
    dry = fakes.run(script, "--dry_run", *arguments, **variables)
    assert (dry.returncode, dry.stderr, fakes.calls()) == (0, "", [])
    assert sorted(path for path in fakes.folder.rglob("*") if "rules" not in path.parts) == made
    subprocess.run(
        ["bash", "-e", "-c", dry.stdout],
        cwd=fakes.folder, env=fakes.environment(), check=True, capture_output=True,
    )  # fmt: skip
    assert fakes.calls() == real
    return real
