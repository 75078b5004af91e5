"""Images given to `predict`."""

from tests.helpers import strangers as made
from tests.measure.bad_inputs.case import Case, Stage


def _predict(make):
    """A maker of a command line that predicts one image, x.png, made by `make`."""

    def command(stage: Stage):
        make(stage.here / "x.png")
        return "predict", f"--workdir={stage.shared}/tiny", "x.png"

    return command


CASES = [
    Case("img.1", "a good image", _predict(made.image), code=0, says=["x.png"]),
    Case("img.9", "a socket", _predict(made.a_socket), says=["it is a socket"]),
]
