"""Which loops a server runs."""

import asyncio

from penstock.base.clock import ManualClock
from penstock.server.bus import open_bus
from penstock.server.config import CleanupConfig, LoopConfig, ServerConfig
from penstock.server.queue import open_queue
from penstock.server.services.catalogue import services_of
from penstock.server.store import open_store
from penstock.settings import get_current_settings, temporary_settings

ALL = {
    "scheduler": 1.0,
    "timers": 2.0,
    "late-runs": 3.0,
    "cancellation-cleanup": 4.0,
    "claims": 8.0,
    "cancelling-timeouts": 4.0,
    "cleanup-reconciler": 8.0,
    "leases": 6.0,
    "event-retention": 5.0,
    "run-retention": 5.0,
    "orphan-cleanup": 5.0,
    "foreman": 7.0,
    "audit-seals": 8.0,
    "audit-retention": 5.0,
    "triggers": 0.5,
    "automation-actions": 1.0,
}


def intervals(loops: LoopConfig) -> dict[str, float]:
    store = open_store("sqlite:///:memory:")
    services = services_of(store, open_bus("memory", ""), ServerConfig(loops=loops), ManualClock())
    return {service.name: service.interval for service in services}


def test_each_loop_runs_at_its_interval() -> None:
    loops = LoopConfig(
        scheduler_interval=1.0,
        timers_interval=2.0,
        late_runs_interval=3.0,
        cancellation_interval=4.0,
        claims_interval=8.0,
        leases_interval=6.0,
        foreman_interval=7.0,
        reconciler_interval=8.0,
        retention_interval=5.0,
        run_retention=True,
        audit_interval=8.0,
        audit_retention_days=400,
    )
    assert intervals(loops) == ALL


def test_loops_can_be_left_out() -> None:
    loops = LoopConfig(
        scheduler=False,
        timers=False,
        late_runs=False,
        cancellation=False,
        claims=False,
        leases=False,
        foreman=False,
        event_retention=False,
        reconciler=False,
        audit_seal=False,
        triggers=False,
    )
    assert set(intervals(loops)) == {"orphan-cleanup"}


def test_a_server_without_services_still_reconciles_what_its_workers_owe() -> None:
    config = ServerConfig(services=False)
    services = services_of(None, open_bus("memory", ""), config, ManualClock())
    assert [service.name for service in services] == ["cleanup-reconciler"]


def test_settings_choose_the_loops() -> None:
    with temporary_settings(
        {
            "PENSTOCK_SERVER_SERVICES_SCHEDULER_MAX_RUNS": 50,
            "PENSTOCK_SERVER_SERVICES_SCHEDULER_MIN_SCHEDULED_TIME": "60",
            "PENSTOCK_SERVER_SERVICES_LATE_RUNS_ENABLED": False,
            "PENSTOCK_SERVER_SERVICES_CANCELLATION_CLEANUP_LOOP_SECONDS": 7,
            "PENSTOCK_SERVER_SERVICES_REPOSSESSOR_LOOP_SECONDS": 8,
            "PENSTOCK_SERVER_SERVICES_FOREMAN_LOOP_SECONDS": 9,
            "PENSTOCK_SERVER_SERVICES_FOREMAN_WORK_QUEUE_LAST_POLLED_TIMEOUT_SECONDS": 11,
            "PENSTOCK_SERVER_SERVICES_DB_VACUUM_ENABLED": "flow_runs",
            "PENSTOCK_SERVER_EVENTS_RETENTION_PERIOD": "60",
            "PENSTOCK_SERVER_AUDIT_HASH_CHAIN": False,
            "PENSTOCK_SERVER_AUDIT_RETENTION_DAYS": 400,
        }
    ):
        loops = LoopConfig.from_settings(get_current_settings())
    assert (loops.late_runs, loops.timers, loops.cancellation_interval) == (False, True, 7.0)
    assert (loops.scheduler_max_runs, loops.scheduler_min_time) == (50, 60.0)
    assert (loops.leases, loops.leases_interval) == (True, 8.0)
    assert (loops.foreman_interval, loops.foreman_queue) == (9.0, 11.0)
    assert (loops.event_retention, loops.run_retention, loops.event_period) == (False, True, 60.0)
    assert (loops.audit_seal, loops.audit_retention_days) == (False, 400)
    assert loops.event_overrides == {"prefect.flow-run.heartbeat": 604800.0}


def test_a_round_of_every_loop_on_an_empty_database_does_nothing() -> None:
    store = open_store("sqlite:///:memory:")
    store.start()
    try:
        bus = open_bus("memory", "")
        services = services_of(
            store,
            bus,
            ServerConfig(loops=LoopConfig(run_retention=True, audit_retention_days=400)),
            ManualClock(),
            open_queue(CleanupConfig(), store, bus),
        )

        async def rounds() -> list[int]:
            return [await service.run_once(ManualClock().now()) for service in services]

        assert asyncio.run(rounds()) == [0] * len(ALL)
    finally:
        store.stop()
