"""The figures of a server in the text format that Prometheus reads."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock.schemas.admin import ServiceState
from penstock.server.ops.cleanup_ledger import PoolCounts
from penstock.server.queue.interface import Labels

Sample = tuple[Mapping[str, str], float]
_STATES = ("ready", "leased", "done", "dead", "cancelled")


def text_of(
    pools: Mapping[str, PoolCounts],
    dead: Sequence[Mapping[str, Any]],
    counters: Mapping[tuple[str, Labels], int],
    services: Sequence[ServiceState],
    connections: int,
) -> str:
    """All figures, a family after the other."""
    parts = [
        _family(
            "penstock_worker_cleanup_queue_depth",
            "gauge",
            "Cleanup messages by work pool and state.",
            (
                ({"work_pool_id": pool, "state": state}, found.counts.get(state, 0))
                for pool, found in sorted(pools.items())
                for state in _STATES
            ),
        ),
        _family(
            "penstock_worker_cleanup_queue_oldest_ready_seconds",
            "gauge",
            "How long the oldest due cleanup message of a pool has been waiting.",
            (
                ({"work_pool_id": pool}, found.oldest_ready_seconds)
                for pool, found in sorted(pools.items())
                if found.oldest_ready_seconds is not None
            ),
        ),
        _family(
            "penstock_worker_cleanup_queue_overdue_leases",
            "gauge",
            "Leases that have lapsed and were not ended yet.",
            (({"work_pool_id": pool}, found.overdue) for pool, found in sorted(pools.items())),
        ),
        _family(
            "penstock_worker_cleanup_queue_dead_letters",
            "gauge",
            "Dead letters by kind and reason.",
            (({"kind": row["kind"], "reason": row["reason"] or ""}, row["count"]) for row in dead),
        ),
        _family(
            "penstock_worker_channel_connections",
            "gauge",
            "Workers connected to this process.",
            [({}, connections)],
        ),
        _family(
            "penstock_service_lag_seconds",
            "gauge",
            "Seconds since the last success of a background loop of this process.",
            (({"service": one.name}, one.lag_seconds) for one in services if one.here),
        ),
        _family(
            "penstock_service_rounds_total",
            "counter",
            "Rounds of a background loop in this process.",
            (({"service": one.name}, one.rounds) for one in services),
        ),
        _family(
            "penstock_service_failures_total",
            "counter",
            "Rounds of a background loop that failed in this process.",
            (({"service": one.name}, one.failures) for one in services),
        ),
    ]
    parts += [
        _family(
            f"penstock_worker_cleanup_queue_{name}_total",
            "counter",
            "Since the start of this process.",
            [(dict(labels), n) for (found, labels), n in sorted(counters.items()) if found == name],
        )
        for name in sorted({name for name, _ in counters})
    ]
    return "".join(parts)


def _family(name: str, kind: str, doc: str, samples: Iterable[Sample]) -> str:
    lines = [f"# HELP {name} {doc}", f"# TYPE {name} {kind}"]
    for labels, value in samples:
        inner = ",".join(f'{label}="{_escaped(text)}"' for label, text in labels.items())
        braces = f"{{{inner}}}" if inner else ""
        lines.append(f"{name}{braces} {value:g}")
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
