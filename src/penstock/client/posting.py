"""Batches by HTTP request: one POST with a JSON array, over any transport."""

import logging
from collections.abc import Sequence

from msgspec.structs import replace

from penstock.client.endpoint import endpoint
from penstock.client.exchange import RetryRule, build, operation, read
from penstock.client.outbox import NotNow, Refused, Tell
from penstock.client.target import Target
from penstock.schemas.errors import APIUnreachable, PenstockHTTPStatusError

WRONG_CONTENT = frozenset({400, 413, 422})
NEVER = frozenset({404, 405, 410})

logger = logging.getLogger("penstock.client")


class PostDelivery:
    """Delivers batches by the named operation, whose body is an array.

    A server refuses a whole array for one wrong element; the array is then halved until that
    element is found, which alone is lost and told.
    """

    def __init__(self, target: Target, name: str, *, tell: Tell = logger.warning) -> None:
        # The outbox has its own patience; a request that waits would hold up the flush.
        self._target = replace(target, rule=RetryRule(limit=0), version_check=False)
        self._operation = operation(name)
        self._tell = tell

    def __call__(self, batch: Sequence[bytes]) -> None:
        request = build(self._operation, (), b"[" + b",".join(batch) + b"]", {})
        try:
            response = endpoint(self._target).perform(request)
        except (APIUnreachable, OSError) as error:
            raise NotNow(str(error)) from error
        if response.ok:
            return
        if response.status in WRONG_CONTENT and len(batch) > 1:
            middle = len(batch) // 2
            self(batch[:middle])
            self(batch[middle:])
            return
        try:
            read(request, response)
        except PenstockHTTPStatusError as error:
            if response.status in WRONG_CONTENT:
                self._tell(f"one item was refused and is lost: {error}")
            elif response.status in NEVER:
                raise Refused(str(error)) from error
            else:
                raise NotNow(str(error)) from error
