"""Which background loops a server runs."""

from collections.abc import Awaitable, Iterator
from datetime import datetime, timedelta
from typing import Any, Protocol

from penstock.base.clock import Clock
from penstock.server.bus import Bus
from penstock.server.config import LoopConfig, ServerConfig
from penstock.server.domain.schedules.planning import Horizon
from penstock.server.ops.context import Context, Limits, service
from penstock.server.security.outbound import Outbound
from penstock.server.services.actions import Actions
from penstock.server.services.audit import AuditRetention, AuditSeals
from penstock.server.services.cancellation import CancellationCleanup
from penstock.server.services.claims import ExpiredClaims
from penstock.server.services.cleanup import CancellingTimeouts, CleanupReconciler
from penstock.server.services.foreman import Foreman
from penstock.server.services.late_runs import LateRuns
from penstock.server.services.leases import Leases
from penstock.server.services.retention import EventRetention, OrphanCleanup, RunRetention
from penstock.server.services.scheduler import Scheduler
from penstock.server.services.supervisor import Service
from penstock.server.services.timers import Timers
from penstock.server.services.triggers import Triggers


class Loop(Protocol):
    """A background loop: one round does all the work there is and says how much it was."""

    name: str
    interval_seconds: float

    def run_once(self, now: datetime) -> Awaitable[int]: ...


def services_of(
    store: Any, bus: Bus, config: ServerConfig, clock: Clock, queue: Any = None
) -> list[Service]:
    """The loops of a server with these parts.

    Without `config.services` only those remain that every process needs which serves workers.
    """
    loops = (
        list(_loops(store, config.loops, config.limits, config.encryption_keys))
        if config.services
        else []
    )
    if config.loops.reconciler:
        loops.append(
            CleanupReconciler(
                queue,
                interval_seconds=config.loops.reconciler_interval,
                batch=config.loops.reconciler_batch,
            )
        )
    return [
        Service(
            name=loop.name,
            run_once=loop.run_once,
            interval=loop.interval_seconds,
            topic=getattr(loop, "topic", None),
            close=getattr(loop, "close", None),
            shared=getattr(loop, "shared", True),
        )
        for loop in (*loops, *_automations(store, config))
    ]


def _automations(store: Any, config: ServerConfig) -> Iterator[Loop]:
    if not (config.services and config.loops.triggers):
        return
    yield Triggers(store)
    yield Actions(
        store,
        outbound=Outbound(config.outbound),
        context=Context(
            limits=config.limits,
            actor=service(Actions.name),
            redact_keys=config.redact_keys,
            encryption_keys=config.encryption_keys,
        ),
        ui_url=config.ui_url,
    )


def _loops(
    store: Any, config: LoopConfig, limits: Limits, keys: tuple[bytes, ...]
) -> Iterator[Loop]:
    if config.timers:
        yield Timers(store, interval_seconds=config.timers_interval)
    if config.scheduler:
        yield Scheduler(
            store,
            interval_seconds=config.scheduler_interval,
            horizon=Horizon(
                min_runs=config.scheduler_min_runs,
                max_runs=config.scheduler_max_runs,
                min_seconds=config.scheduler_min_time,
                max_seconds=config.scheduler_max_time,
                first_seconds=3 * config.scheduler_interval,
            ),
            batch=config.scheduler_batch,
        )
    if config.late_runs:
        yield LateRuns(
            store,
            interval_seconds=config.late_runs_interval,
            after_seconds=config.late_after,
        )
    if config.cancellation:
        yield CancellationCleanup(store, interval_seconds=config.cancellation_interval)
        yield CancellingTimeouts(
            store,
            interval_seconds=config.cancellation_interval,
            timeout_seconds=config.cancelling_timeout,
            limits=limits,
        )
    if config.foreman:
        yield Foreman(
            store,
            interval_seconds=config.foreman_interval,
            queue_seconds=config.foreman_queue,
            deployment_seconds=config.foreman_deployment,
        )
    if config.claims:
        yield ExpiredClaims(store, interval_seconds=config.claims_interval, limits=limits)
    if config.leases:
        yield Leases(store, interval_seconds=config.leases_interval)
    if config.event_retention:
        yield EventRetention(
            store,
            interval_seconds=config.retention_interval,
            period=timedelta(seconds=config.event_period),
            overrides={
                name: timedelta(seconds=period) for name, period in config.event_overrides.items()
            },
            batch=config.retention_batch,
        )
    if config.run_retention:
        yield RunRetention(
            store,
            interval_seconds=config.retention_interval,
            period=timedelta(seconds=config.run_period),
            batch=config.retention_batch,
        )
    yield OrphanCleanup(
        store, interval_seconds=config.retention_interval, batch=config.retention_batch
    )
    if config.audit_seal:
        yield AuditSeals(store, interval_seconds=config.audit_interval, encryption_keys=keys)
    if config.audit_retention_days is not None:
        yield AuditRetention(
            store,
            days=config.audit_retention_days,
            sealed=config.audit_seal,
            interval_seconds=config.retention_interval,
            batch=config.retention_batch,
            encryption_keys=keys,
        )
