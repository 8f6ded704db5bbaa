"""What a server is started with; every value is resolved before the server sees it."""

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from penstock.server.domain.cleanup_retries import CleanupPolicy
from penstock.server.domain.redaction import REDACT_KEYS
from penstock.server.ops.context import Limits
from penstock.server.security.outbound import OutboundPolicy
from penstock.server.security.sealing import keys_of
from penstock.settings.table import SETTINGS


class EventLimits(Struct, frozen=True, kw_only=True):
    """Bounds on events that clients send, and on the live stream."""

    maximum_bytes: int = 1_500_000
    backfill_seconds: float = 900.0
    page: int = 250
    maximum_lag: int = 100_000
    """A subscriber further behind than this many events is closed."""


class LoopConfig(Struct, frozen=True, kw_only=True):
    """Which background loops run, how often, and what they go by. Durations are seconds."""

    scheduler: bool = True
    scheduler_interval: float = 60.0
    scheduler_min_runs: int = 3
    scheduler_max_runs: int = 100
    scheduler_min_time: float = 3_600.0
    scheduler_max_time: float = 100 * 86_400.0
    scheduler_batch: int = 500
    late_runs: bool = True
    late_runs_interval: float = 5.0
    late_after: float = 15.0
    timers: bool = True
    timers_interval: float = 5.0
    cancellation: bool = True
    cancellation_interval: float = 20.0
    cancelling_timeout: float = 300.0
    reconciler: bool = True
    reconciler_interval: float = 5.0
    reconciler_batch: int = 100
    foreman: bool = True
    foreman_interval: float = 15.0
    foreman_queue: float = 60.0
    foreman_deployment: float = 60.0
    claims: bool = True
    claims_interval: float = 5.0
    leases: bool = True
    leases_interval: float = 15.0
    event_retention: bool = True
    run_retention: bool = False
    retention_interval: float = 3600.0
    retention_batch: int = 200
    event_period: float = 7 * 86_400.0
    event_overrides: dict[str, float] = {}
    """Names of events that are kept for less than `event_period`."""
    run_period: float = 90 * 86_400.0
    triggers: bool = True
    audit_seal: bool = True
    audit_interval: float = 60.0
    audit_retention_days: int | None = None
    """How long audit rows are kept, rounded up to whole months; None keeps them all."""

    @classmethod
    def from_settings(cls, settings: Any) -> "LoopConfig":
        """The loops that the settings describe."""
        services = settings.server.services
        vacuum = services.db_vacuum
        chosen = vacuum.enabled
        kinds = chosen if isinstance(chosen, (set, frozenset)) else set()
        return cls(
            scheduler=services.scheduler.enabled,
            scheduler_interval=services.scheduler.loop_seconds,
            scheduler_min_runs=services.scheduler.min_runs,
            scheduler_max_runs=services.scheduler.max_runs,
            scheduler_min_time=_seconds(services.scheduler.min_scheduled_time),
            scheduler_max_time=_seconds(services.scheduler.max_scheduled_time),
            scheduler_batch=services.scheduler.insert_batch_size,
            late_runs=services.late_runs.enabled,
            late_runs_interval=services.late_runs.loop_seconds,
            late_after=_seconds(services.late_runs.after_seconds),
            timers=services.pause_expirations.enabled,
            timers_interval=services.pause_expirations.loop_seconds,
            cancellation=services.cancellation_cleanup.enabled,
            cancellation_interval=services.cancellation_cleanup.loop_seconds,
            cancelling_timeout=services.cancellation_cleanup.cancelling_timeout_seconds,
            reconciler=services.cleanup_reconciler.enabled,
            reconciler_interval=services.cleanup_reconciler.loop_seconds,
            reconciler_batch=services.cleanup_reconciler.batch_size,
            foreman=services.foreman.enabled,
            foreman_interval=services.foreman.loop_seconds,
            foreman_queue=_seconds(services.foreman.work_queue_last_polled_timeout_seconds),
            foreman_deployment=_seconds(services.foreman.deployment_last_polled_timeout_seconds),
            claims=services.repossessor.enabled,
            claims_interval=min(5.0, services.repossessor.loop_seconds),
            leases=services.repossessor.enabled,
            leases_interval=services.repossessor.loop_seconds,
            event_retention=chosen is True or "events" in kinds,
            run_retention=chosen is True or "flow_runs" in kinds,
            retention_interval=vacuum.loop_seconds,
            retention_batch=vacuum.batch_size,
            event_period=_seconds(settings.server.events.retention_period),
            event_overrides={
                name: _seconds(period) for name, period in vacuum.event_retention_overrides.items()
            },
            run_period=_seconds(vacuum.retention_period),
            triggers=services.triggers.enabled,
            audit_seal=settings.server.audit.hash_chain,
            audit_retention_days=settings.server.audit.retention_days,
        )


