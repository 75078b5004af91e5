"""How far a preparation is: a bar on a terminal, plain lines where there is none."""

import contextlib
from collections.abc import Callable, Iterator

from rich.console import Console
from rich.progress import Progress

# Without a terminal, a line for every quarter of the work.
_PLAIN_LINES = 4

# Examples come faster than a bar can be redrawn.
_BAR_STRIDE = 64


@contextlib.contextmanager
def bar(console: Console, description: str, total: int) -> Iterator[Callable[[], None]]:
    """Shows the progress of `total` examples; yields the function to call after each one.

    A total of 0 says that it is not known: a terminal then shows that there is work, and what is no
    terminal nothing.
    """
    done = 0
    if console.is_terminal:
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task(description, total=total or None)

            def redraw() -> None:
                nonlocal done
                done += 1
                if done % _BAR_STRIDE == 0 or done == total:
                    progress.update(task, completed=done)

            yield redraw
        return

    def advance() -> None:
        nonlocal done
        done += 1
        if total and (done % -(-total // _PLAIN_LINES) == 0 or done == total):
            console.print(f"{description}: {done:,} of {total:,}", highlight=False)

    yield advance
