"""Predictions as text: every format is readable by the programs that it is for."""

import csv
import io
import json

import pytest

from ferjax.inference import formats
from ferjax.inference.formats import Row
from tests.helpers.strangers import EVIL, EVIL_SHOWN

NAMES = ("angry", "happy, very", "neutral")
ROWS = [
    Row("faces/a.png", "happy, very", [0.125, 0.75, 0.125]),
    Row(f"faces/{EVIL}.png", "angry", [1.0, 1e-9, 0.0], ["several frames", "transparent"]),
    Row("faces/cut.png", "", [], [], "faces/cut.png is a damaged image (…)."),
    Row("faces/caf\udce9 \U0001f468\u200d\U0001f469.png", "neutral", [0.0, 0.25, 0.75]),
]
EVIL_CSV = EVIL.replace("\x1b", "\\x1b").replace("\n", "\\n")
JOINED = "\U0001f468\u200d\U0001f469.png"  # one sign, of two joined by a third


def document(name, rows=ROWS, complete=True):
    made = formats.create(name, NAMES, "runs/a")
    return made.head() + "".join(map(made.row, rows)) + made.tail(complete=complete)


def test_csv_has_a_header_and_a_line_per_file():
    text = document("csv")
    assert text.count("\n") == 5 and text.isprintable() is False and "\x1b" not in text
    header, *rows = csv.reader(io.StringIO(text))
    assert header == ["file", "label", *NAMES, "remarks", "error"]
    assert rows[0] == ["faces/a.png", "happy, very", "0.125", "0.75", "0.125", "", ""]
    assert rows[1][0] == f"faces/{EVIL_CSV}.png" and rows[1][3] == "1e-09"
    assert rows[1][-2:] == ["several frames; transparent", ""]
    assert rows[2] == ["faces/cut.png", "", "", "", "", "", ROWS[2].problem]
    assert rows[3][:2] == [f"faces/caf\\xe9 {JOINED}", "neutral"]


def objects():
    probabilities = [dict(zip(NAMES, row.probabilities, strict=False)) for row in ROWS]
    return [
        {
            "file": "faces/a.png",
            "label": "happy, very",
            "probabilities": probabilities[0],
            "remarks": [],
        },
        {
            "file": f"faces/{EVIL}.png",
            "label": "angry",
            "probabilities": probabilities[1],
            "remarks": ["several frames", "transparent"],
        },
        {"file": "faces/cut.png", "error": ROWS[2].problem},
        {
            "file": f"faces/caf\\xe9 {JOINED}",
            "label": "neutral",
            "probabilities": probabilities[3],
            "remarks": [],
        },
    ]


def test_json_lines_are_objects():
    lines = document("jsonl").splitlines()
    assert [json.loads(line) for line in lines] == objects()
    assert all(line.isascii() for line in lines)


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4])
def test_json_is_whole_after_any_number_of_rows(number):
    good = [one for one in objects()[:number] if "error" not in one]
    bad = [one for one in objects()[:number] if "error" in one]
    found = {"workdir": "runs/a", "images": good, "unreadable": bad, "complete": False}
    assert json.loads(document("json", ROWS[:number], complete=False)) == found
    assert json.loads(document("json", ROWS[:number])) == found | {"complete": True}
    made = formats.create("json", NAMES, "runs/a")
    text = made.head() + "".join(map(made.row, ROWS[:number]))
    assert json.loads(text + made.tail(complete=False, last=False))["images"] == good


def test_a_table_has_a_line_per_file_and_the_name_last():
    header, *lines = document("table").splitlines()
    assert header.split() == ["expression", "angry", "happy,", "very", "neutral", "file"]
    assert [line.rsplit("  ", 1)[1] for line in lines] == [
        "faces/a.png",
        f"faces/{EVIL_SHOWN}.png",
        "faces/caf\\xe9 " + JOINED.replace("\u200d", "\\u200d"),
    ]
    assert lines[0].split() == ["happy,", "very", "12.5", "75.0", "12.5", "faces/a.png"]
    start = header.index("file")
    assert all(line[start - 2 : start] == "  " for line in lines)


def test_a_table_of_bad_files_alone_is_empty():
    assert document("table", [ROWS[2]]) == ""