class CleanupConfig(Struct, frozen=True, kw_only=True):
    """Where owed teardowns are queued, and by which budgets."""

    storage: str = "database"
    policy: CleanupPolicy = CleanupPolicy()
    redis_url: str = "redis://localhost:6379/0"
    redis_prefix: str = "penstock:cleanup"
    redis_timeout: float | None = 5.0
    redis_connect_timeout: float | None = 5.0
    redis_health_check: int = 20
    redis_protocol: int = 2

    @classmethod
    def from_settings(cls, settings: Any) -> "CleanupConfig":
        """The queue that the settings describe."""
        channel, redis = settings.server.worker_channel, settings.redis.worker_cleanup_queue
        return cls(
            storage=channel.cleanup_queue_storage,
            redis_url=_redis_url(redis),
            redis_prefix=redis.key_prefix,
            redis_timeout=redis.socket_timeout,
            redis_connect_timeout=redis.socket_connect_timeout,
            redis_health_check=redis.health_check_interval,
            redis_protocol=redis.protocol,
            policy=CleanupPolicy(
                lease_seconds=channel.cleanup_lease_seconds,
                max_attempts=channel.cleanup_max_delivery_attempts,
                max_deliveries=channel.cleanup_max_deliveries,
                retry_base_seconds=channel.cleanup_retry_base_seconds,
                retry_max_seconds=channel.cleanup_retry_max_seconds,
                retry_jitter=channel.cleanup_retry_jitter,
                placement_wait_seconds=channel.cleanup_placement_wait_seconds,
                unroutable_alert_seconds=channel.cleanup_unroutable_alert_seconds,
                max_age_seconds=channel.cleanup_max_age_seconds,
                completed_retention_seconds=(
                    channel.cleanup_completed_idempotency_retention_seconds
                ),
                dead_retention_seconds=channel.cleanup_dead_retention_seconds,
                max_concurrency_per_worker=channel.cleanup_max_concurrency_per_worker,
            ),
        )


class ServerConfig(Struct, frozen=True, kw_only=True):
    """One server."""

    database_url: str = "sqlite:///:memory:"
    home: Path | None = None
    base_path: str = "/api"
    auth_string: str | None = None
    encryption_keys: tuple[bytes, ...] = ()
    """Keys of block documents; without any, one is made and kept in the database."""
    csrf_enabled: bool = False
    csrf_expiration: float = 3600.0
    limits: Limits = Limits()
    event_limits: EventLimits = EventLimits()
    services: bool = True
    """Whether the background loops run in this process."""
    loops: LoopConfig = LoopConfig()
    cleanup: CleanupConfig = CleanupConfig()
    bus: str = "memory"
    """`memory`, `postgresql` (the database carries wake-ups) or a `redis://` URL."""
    maximum_body_bytes: int = 16 * 1024 * 1024
    outbound: OutboundPolicy = OutboundPolicy()
    """What webhooks and notifications of automations may reach."""
    ui_url: str = ""
    """Address of the user interface, for links in messages."""
    redact_keys: tuple[str, ...] = REDACT_KEYS
    """Patterns of member names whose values audit rows and events hide."""
    cors_allowed_origins: tuple[str, ...] = ("*",)
    cors_allowed_methods: str = "*"
    cors_allowed_headers: str = "*"
    allowed_hosts: tuple[str, ...] = ()
    """Names a request's `Host` may have; empty means any."""
    events_stream_enabled: bool = True
    logs_stream_enabled: bool = False
    ui_enabled: bool = True
    ui_api_url: str | None = None
    log_level: str = "WARNING"
    keepalive_timeout: int = 5
    websocket_ping_interval: float = 20.0
    websocket_ping_timeout: float = 20.0
    displayed_settings: dict[str, Any] = {}
    """The settings document that `/admin/settings` shows; secrets are masked before it is sent."""

    @classmethod
    def from_settings(cls, settings: Any) -> "ServerConfig":
        """The configuration that the settings describe."""
        server = settings.server
        api = server.api
        events = server.events
        database_url = _database_url(settings)
        return cls(
            database_url=database_url,
            home=Path(settings.home).expanduser(),
            base_path=_base_path(api.base_path),
            auth_string=_revealed(api.auth_string),
            encryption_keys=_encryption_keys(os.environ),
            csrf_enabled=api.csrf_protection_enabled,
            csrf_expiration=_seconds(api.csrf_token_expiration),
            limits=Limits(
                page=api.default_limit,
                parameter_bytes=api.max_parameter_size,
                cache_key_length=server.tasks.max_cache_key_length,
                slot_wait=server.concurrency.maximum_concurrency_slot_wait_seconds,
                tag_slot_wait=server.tasks.tag_concurrency_slot_wait_seconds,
                deployment_slot_wait=server.deployments.concurrency_slot_wait_seconds,
                deployment_lease=server.concurrency.initial_deployment_lease_duration,
                worker_interval=server.services.foreman.fallback_heartbeat_interval_seconds,
                worker_heartbeats=server.services.foreman.inactivity_heartbeat_multiple,
                polled_within=server.services.foreman.work_queue_last_polled_timeout_seconds,
                cancelling_seconds=(
                    server.services.cancellation_cleanup.cancelling_timeout_seconds
                ),
                teardown_on_crash=server.services.cancellation_cleanup.teardown_on_crash,
                graph_nodes=server.flow_run_graph.max_nodes,
                graph_artifacts=server.flow_run_graph.max_artifacts,
            ),
            event_limits=EventLimits(
                maximum_bytes=events.maximum_size_bytes,
                backfill_seconds=_seconds(events.maximum_websocket_backfill),
                page=events.websocket_backfill_page_size,
            ),
            loops=LoopConfig.from_settings(settings),
            cleanup=CleanupConfig.from_settings(settings),
            displayed_settings=_displayed(settings),
            bus=_bus(events.messaging_broker, database_url, settings.redis.messaging),
            maximum_body_bytes=api.max_request_size,
            allowed_hosts=tuple(api.allowed_hosts),
            outbound=OutboundPolicy(
                allow_private=server.outbound.allow_private_addresses,
                signing_key=_revealed(server.outbound.signing_key) or "",
            ),
            ui_url=settings.ui_url or "",
            redact_keys=tuple(server.audit.redact_keys),
            cors_allowed_origins=tuple(
                origin.strip() for origin in api.cors_allowed_origins.split(",") if origin.strip()
            ),
            cors_allowed_methods=api.cors_allowed_methods,
            cors_allowed_headers=api.cors_allowed_headers,
            events_stream_enabled=events.stream_out_enabled,
            logs_stream_enabled=server.logs.stream_out_enabled,
            ui_enabled=server.ui.enabled,
            log_level=server.logging_level,
            keepalive_timeout=api.keepalive_timeout,
            websocket_ping_interval=api.websocket_ping_interval,
            websocket_ping_timeout=api.websocket_ping_timeout,
        )


