"""Nothing here reaches an API: logs of runs stay in the process."""

from collections.abc import Iterator

import pytest

from penstock.settings import temporary_settings


@pytest.fixture(autouse=True)
def no_shipping() -> Iterator[None]:
    with temporary_settings({"PENSTOCK_LOGGING_TO_API_ENABLED": "false"}):
        yield
