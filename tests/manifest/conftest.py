"""What every test of this room needs: the catalogue, asked once, and a cache of its own."""

from __future__ import annotations

import pytest

from retraining.manifest.catalog import estimators


@pytest.fixture(scope="session")
def catalog(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        return dict(estimators())


@pytest.fixture
def problems_of(catalog):
    """The problems of a manifest's text; an empty list for a good one."""
    from pathlib import Path

    from retraining.errors import ManifestError
    from retraining.manifest import parse_manifest

    def problems(text):
        try:
            parse_manifest(text.encode() if isinstance(text, str) else text, Path("m.yaml"), catalog)
        except ManifestError as error:
            return list(error.problems)
        return []

    return problems