def _encryption_keys(environ: Mapping[str, str]) -> tuple[bytes, ...]:
    """The keys that the environment gives; never shown with the settings."""
    for prefix in ("PENSTOCK", "PREFECT"):
        text = environ.get(f"{prefix}_API_ENCRYPTION_KEY")
        if text:
            return keys_of(text)
    return ()


def _revealed(secret: Any) -> str | None:
    """The text of a secret setting, however the settings wrap it."""
    if secret is None:
        return None
    reveal = getattr(secret, "get_secret_value", None)
    return reveal() if reveal is not None else str(secret)


def _seconds(value: Any) -> float:
    total = getattr(value, "total_seconds", None)
    return float(total() if total is not None else value)


def _base_path(value: str | None) -> str:
    """With a leading and without a trailing slash; `/` alone mounts the API at the root."""
    if value is None:
        return "/api"
    stripped = value.strip("/")
    return f"/{stripped}" if stripped else ""


def _database_url(settings: Any) -> str:
    url = _revealed(settings.server.database.connection_url)
    return url or f"sqlite:///{Path(settings.home).expanduser() / 'penstock.db'}"


def _displayed(settings: Any) -> dict[str, Any]:
    """All settings as one nested document of JSON values; secrets show as their mask."""
    document: dict[str, Any] = {}
    for declared in SETTINGS.values():
        *groups, name = declared.accessor.split(".")
        place, value = document, settings
        for group in groups:
            place = place.setdefault(group, {})
            value = getattr(value, group)
        place[name] = _plain(getattr(value, name))
    return document


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(item) for item in value]
    return str(value)


def _bus(broker: str, database_url: str, redis: Any) -> str:
    """The bus a broker setting asks for; the peer's module names select the same kinds.

    With PostgreSQL and nothing else asked for, the database carries the wake-ups.
    """
    if broker.startswith(("redis://", "rediss://", "unix://")):
        return broker
    if "redis" in broker:
        return _redis_url(redis)
    return "postgresql" if database_url.startswith("postgresql") else "memory"


def _redis_url(redis: Any) -> str:
    url = _revealed(redis.url)
    if url:
        return url
    password = _revealed(redis.password)
    login = f"{quote(redis.username, safe='')}:{quote(password, safe='')}@" if password else ""
    scheme = "rediss" if redis.ssl else "redis"
    return f"{scheme}://{login}{redis.host}:{redis.port}/{redis.db}"
