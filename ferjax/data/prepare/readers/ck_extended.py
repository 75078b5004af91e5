"""ckextended.csv, a table of images that is taken for FER2013 or for CK+, and is neither."""

from collections.abc import Sequence

# Its emotions are FER2013's and contempt.
CONTEMPT = 7
ABOUT = (
    "ckextended.csv, cropped faces of CK+ with the labels of FER2013 and 7 for contempt, is not "
    "read: it does not say who is shown, which folds of persons need, and its images are not those "
    "of the release. Take CK+ itself, or save the images of the table in one folder for each class "
    "and prepare them with --dataset=image_folder."
)


def looks_like(columns: Sequence[str]) -> bool:
    """Whether columns of these names, in small letters, could be those of the table."""
    return {"emotion", "pixels"} <= set(columns)
