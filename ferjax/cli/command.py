"""How every command starts and ends: flags, `--help`, error messages; exit codes: see `errors`."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import NoReturn

from absl import flags, logging

from ferjax import interrupts, refusals
from ferjax.cli import config_flags, flag_checks, output
from ferjax.errors import (
    EXIT_KEYBOARD,
    EXIT_RESUMABLE,
    Interrupted,
    UserError,
    explain,
    nearest,
)

_HELP = ("--help", "-help", "-h", "--helpshort", "--helpfull")


def run(
    main: Callable[[list[str]], int | None],
    *,
    flag_values: flags.FlagValues = flags.FLAGS,
    argv: Sequence[str] | None = None,
) -> NoReturn:
    """Parses the flags, calls `main`, and exits with its exit code.

    Args:
      main: takes the program name and the arguments that are not flags; returns None or an exit
        code. The docstring of its module is what `--help` prints.
      flag_values: where the command defined its flags. A `FlagValues` of its own keeps them apart
        from the flags of other commands and libraries.
      argv: the program name and its arguments; `sys.argv` by default.
    """
    argv = list(sys.argv if argv is None else argv)
    is_process = main.__module__ == "__main__"
    if is_process:
        interrupts.watch()
    # Orbax warns of every wait for a save that it was asked to wait for.
    logging.set_verbosity(logging.ERROR)
    try:
        output.prepare_streams()
    except UserError as error:
        sys.exit(explain(error))
    try:
        code = _exit_code(main, flag_values, argv)
    except KeyboardInterrupt:  # another one, while the first is told
        code = EXIT_KEYBOARD
    try:
        with output.checked():
            sys.stdout.flush()
    except BrokenPipeError:
        output.silence()  # the reader has enough; the code stays what it is
    except UserError as error:
        code = explain(error)
    if is_process and code in (EXIT_KEYBOARD, EXIT_RESUMABLE):
        # At once: nothing is left to save, and threads that an exit waits for may not end.
        os._exit(code)
    if is_process:
        interrupts.let_go()
    sys.exit(code)


def refuse_arguments(argv: Sequence[str]) -> None:
    """Raises a UserError for a command that takes flags only and was given something else."""
    if len(argv) > 1:
        raise UserError(
            f"unexpected argument {argv[1]!r}: this command takes flags only, such as --name=value."
        )


def _exit_code(
    main: Callable[[list[str]], int | None], flag_values: flags.FlagValues, argv: list[str]
) -> int:
    arguments = argv[1 : argv.index("--")] if "--" in argv else argv[1:]
    try:
        if any(argument in _HELP for argument in arguments):
            output.say(_help(main, flag_values))
            return 0
        return main(_parse(flag_values, argv)) or 0
    except (Exception, KeyboardInterrupt) as error:
        if isinstance(error, BrokenPipeError) and output.is_unread():
            output.silence()
            return 0  # the reader has enough
        if interrupts.is_unanswered() and not isinstance(error, Interrupted):
            # Whatever a library made of it.
            return explain(KeyboardInterrupt())
        return explain(_of_the_machine(error) or error)


def _of_the_machine(error: BaseException) -> UserError | None:
    """A sentence for what no program can help and a command did not expect, else None."""
    if isinstance(error, OSError) and error.errno in refusals.OF_THE_MACHINE:
        where = error.filename if isinstance(error.filename, str) else "A file or standard output"
        return UserError(f"{where} cannot be read or written ({refusals.problem(error)}).")
    if isinstance(error, UserError) or not isinstance(error, Exception):
        return None
    # What JAX and Python say beside a MemoryError.
    short = ("RESOURCE_EXHAUSTED", "can't start new thread")
    if isinstance(error, MemoryError) or any(one in str(error) for one in short):
        said = next(iter(str(error).splitlines()), "") or "no more can be had"
        return UserError(
            f"There is not enough memory ({said[:300]}); give smaller batches or images."
        )
    if "jax" not in sys.modules:
        return None
    import jax

    if jax.distributed.is_initialized():
        return None  # to look for devices would wait for the other processes
    try:
        jax.devices()
    except Exception as missing:  # JAX has several kinds, an AssertionError among them
        said = next(iter(str(missing).splitlines()), "") or "its driver does not answer"
        wanted = f"JAX_PLATFORMS is {os.environ.get('JAX_PLATFORMS', 'not set')}"
        return UserError(
            f"{wanted}, and JAX finds no such device here ({said}). Set JAX_PLATFORMS=cpu to "
            "compute on the CPU, or install the JAX of the device and its driver."
        )
    return None


def _parse(flag_values: flags.FlagValues, argv: list[str]) -> list[str]:
    """The arguments that are not flags; raises a UserError that names the flag at fault."""
    flag_checks.check_own_line(argv)
    flag_checks.check_once(flag_values, argv)
    config_flags.check_order(flag_values, argv)
    try:
        rest = flag_values(argv)
    except flags.UnrecognizedFlagError as error:
        names = [f"--{flag.name}" for flag in _own_flags(flag_values)]
        unknown = f"--{error.flagname}"
        hint = config_flags.unknown_flag_hint(flag_values, error.flagname, argv)
        hint = hint or nearest(unknown, names) or f" There are: {', '.join(names)}."
        raise UserError(f"unknown flag {unknown}.{hint}") from None
    except flags.Error as error:
        raise flag_checks.refused(flag_values, error) from None
    except (AttributeError, KeyError, IndexError, ValueError):
        # A config flag raises these when an override names a field that its config lacks.
        config_flags.check_overrides(flag_values, argv)
        raise
    flag_checks.check(_own_flags(flag_values))
    if flag_values is not flags.FLAGS:
        # Libraries define flags of their own there, and absl refuses to read them before parsing.
        flags.FLAGS.mark_as_parsed()
    return rest


def _own_flags(flag_values: flags.FlagValues) -> list[flags.Flag]:
    """The flags of this command, without those of libraries and absl, and of config fields."""
    if flag_values is not flags.FLAGS:
        return [flag_values[name] for name in sorted(flag_values) if "." not in name]
    return sorted(flag_values.get_key_flags_for_module(sys.argv[0]), key=lambda flag: flag.name)


def _help(main: Callable[[list[str]], int | None], flag_values: flags.FlagValues) -> str:
    docstring = (sys.modules[main.__module__].__doc__ or "").strip()
    lines = [docstring, "", "Flags:"]
    for flag in _own_flags(flag_values):
        default = "" if flag.default is None else f" [default: {flag.default}]"
        lines.append(f"  --{'[no]' if flag.boolean else ''}{flag.name}: {flag.help}{default}")
    return "\n".join(lines)
