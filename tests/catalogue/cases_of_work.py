"""Work pools, their queues and workers."""

from typing import Any

from tests.catalogue.cases_of_deployments import deployment, entry, of_deployment
from tests.catalogue.cases_of_values import flow
from tests.catalogue.harness import Api, Expected, case

from penstock.server.ops import readiness

TYPE = {"prefect.work-pool.type": "process"}


def pool(api: Api, **fields: Any) -> dict[str, Any]:
    return api.post("/work_pools/", {"name": api.name("pool"), "type": "process", **fields})


def queue(api: Api, of: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return api.post(f"/work_pools/{of['name']}/queues", {"name": api.name("queue"), **fields})


def default_queue(api: Api, of: dict[str, Any]) -> dict[str, Any]:
    return api.get(f"/work_pools/{of['name']}/queues/default")


def of_pool(action: str, made: dict[str, Any], **more: Any) -> Expected:
    status = action in ("ready", "not-ready", "paused")
    role = {} if status else {"prefect.resource.role": "work-pool"}
    related = [entry("default-queue", "work-queue", made["default_queue_id"])]
    changes = more.get("changes", {})
    return Expected(
        kind="work-pool",
        action=action,
        id=made["id"],
        name=made["name"],
        labels={"prefect.work-pool.type": made["type"], **role},
        related=related if action in ("created", "deleted") else [],
        payload=updates(changes) if action == "updated" else {},
        **more,
    )


def updates(changes: Any) -> dict[str, Any]:
    told = {path.removeprefix("/"): {"from": a, "to": b} for path, (a, b) in changes.items()}
    return {"updated_fields": list(told), "updates": told}


def of_queue(action: str, made: dict[str, Any], of: dict[str, Any], **more: Any) -> Expected:
    return Expected(
        kind="work-queue",
        action=action,
        id=made["id"],
        name=more.pop("named", made["name"]),
        labels={"prefect.resource.role": "work-queue"},
        related=[entry("work-pool", "work-pool", of["id"], of["name"], **TYPE)],
        payload=updates(more.get("changes", {})) if action == "updated" else {},
        **more,
    )


def of_worker(action: str, id: str, name: str, of: dict[str, Any], **more: Any) -> Expected:
    return Expected(
        kind="worker",
        action=action,
        event=f"penstock.worker.{action}",
        id=id,
        name=name,
        related=[entry("work-pool", "work-pool", of["id"], of["name"], **TYPE)],
        **more,
    )


# --- pools ---------------------------------------------------------------------------------------


@case("prefect.work-queue.created", "prefect.work-pool.created", "prefect.work-pool.not-ready")
def work_pool_created(api: Api) -> list[Expected]:
    made = pool(api)
    api.refused(409, "POST", "/work_pools/", {"name": made["name"], "type": "process"})
    api.refused(403, "POST", "/work_pools/", {"name": "prefect-mine", "type": "process"})
    return [
        of_queue("created", default_queue(api, made), made),
        of_pool("created", made),
        of_pool("not-ready", made, changes={"/status": (None, "NOT_READY")}),
    ]


@case("prefect.work-queue.created", "prefect.work-pool.created", "prefect.work-pool.paused")
def work_pool_created_paused(api: Api) -> list[Expected]:
    made = pool(api, is_paused=True)
    return [
        of_queue("created", default_queue(api, made), made),
        of_pool("created", made),
        of_pool("paused", made, changes={"/status": (None, "PAUSED")}),
    ]


@case("prefect.work-pool.updated")
def work_pool_updated(api: Api) -> list[Expected]:
    made = pool(api)
    api.settle()
    for _ in range(2):
        api.patch(f"/work_pools/{made['name']}", {"description": "d", "concurrency_limit": 3})
    changes = {"/description": (None, "d"), "/concurrency_limit": (None, 3)}
    return [of_pool("updated", made, changes=changes)]


@case("prefect.work-pool.paused", "prefect.work-pool.not-ready")
def work_pool_paused_and_resumed(api: Api) -> list[Expected]:
    made = pool(api)
    api.settle()
    for paused in (True, True, False, False):
        api.patch(f"/work_pools/{made['name']}", {"is_paused": paused})
    there = {"/is_paused": (False, True), "/status": ("NOT_READY", "PAUSED")}
    back = {"/is_paused": (True, False), "/status": ("PAUSED", "NOT_READY")}
    return [
        of_pool("paused", made, changes=there, follows=True),
        of_pool("not-ready", made, changes=back, follows=True),
    ]


@case(
    "penstock.worker.deleted",
    "prefect.work-queue.deleted",
    "prefect.deployment.updated",
    "prefect.work-pool.deleted",
)
def work_pool_deleted_with_what_is_of_it(api: Api) -> list[Expected]:
    made = pool(api)
    path = f"/work_pools/{made['name']}"
    api.post(f"{path}/workers/heartbeat", {"name": "w"})
    [worker] = api.post(f"{path}/workers/filter", {})
    first, second = default_queue(api, made), queue(api, made)
    of = flow(api)
    deployed = deployment(api, of, work_pool_name=made["name"])
    api.settle()
    api.delete(path)
    cause = of_pool("deleted", made)
    gone = of_queue("deleted", first, made, caused_by=cause)
    beside = [
        entry("work-queue", "work-queue", first["id"], "default"),
        entry("work-pool", "work-pool", made["id"], made["name"], **TYPE),
    ]
    changes = {"/work_queue_id": (first["id"], None)}
    return [
        of_worker("deleted", worker["id"], "w", made, caused_by=cause),
        of_deployment("updated", deployed, of, beside=beside, changes=changes, caused_by=gone),
        gone,
        of_queue("deleted", second, made, caused_by=cause),
        cause,
    ]


# --- queues --------------------------------------------------------------------------------------


@case("prefect.work-queue.created")
def work_queue_created(api: Api) -> list[Expected]:
    of = pool(api)
    api.settle()
    made = queue(api, of)
    api.refused(409, "POST", f"/work_pools/{of['name']}/queues", {"name": made["name"]})
    return [of_queue("created", made, of)]


@case("prefect.work-queue.updated", "prefect.work-queue.created")
def work_queue_created_before_another(api: Api) -> list[Expected]:
    of = pool(api)
    first = default_queue(api, of)
    api.settle()
    made = queue(api, of, priority=1)
    cause = of_queue("created", made, of)
    return [
        of_queue("updated", first, of, changes={"/priority": (1, 2)}, caused_by=cause),
        cause,
    ]


@case("prefect.work-queue.updated")
def work_queue_updated_by_name_and_by_id(api: Api) -> list[Expected]:
    of = pool(api)
    made = queue(api, of)
    path = f"/work_pools/{of['name']}/queues/{made['name']}"
    api.settle()
    for _ in range(2):
        api.patch(path, {"description": "d"})
    for _ in range(2):
        api.patch(f"/work_queues/{made['id']}", {"name": "renamed", "concurrency_limit": 2})
    changes = {"/name": (made["name"], "renamed"), "/concurrency_limit": (None, 2)}
    return [
        of_queue("updated", made, of, changes={"/description": ("", "d")}),
        of_queue("updated", made, of, changes=changes, named="renamed"),
    ]


@case("prefect.work-queue.paused", "prefect.work-queue.not-ready", "prefect.work-queue.ready")
def work_queue_paused_and_resumed(api: Api) -> list[Expected]:
    of = pool(api)
    made = queue(api, of)
    path = f"/work_pools/{of['name']}/queues/{made['name']}"
    api.settle()
    for paused in (True, True, False, False):
        api.patch(path, {"is_paused": paused})
    for _ in range(2):
        api.post(f"/work_queues/{made['id']}/get_runs", {})
    for paused in (True, False):
        api.patch(path, {"is_paused": paused})
    there, back = {"/is_paused": (False, True)}, {"/is_paused": (True, False)}
    return [
        of_queue("paused", made, of, changes={**there, "/status": ("NOT_READY", "PAUSED")}),
        of_queue("not-ready", made, of, changes={**back, "/status": ("PAUSED", "NOT_READY")}),
        of_queue("ready", made, of, changes={"/status": ("NOT_READY", "READY")}),
        of_queue("paused", made, of, changes={**there, "/status": ("READY", "PAUSED")}),
        of_queue("ready", made, of, changes={**back, "/status": ("PAUSED", "READY")}),
    ]


@case("prefect.work-queue.deleted")
def work_queues_deleted_by_name_and_by_id(api: Api) -> list[Expected]:
    of = pool(api)
    first, second = queue(api, of), queue(api, of)
    api.settle()
    api.delete(f"/work_pools/{of['name']}/queues/{first['name']}")
    api.delete(f"/work_queues/{second['id']}")
    api.refused(409, "DELETE", f"/work_pools/{of['name']}/queues/default")
    return [of_queue("deleted", one, of) for one in (first, second)]


@case("prefect.work-queue.created", "prefect.deployment.created")
def work_queue_that_a_deployment_names(api: Api) -> list[Expected]:
    of, home = flow(api), pool(api)
    api.settle()
    fields = {"work_pool_name": home["name"], "work_queue_name": "named"}
    deployed = deployment(api, of, **fields)
    made = api.get(f"/work_pools/{home['name']}/queues/named")
    beside = [
        entry("work-queue", "work-queue", made["id"], "named"),
        entry("work-pool", "work-pool", home["id"], home["name"], **TYPE),
    ]
    return [
        of_queue("created", made, home),
        of_deployment("created", deployed, of, beside=beside),
    ]


@case("prefect.work-queue.not-ready")
def work_queue_not_polled_any_more(api: Api) -> list[Expected]:
    of = pool(api)
    made = queue(api, of)
    api.clock.advance(3600)
    api.write(readiness.mark_unpolled_queues, 60, 1000)
    api.post(f"/work_queues/{made['id']}/get_runs", {})
    api.settle()
    for _ in range(3):
        api.clock.advance(59)
        api.write(readiness.mark_unpolled_queues, 60, 1000)
    return [of_queue("not-ready", made, of, changes={"/status": ("READY", "NOT_READY")})]


# --- workers -------------------------------------------------------------------------------------


@case(
    "penstock.worker.online",
    "prefect.work-pool.ready",
    "penstock.worker.offline",
    "prefect.work-pool.not-ready",
    "penstock.worker.deleted",
)
def worker_from_its_first_heartbeat_to_its_end(api: Api) -> list[Expected]:
    of = pool(api)
    path = f"/work_pools/{of['name']}/workers"
    api.clock.advance(3600)
    settle_workers(api)
    api.settle()
    for _ in range(2):
        api.post(f"{path}/heartbeat", {"name": "w", "heartbeat_interval_seconds": 10})
    [worker] = api.post(f"{path}/filter", {})
    for _ in range(2):
        api.clock.advance(60)
        settle_workers(api)
    api.delete(f"{path}/w")
    api.refused(404, "DELETE", f"{path}/w")
    off, down = {"/status": ("ONLINE", "OFFLINE")}, {"/status": ("READY", "NOT_READY")}
    # The pool became what it is an hour ago, too long to be followed.
    return [
        of_worker("online", worker["id"], "w", of, first=True),
        of_pool("ready", of, changes={"/status": ("NOT_READY", "READY")}),
        of_worker("offline", worker["id"], "w", of, changes=off),
        of_pool("not-ready", of, changes=down, follows=True),
        of_worker("deleted", worker["id"], "w", of),
    ]


def settle_workers(api: Api) -> None:
    api.write(readiness.mark_silent_workers, 1000)
    api.write(readiness.mark_idle_pools, 1000)


@case(
    "prefect.work-queue.created",
    "prefect.work-pool.created",
)
def queue_of_agents_with_its_pool(api: Api) -> list[Expected]:
    """The first queue made without a pool brings the pool of agents, which has no status."""
    made = api.post("/work_queues/", {"name": api.name("queue")})
    api.post("/work_queues/filter", {})
    home = api.get("/work_pools/default-agent-pool")
    related = [
        entry("work-pool", "work-pool", home["id"], home["name"], **{TYPE_LABEL: "prefect-agent"})
    ]
    default = of_queue("created", default_queue(api, home), home)
    named = of_queue("created", made, home)
    for one in (default, named):
        one.related = related
    return [default, of_pool("created", home), named]


TYPE_LABEL = "prefect.work-pool.type"
