"""Versions of packages, also of a checkout that is not installed."""

from importlib import metadata

from ferjax.workdir import versions


def test_what_is_not_installed_says_so():
    found = versions.installed(["numpy", "no-such-package"])
    assert found == {"numpy": metadata.version("numpy"), "no-such-package": "not installed"}
