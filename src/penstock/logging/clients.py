"""Log records as they are stored, as an async iterator."""

from penstock.client.subscriptions import AsyncSubscription, subscribe_logs
from penstock.client.target import Target
from penstock.schemas.logs import Log, LogFilter


class PenstockLogsSubscriber(AsyncSubscription[Log]):
    """`async with get_logs_subscriber() as logs: async for log in logs: ...`.

    The server must have `PENSTOCK_SERVER_LOGS_STREAM_OUT_ENABLED`.
    """

    def __init__(
        self,
        api_url: str | None = None,
        filter: LogFilter | None = None,
        reconnection_attempts: int = 10,
    ) -> None:
        target = Target(url=api_url) if api_url else None
        super().__init__(
            subscribe_logs(filter, target=target, reconnection_attempts=reconnection_attempts)
        )


def get_logs_subscriber(
    filter: LogFilter | None = None, reconnection_attempts: int = 10
) -> PenstockLogsSubscriber:
    """A subscriber to the API that the settings name."""
    return PenstockLogsSubscriber(filter=filter, reconnection_attempts=reconnection_attempts)
