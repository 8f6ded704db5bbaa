"""The WebSockets of the API and what a caller must be allowed to open one."""

from penstock.schemas.tokens import Scope

SOCKET_SCOPES: dict[str, Scope] = {
    "/events/in": Scope.WRITE,
    "/events/out": Scope.READ,
    "/logs/out": Scope.READ,
    "/task_runs/subscriptions/scheduled": Scope.WRITE,
    "/work_pools/*/workers/connect": Scope.WRITE,
}
"""By path; a star stands for one segment. A socket that is not here needs `admin`."""


def socket_scope(path: str) -> Scope:
    """The scope that the socket at `path` needs."""
    steps = path.split("/")
    for pattern, scope in SOCKET_SCOPES.items():
        wanted = pattern.split("/")
        if len(wanted) == len(steps) and all(
            one in ("*", step) for one, step in zip(wanted, steps, strict=True)
        ):
            return scope
    return Scope.ADMIN
