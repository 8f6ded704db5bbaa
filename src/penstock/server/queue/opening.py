"""Choosing the queue that the settings name."""

from penstock.schemas.errors import ConfigurationError
from penstock.server.bus import Bus
from penstock.server.config import CleanupConfig
from penstock.server.queue.database import DatabaseQueue
from penstock.server.queue.interface import CleanupQueue
from penstock.server.store import Store

_ALIASES = {
    "prefect.server.worker_communication.cleanup_queue.memory": "database",
    "prefect_redis.cleanup_queue": "redis",
}


def open_queue(
    config: CleanupConfig, store: Store, bus: Bus, *, ephemeral: bool = False
) -> CleanupQueue:
    """The queue that `config.storage` names: `database`, `redis`, or `memory`.

    `memory` is the database queue of a database that ends with the process; a server that is to
    be there again tomorrow refuses it.
    """
    kind = _ALIASES.get(config.storage, config.storage)
    if kind == "memory" and not ephemeral:
        raise ConfigurationError(
            "the cleanup queue cannot be kept in memory by this server: owed teardowns would be"
            " lost when it ends; set PENSTOCK_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE=database"
        )
    if kind in ("database", "memory"):
        return DatabaseQueue(store, bus, config.policy)
    if kind == "redis":
        # Imported only where it is asked for: the driver is an optional package.
        from penstock.server.queue.redis import RedisQueue

        return RedisQueue(
            store,
            bus,
            config.policy,
            url=config.redis_url,
            prefix=config.redis_prefix,
            socket_timeout=config.redis_timeout,
            socket_connect_timeout=config.redis_connect_timeout,
            health_check_interval=config.redis_health_check,
            protocol=config.redis_protocol,
        )
    raise ConfigurationError(
        f"there is no cleanup queue {config.storage!r}; set"
        " PENSTOCK_SERVER_WORKER_CHANNEL_CLEANUP_QUEUE_STORAGE to database or redis"
    )
