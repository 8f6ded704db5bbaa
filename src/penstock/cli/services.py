"""`penstock server services`: the background loops of a server."""

from typing import NamedTuple

import click
import msgspec

from penstock.base.clock import SYSTEM_CLOCK
from penstock.cli.output import ago, output_option, print_json, print_table
from penstock.cli.runs import api
from penstock.schemas.admin import ServiceState
from penstock.server.bus import open_bus
from penstock.server.config import LoopConfig, ServerConfig
from penstock.server.services.catalogue import services_of
from penstock.server.services.supervisor import Service
from penstock.settings import get_current_settings


class Loop(NamedTuple):
    """What a loop does, and the variable that switches it."""

    doc: str
    setting: str = ""


_VACUUM = "PENSTOCK_SERVER_SERVICES_DB_VACUUM_ENABLED"
LOOPS = {
    "audit-retention": Loop(
        "Removes audit rows older than PENSTOCK_SERVER_AUDIT_RETENTION_DAYS, if that is set."
    ),
    "audit-seals": Loop(
        "Seals the audit trail, so that what is altered afterwards is found.",
        "PENSTOCK_SERVER_AUDIT_HASH_CHAIN",
    ),
    "automation-actions": Loop(
        "Carries out what automations do when they fire.",
        "PENSTOCK_SERVER_SERVICES_TRIGGERS_ENABLED",
    ),
    "cancellation-cleanup": Loop(
        "Ends what cancelled flow runs left behind.",
        "PENSTOCK_SERVER_SERVICES_CANCELLATION_CLEANUP_ENABLED",
    ),
    "claims": Loop(
        "Takes back flow runs whose worker is gone.",
        "PENSTOCK_SERVER_SERVICES_REPOSSESSOR_ENABLED",
    ),
    "cancelling-timeouts": Loop(
        "Ends cancellations that no worker confirmed and asks for the teardown of what is left.",
        "PENSTOCK_SERVER_SERVICES_CANCELLATION_CLEANUP_ENABLED",
    ),
    "cleanup-reconciler": Loop(
        "Keeps owed teardowns moving: lapsed leases, retries, dead letters.",
        "PENSTOCK_SERVER_SERVICES_CLEANUP_RECONCILER_ENABLED",
    ),
    "event-retention": Loop("Removes old events.", _VACUUM),
    "foreman": Loop(
        "Marks workers, pools, queues and deployments nobody hears of any more.",
        "PENSTOCK_SERVER_SERVICES_FOREMAN_ENABLED",
    ),
    "leases": Loop(
        "Takes back slots of concurrency limits whose holders are gone.",
        "PENSTOCK_SERVER_SERVICES_REPOSSESSOR_ENABLED",
    ),
    "late-runs": Loop(
        "Marks flow runs late that did not start in time.",
        "PENSTOCK_SERVER_SERVICES_LATE_RUNS_ENABLED",
    ),
    "orphan-cleanup": Loop("Removes log records and cache entries nobody can reach."),
    "run-retention": Loop("Removes flow runs that ended long ago.", _VACUUM),
    "scheduler": Loop(
        "Makes the runs of deployments' schedules ahead of their time.",
        "PENSTOCK_SERVER_SERVICES_SCHEDULER_ENABLED",
    ),
    "timers": Loop(
        "Does what was asked for at a time, such as ending a pause.",
        "PENSTOCK_SERVER_SERVICES_PAUSE_EXPIRATIONS_ENABLED",
    ),
    "triggers": Loop(
        "Watches events and fires automations.", "PENSTOCK_SERVER_SERVICES_TRIGGERS_ENABLED"
    ),
}


@click.group()
def services() -> None:
    """Look at the server's background loops."""


@services.command("ls")
@output_option
def ls(output: str | None) -> None:
    """List the background loops and whether the settings switch them on."""
    config = ServerConfig.from_settings(get_current_settings())
    running = {service.name for service in _services(config)}
    everything = msgspec.structs.replace(
        config, loops=msgspec.structs.replace(config.loops, **_all_on())
    )
    rows = [
        (service, service.name in running, LOOPS.get(service.name, Loop("")))
        for service in _services(everything)
    ]
    if output:
        print_json(
            [
                {
                    "name": service.name,
                    "enabled": enabled,
                    "interval_seconds": service.interval,
                    "setting": loop.setting or None,
                    "description": loop.doc,
                }
                for service, enabled, loop in rows
            ]
        )
        return
    print_table(
        ("Loop", "On", "Every", "Does", "Switch"),
        (
            (service.name, "yes" if on else "no", f"{service.interval:g} s", loop.doc, loop.setting)
            for service, on, loop in rows
        ),
        "There are no loops.",
    )


@services.command("status")
@output_option
def status(output: str | None) -> None:
    """Show how the loops of the running server have been doing, and which process runs each."""
    with api() as client:
        found: list[ServiceState] = client.call("read_services")
    if output:
        print_json(found)
        return
    print_table(
        ("Loop", "Every", "Last success", "Lag", "Rounds", "Failed", "Holder", "Error"),
        (
            (
                one.name,
                f"{one.interval_seconds:g} s",
                ago(one.last_success),
                f"{one.lag_seconds:.1f} s" if one.here else "-",
                str(one.rounds),
                str(one.failures),
                one.holder or "every process",
                one.last_error or "-",
            )
            for one in found
        ),
        "This server runs no loops.",
    )


def _services(config: ServerConfig) -> list[Service]:
    # The loops are only listed here; none is started, so none touches the missing store.
    return services_of(None, open_bus("memory", ""), config, SYSTEM_CLOCK)


def _all_on() -> dict[str, bool | int]:
    flags = {field.name: True for field in msgspec.structs.fields(LoopConfig) if field.type is bool}
    return {**flags, "audit_retention_days": 1}
