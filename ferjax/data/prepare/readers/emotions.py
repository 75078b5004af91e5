"""The emotion that the name of a class folder means."""

from ferjax.data.labels import EMOTIONS


def emotion_of(name: str) -> str | None:
    """The emotion of a name of any case, such as anger for Angry; None if it is not known."""
    return EMOTIONS.get(name.casefold())
