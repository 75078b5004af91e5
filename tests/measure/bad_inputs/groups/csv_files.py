"""CSV files given to `prepare`: each has one row, or few, of FER2013."""

from tests.measure.bad_inputs.case import Case, Stage

PIXELS = 48 * 48
AT = "x.csv, row 1 after the header: "
EMOTION = f"{AT}emotion must be a whole number from 0 to 6, found "
PIXEL = f"{AT}pixels must be whole numbers from 0 to 255, found "
TITLE = "x.csv is not FER2013 (a zip, a folder, fer2013.csv or icml_face_data.csv): "


def _prepare(content, *, dataset="fer2013"):
    """A maker of a command line that prepares a file with this text or these bytes."""

    def command(stage: Stage):
        data = content if isinstance(content, bytes) else content.encode()
        (stage.here / "x.csv").write_bytes(data)
        return "prepare", f"--dataset={dataset}", "--source=x.csv", "--data_dir=data"

    return command


def _pixels(first="7", count=PIXELS):
    return " ".join([first] + ["7"] * (count - 1))


def _row(emotion="1", pixels="", usage="Training", header="emotion,pixels,Usage"):
    return f"{header}\n{emotion},{pixels or _pixels()},{usage}\n"


TABLE = [
    ("1", "other columns", "label,image\n1,7\n", f"{TITLE}expected a header with the columns"),
    ("2", "the emotion nan", _row("nan"), f"{EMOTION}'nan'"),
    ("6", "the pixel -7", _row(pixels=_pixels("-7")), f"{PIXEL}'-7'"),
    ("7", "the pixel 256", _row(pixels=_pixels("256")), f"{PIXEL}'256'"),
    ("9", "a pixel of 5000 digits", _row(pixels=_pixels("9" * 5000)), f"{PIXEL}'99999"),
    ("10", "the pixel 1_0, which Python reads as 10", _row(pixels=_pixels("1_0")), f"{PIXEL}'1_0'"),
    ("11", "the pixel +5", _row(pixels=_pixels("+5")), f"{PIXEL}'+5'"),
    (
        "12",
        "a pixel in digits of another script",
        _row(pixels=_pixels("\u0667")),
        f"{PIXEL}'\u0667'",
    ),
    ("12b", "an emotion in digits of another script", _row("\uff11"), f"{EMOTION}'\uff11'"),
    ("13", "100 pixels", _row(pixels=_pixels(count=100)), f"{AT}expected 2304 pixels (48x48)"),
    ("14", "another Usage", _row(usage="Train"), f"{AT}Usage must be one of Training, PublicTest"),
    ("15", "a pixel with a null byte", _row(pixels=_pixels("7\0")), rf"{PIXEL}'7\x00'"),
    ("18", "UTF-16", _row().encode("utf-16"), f"{TITLE}it is no UTF-8 text"),
    ("20", "an empty file", "", f"{TITLE}expected a header with the columns"),
    ("22", "a row of two cells", "emotion,pixels,Usage\n1,7\n", f"{AT}expected 3 fields, found 2"),
    (
        "24",
        "two columns emotion",
        f"emotion,emotion,pixels,Usage\n1,2,{_pixels()},Training\n",
        "x.csv has 2 columns named emotion",
    ),
    (
        "25",
        "a column emotion and a column Emotion",
        f"emotion,pixels,Usage,Emotion\n1,{_pixels()},Training,2\n",
        "x.csv has 2 columns named emotion",
    ),
    ("26", "a quote that never ends", _row('"1'), f"{AT}expected 3 fields"),
    ("28", "escapes of a terminal", "\x1b[2J\x1b]0;pwned\x07,b\n", r"found '\x1b[2J\x1b]0;pwned"),
    ("29", "a field of 200 kB", _row("1" * 200_000), f"{TITLE}it cannot be read as a CSV file"),
]
CASES = [Case(f"csv.{name}", what, _prepare(text), says=[says]) for name, what, text, says in TABLE]
