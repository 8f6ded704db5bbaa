"""Settings of the server's background loops."""

from datetime import timedelta
from typing import Any

from penstock.settings.declaration import Setting
from penstock.settings.kinds import Boolean, Duration, DurationMap, Integer, Kind, Number, Vacuum

_FLAG = Boolean()
_INTEGER = Integer()
_POSITIVE = Integer(gt=0)
_SECONDS = Number(gt=0)


def _service(accessor: str, kind: Kind, default: Any, doc: str, *, old: bool = True) -> Setting:
    """A setting below `server.services`; most also have an older name below `API_SERVICES`."""
    alias = "API_SERVICES_" + accessor.replace(".", "_").upper()
    return Setting(f"server.services.{accessor}", kind, default, doc, alias=alias if old else None)


SETTINGS = (
    _service("cancellation_cleanup.enabled", _FLAG, True, "Finish what cancelled runs left."),
    _service("cancellation_cleanup.loop_seconds", _SECONDS, 20.0, "Seconds between two rounds."),
    _service(
        "cancellation_cleanup.cancelling_timeout_seconds",
        _SECONDS,
        300.0,
        "Seconds a worker has to confirm a cancellation before the run counts as cancelled.",
        old=False,
    ),
    _service(
        "cancellation_cleanup.teardown_on_crash",
        _FLAG,
        True,
        "Tear down what runs left that the server found crashed.",
        old=False,
    ),
    _service(
        "db_vacuum.enabled",
        Vacuum(),
        frozenset({"events"}),
        "What is removed when it is old: events, flow_runs, true for both, false for none.",
        old=False,
    ),
    _service("db_vacuum.loop_seconds", _SECONDS, 3600.0, "Seconds between rounds.", old=False),
    _service(
        "db_vacuum.retention_period",
        Duration(gt=3600),
        timedelta(days=90),
        "How long finished flow runs are kept.",
        old=False,
    ),
    _service("db_vacuum.batch_size", _POSITIVE, 200, "Rows removed at once.", old=False),
    _service(
        "db_vacuum.event_retention_overrides",
        DurationMap(),
        {"prefect.flow-run.heartbeat": timedelta(days=7)},
        "Other retention for single event names.",
        old=False,
    ),
    _service("event_persister.enabled", _FLAG, True, "Store the events that clients send."),
    _service("event_persister.batch_size", _POSITIVE, 20, "Events stored at once."),
    _service("event_persister.read_batch_size", _POSITIVE, 1, "Events taken at once."),
    _service("event_persister.flush_interval", _SECONDS, 5.0, "Seconds a batch may wait."),
    _service(
        "event_persister.queue_max_size", _POSITIVE, 50_000, "Most events waiting.", old=False
    ),
    _service("event_persister.max_flush_retries", _POSITIVE, 5, "Attempts to store.", old=False),
    _service("event_logger.enabled", _FLAG, False, "Log every event."),
    _service("foreman.enabled", _FLAG, True, "Notice workers, pools and queues that went silent."),
    _service("foreman.loop_seconds", _SECONDS, 15.0, "Seconds between two rounds."),
    _service(
        "foreman.inactivity_heartbeat_multiple",
        _INTEGER,
        3,
        "Missed heartbeats after which a worker counts as offline.",
    ),
    _service(
        "foreman.fallback_heartbeat_interval_seconds",
        _INTEGER,
        30,
        "Heartbeat interval of workers that do not tell theirs.",
    ),
    _service(
        "foreman.deployment_last_polled_timeout_seconds",
        _INTEGER,
        60,
        "Seconds after its last poll a deployment counts as not ready.",
    ),
    _service(
        "foreman.work_queue_last_polled_timeout_seconds",
        _INTEGER,
        60,
        "Seconds after its last poll a work queue counts as not ready.",
    ),
    _service("late_runs.enabled", _FLAG, True, "Mark runs that did not start in time as late."),
    _service("late_runs.loop_seconds", _SECONDS, 5.0, "Seconds between two rounds."),
    _service(
        "late_runs.after_seconds",
        Duration(),
        timedelta(seconds=15),
        "How long after its planned start a run is late.",
    ),
    _service("scheduler.enabled", _FLAG, True, "Plan runs of deployments with schedules."),
    _service("scheduler.loop_seconds", _SECONDS, 60.0, "Seconds between two rounds."),
    _service("scheduler.deployment_batch_size", _INTEGER, 100, "Deployments looked at at once."),
    _service("scheduler.max_runs", _INTEGER, 100, "Most runs planned ahead per deployment."),
    _service("scheduler.min_runs", _INTEGER, 3, "Fewest runs planned ahead per deployment."),
    _service(
        "scheduler.max_scheduled_time",
        Duration(),
        timedelta(days=100),
        "How far ahead runs are planned at most.",
    ),
    _service(
        "scheduler.min_scheduled_time",
        Duration(),
        timedelta(hours=1),
        "How far ahead runs are planned at least.",
    ),
    _service("scheduler.insert_batch_size", _INTEGER, 500, "Runs planned in one transaction."),
    _service(
        "scheduler.recent_deployments_loop_seconds",
        _SECONDS,
        5.0,
        "Seconds between two looks at deployments that changed.",
        old=False,
    ),
    _service("pause_expirations.enabled", _FLAG, True, "Fail paused runs whose time is over."),
    _service("pause_expirations.loop_seconds", _SECONDS, 5.0, "Seconds between two rounds."),
    _service("repossessor.enabled", _FLAG, True, "Take back slots of dead holders.", old=False),
    _service("repossessor.loop_seconds", _SECONDS, 15.0, "Seconds between rounds.", old=False),
    _service(
        "cleanup_reconciler.enabled", _FLAG, True, "Queue lost cleanup messages again.", old=False
    ),
    _service(
        "cleanup_reconciler.loop_seconds", _SECONDS, 5.0, "Seconds between rounds.", old=False
    ),
    _service(
        "cleanup_reconciler.batch_size", _POSITIVE, 100, "Messages looked at at once.", old=False
    ),
    _service("task_run_recorder.enabled", _FLAG, True, "Build task runs from their events."),
    _service("task_run_recorder.read_batch_size", _POSITIVE, 1, "Events taken at once.", old=False),
    _service("task_run_recorder.batch_size", _POSITIVE, 1, "Events recorded at once.", old=False),
    _service(
        "task_run_recorder.flush_interval", _SECONDS, 5.0, "Seconds a batch may wait.", old=False
    ),
    _service("triggers.enabled", _FLAG, True, "Evaluate automations."),
    _service("triggers.read_batch_size", _POSITIVE, 1, "Events evaluated at once.", old=False),
    _service(
        "triggers.pg_notify_reconnect_interval_seconds",
        _INTEGER,
        10,
        "Seconds before a lost notification connection is opened again.",
        old=False,
    ),
    _service(
        "triggers.pg_notify_heartbeat_interval_seconds",
        _INTEGER,
        5,
        "Seconds between two checks of the notification connection.",
        old=False,
    ),
)
