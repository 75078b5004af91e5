r"""Write a page about finished runs: scores, curves, mistakes, what the models look at.

Examples:
    python -m ferjax.analysis.report --workdir=runs/first
    python -m ferjax.analysis.report --workdir=runs/softmax --workdir=runs/island --output=compared

The page is OUTPUT/index.html, one file that opens without a network; its figures are beside it as
PNG and SVG. OUTPUT is WORKDIR/report by default. The numbers are those of result.json and of the
predictions that the run kept. The test split is not read: faces are of the split that selected the
epoch, and of training. Needs `pip install -e '.[analysis]'`.
"""

from __future__ import annotations

from absl import flags

from ferjax.cli import command, huge_pages, output

FLAGS = flags.FlagValues()
flags.DEFINE_multi_string(
    "workdir", None, "run directory; several are shown side by side", flag_values=FLAGS
)
flags.DEFINE_string(
    "output", None, "folder of the page; WORKDIR/report by default", flag_values=FLAGS
)
flags.DEFINE_string(
    "data_dir", None, "where the data set is prepared; the run's by default", flag_values=FLAGS
)
flags.DEFINE_enum(
    "embedding",
    "pca",
    ["pca", "tsne"],
    "how features are shown in two dimensions; t-SNE takes a minute for some thousand images",
    flag_values=FLAGS,
)
flags.mark_flag_as_required("workdir", flag_values=FLAGS)


def main(argv: list[str]) -> None:
    """Writes the page, and says where it is."""
    command.refuse_arguments(argv)
    from ferjax.analysis.report import write

    page = write.report(
        FLAGS.workdir, FLAGS.output, data_dir=FLAGS.data_dir, embedding=FLAGS.embedding
    )
    output.say(f"Written to {page}.")


if __name__ == "__main__":
    huge_pages.restart_with_huge_pages()
    command.run(main, flag_values=FLAGS)
