import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from penstock.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """No setting of the developer's shell reaches a test; each has a home of its own."""
    for name in list(os.environ):
        if name.upper().startswith(("PENSTOCK_", "PREFECT_")):
            monkeypatch.delenv(name)
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv("PENSTOCK_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("penstock.settings.context._root", None)
    yield


@pytest.fixture
def load(tmp_path: Path) -> Callable[..., Settings]:
    """Loads settings from the given variables and the files in `tmp_path`."""

    def load(environ: dict[str, str] | None = None, **options: object) -> Settings:
        variables = {"PENSTOCK_HOME": str(tmp_path / "home"), **(environ or {})}
        return load_settings(environ=variables, directory=tmp_path, **options)  # type: ignore[arg-type]

    return load
