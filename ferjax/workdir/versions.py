"""Versions of the packages that a result was made with."""

from collections.abc import Sequence
from importlib import metadata


def installed(packages: Sequence[str]) -> dict[str, str]:
    """Package -> version; "not installed" for a package that is used without installing it."""
    return {package: _version(package) for package in packages}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed"
