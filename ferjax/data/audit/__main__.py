"""Looks for problems that make the scores on a prepared data set doubtful.

    python -m ferjax.data.audit --dataset=fer2013
    python -m ferjax.data.audit --dataset=ck_plus --options=fold=3 --output=audits/fold3

It finds exact copies and near duplicates, their conflicting labels, leaks between splits and
between persons, blank and faint images, and unequal classes. The folder --output gets

    audit.html        a page with pictures of the worst groups
    audit.json        every finding
    clean_test.json   which test images are clean, for ferjax.evaluate
"""

from absl import flags

from ferjax.cli import command, output

FLAGS = flags.FlagValues()
_DATASET = flags.DEFINE_string(
    "dataset", None, "Which data set, such as fer2013.", flag_values=FLAGS, required=True
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir",
    None,
    "Where data sets are prepared. By default FERJAX_DATA_DIR, else ferjax in your cache folder.",
    flag_values=FLAGS,
)
_OPTIONS = flags.DEFINE_list(
    "options", [], "Of the data set, such as fold=3,split_by=image.", flag_values=FLAGS
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "Folder for what is found; what an earlier audit wrote there is replaced. By default "
    "audit_DATASET here.",
    flag_values=FLAGS,
)
_MIN_CONTRAST = flags.DEFINE_float(
    "min_contrast",
    5.0,
    "Images with a smaller standard deviation of grey levels are reported as faint.",
    lower_bound=0.0,
    upper_bound=255.0,
    flag_values=FLAGS,
)
_MAX_GROUPS = flags.DEFINE_integer(
    "max_groups",
    50,
    "How many groups each section of the page shows.",
    lower_bound=0,
    flag_values=FLAGS,
)


def main(argv: list[str]) -> None:
    """Runs the command; `argv` holds the program name and what is not a flag."""
    command.refuse_arguments(argv)
    # Here, not above, so that --help and a mistyped flag are answered at once.
    from rich.console import Console

    from ferjax import filesystem
    from ferjax.data import dataset
    from ferjax.data.audit import audit as auditing
    from ferjax.data.audit import files, report
    from ferjax.data.options import parse

    folder = filesystem.local(_OUTPUT.value or f"audit_{_DATASET.value}", "--output")
    files.check(folder)
    options = parse(_DATASET.value, _OPTIONS.value)
    opened = dataset.open_dataset(_DATASET.value, _DATA_DIR.value, **options)
    audit = auditing.audit(opened, min_contrast=_MIN_CONTRAST.value, console=Console(stderr=True))
    written = files.save(audit, opened, folder, max_groups=_MAX_GROUPS.value)
    with output.page() as console:
        report.print_summary(audit, console)
    output.say("\nMade:\n" + "\n".join(f"  {path}" for path in written))


if __name__ == "__main__":
    command.run(main, flag_values=FLAGS)
