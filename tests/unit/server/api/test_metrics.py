"""The text that Prometheus reads."""

from penstock.schemas.admin import ServiceState
from penstock.server.api.metrics import text_of
from penstock.server.ops.cleanup_ledger import PoolCounts


def test_each_figure_has_its_type_and_its_labels():
    pools = {"p1": PoolCounts(counts={"ready": 3, "dead": 1}, oldest_ready_seconds=1.5, overdue=2)}
    dead = [{"kind": "k", "reason": 'said "no"\n', "count": 1}]
    labels = (("operation", "ack"), ("status", "accepted"))
    services = [ServiceState(name="timers", interval_seconds=5, lag_seconds=0.25, rounds=7)]
    lines = text_of(pools, dead, {("operations", labels): 4}, services, 6).splitlines()
    for line in (
        "# TYPE penstock_worker_cleanup_queue_depth gauge",
        'penstock_worker_cleanup_queue_depth{work_pool_id="p1",state="ready"} 3',
        'penstock_worker_cleanup_queue_depth{work_pool_id="p1",state="done"} 0',
        'penstock_worker_cleanup_queue_oldest_ready_seconds{work_pool_id="p1"} 1.5',
        'penstock_worker_cleanup_queue_dead_letters{kind="k",reason="said \\"no\\"\\n"} 1',
        'penstock_worker_cleanup_queue_operations_total{operation="ack",status="accepted"} 4',
        'penstock_service_lag_seconds{service="timers"} 0.25',
        'penstock_service_rounds_total{service="timers"} 7',
        "penstock_worker_channel_connections 6",
    ):
        assert line in lines
