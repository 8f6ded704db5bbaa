"""The clients of the API, and `get_client`.

`SyncPenstockClient` and `PenstockClient` have the same methods; the second's are awaited. Both are
cheap to make: connections and what is known about a server are shared by the whole process.
"""

from types import TracebackType
from typing import Any, Literal, NoReturn, Self, overload

import msgspec

from penstock.base import json
from penstock.base.run_context import current_run
from penstock.base.version import VERSION
from penstock.client.aio import AsyncCaller
from penstock.client.calls import AskExtensions, Call, Steps, needs_plan, plan
from penstock.client.endpoint import Endpoint, check_version, endpoint
from penstock.client.exchange import Request, Response, build, operation, read, refusal
from penstock.client.generated import AsyncMethods, SyncMethods
from penstock.client.target import Target, current_target


class SyncPenstockClient(SyncMethods):
    """Calls the API from ordinary code; blocks until the answer is there.

    `api` is an API URL; without one the target of the current settings is used. Use it as a
    context manager or not, as you like: leaving it closes nothing that others share.
    """

    def __init__(
        self,
        api: str | None = None,
        *,
        auth_string: str | None = None,
        api_key: str | None = None,
        httpx_settings: dict[str, Any] | None = None,
        target: Target | None = None,
    ) -> None:
        self.target = _target(api, auth_string, api_key, httpx_settings, target)

    @property
    def api_url(self) -> str:
        return self.target.name

    @property
    def extensions(self) -> frozenset[str]:
        """Extensions of the contract that the server announces."""
        return self._endpoint.extensions

    @property
    def _endpoint(self) -> Endpoint:
        return endpoint(self.target)

    def call(self, operation: str, /, *params: Any, body: Any = None, **query: Any) -> Any:
        """Call any operation by name and return its decoded answer.

        `body` is a struct, a plain JSON value, or bytes that are JSON already. Raises
        `ObjectNotFound`, `ObjectAlreadyExists`, `PenstockHTTPStatusError`, `APIUnreachable`.
        """
        asked = Call(operation, params, body, query)
        if needs_plan(operation):
            return self._steps(plan(asked))
        return self._one(asked)

    def request(
        self,
        method: str,
        path: str,
        params: dict[str, Any] | None = None,
        path_params: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Response:
        """Send any request, `json=` or `content=` as its body; raises for an error status."""
        raw = raw_request(method, path, params, path_params, kwargs)
        return _checked(raw, self._endpoint.perform(raw))

    def client_version(self) -> str:
        return VERSION

    def raise_for_api_version_mismatch(self) -> None:
        """Raises `RuntimeError` when this client cannot work with the server's version. Every
        client asks once per process and API by itself."""
        check_version(self.call("read_version"), self.extensions, self.target.name)

    raise_for_api_version_mismatch_once = raise_for_api_version_mismatch

    def _one(self, asked: Call[Any]) -> Any:
        request = build(operation(asked.operation), asked.params, asked.body, asked.query)
        return read(request, self._endpoint.perform(request))

    def _run(self, asked: Call[Any] | Steps[Any]) -> Any:
        if isinstance(asked, Call):
            return self.call(asked.operation, *asked.params, body=asked.body, **asked.query)
        return self._steps(asked, nested=True)

    def _steps(self, steps: Steps[Any], *, nested: bool = False) -> Any:
        """Carry the steps out. Those of a method may need a plan each, those of a plan do not."""
        try:
            step = next(steps)
            while True:
                try:
                    if isinstance(step, AskExtensions):
                        answer: Any = self.extensions
                    else:
                        answer = self._run(step) if nested else self._one(step)
                except Exception as error:  # Handed to the method that asked.
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            return end.value

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        return None


class PenstockClient(AsyncMethods):
    """Calls the API from coroutines. See `SyncPenstockClient`; its methods are awaited here."""

    def __init__(
        self,
        api: str | None = None,
        *,
        auth_string: str | None = None,
        api_key: str | None = None,
        httpx_settings: dict[str, Any] | None = None,
        target: Target | None = None,
    ) -> None:
        self.target = _target(api, auth_string, api_key, httpx_settings, target)
        self._caller = AsyncCaller(self.target)

    @property
    def api_url(self) -> str:
        return self.target.name

    @property
    def extensions(self) -> frozenset[str]:
        """Extensions of the contract that the server announces. Blocks when nothing was heard
        from it yet; after the first awaited call it does not."""
        return endpoint(self.target).extensions

    async def call(self, operation: str, /, *params: Any, body: Any = None, **query: Any) -> Any:
        """As `SyncPenstockClient.call`."""
        asked = Call(operation, params, body, query)
        if needs_plan(operation):
            return await self._steps(plan(asked))
        return await self._one(asked)

    async def request(
        self,
        method: str,
        path: str,
        params: dict[str, Any] | None = None,
        path_params: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> Response:
        raw = raw_request(method, path, params, path_params, kwargs)
        return _checked(raw, await self._caller.perform(raw))

    def client_version(self) -> str:
        return VERSION

    async def raise_for_api_version_mismatch(self) -> None:
        """As `SyncPenstockClient.raise_for_api_version_mismatch`."""
        version = await self.call("read_version")
        check_version(version, await self._caller.extensions(), self.target.name)

    raise_for_api_version_mismatch_once = raise_for_api_version_mismatch

    async def _one(self, asked: Call[Any]) -> Any:
        request = build(operation(asked.operation), asked.params, asked.body, asked.query)
        return read(request, await self._caller.perform(request))

    async def _run(self, asked: Call[Any] | Steps[Any]) -> Any:
        if isinstance(asked, Call):
            return await self.call(asked.operation, *asked.params, body=asked.body, **asked.query)
        return await self._steps(asked, nested=True)

    async def _steps(self, steps: Steps[Any], *, nested: bool = False) -> Any:
        try:
            step = next(steps)
            while True:
                try:
                    if isinstance(step, AskExtensions):
                        answer: Any = await self._caller.extensions()
                    else:
                        answer = await (self._run(step) if nested else self._one(step))
                except Exception as error:  # Handed to the method that asked.
                    step = steps.throw(error)
                else:
                    step = steps.send(answer)
        except StopIteration as end:
            return end.value

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return None

    def __enter__(self) -> NoReturn:
        raise RuntimeError("the client is asynchronous; enter it with `async with`")

    def __exit__(self, *_: object) -> NoReturn:
        raise RuntimeError("the client is asynchronous; enter it with `async with`")


@overload
def get_client(
    httpx_settings: dict[str, Any] | None = ..., *, sync_client: Literal[True]
) -> SyncPenstockClient: ...
@overload
def get_client(
    httpx_settings: dict[str, Any] | None = ..., sync_client: Literal[False] = ...
) -> PenstockClient: ...
@overload
def get_client(
    httpx_settings: dict[str, Any] | None = ..., sync_client: bool = ...
) -> SyncPenstockClient | PenstockClient: ...
def get_client(
    httpx_settings: dict[str, Any] | None = None, sync_client: bool = False
) -> SyncPenstockClient | PenstockClient:
    """A client of the API that the settings name; inside a run, the run's own client.

    Without an API URL it is the server inside this process. Raises `ValueError` when there is no
    URL and the settings do not allow that. `httpx_settings` may hold `headers` and `timeout`.
    """
    target = current_target()
    kind = SyncPenstockClient if sync_client else PenstockClient
    if not httpx_settings:
        run = current_run.get()
        shared = run.client if run is not None else None
        if type(shared) is kind and shared.target == target:
            return shared
        return kind(target=target)
    return kind(target=target, httpx_settings=httpx_settings)


def _target(
    api: str | None,
    auth_string: str | None,
    api_key: str | None,
    httpx_settings: dict[str, Any] | None,
    target: Target | None,
) -> Target:
    if target is None:
        # An API named in the call needs nothing from the settings, not even that they name one.
        target = current_target() if api is None else Target(url=api.rstrip("/"))
    changes: dict[str, Any] = {}
    if auth_string is not None:
        changes["auth_string"] = auth_string
    if api_key is not None:
        changes["key"] = api_key
    for name, value in (httpx_settings or {}).items():
        if name == "headers":
            changes["custom_headers"] = (*target.custom_headers, *dict(value).items())
        elif name == "timeout":
            changes["timeout"] = float(value)
        elif name == "verify":
            changes["verify"] = bool(value)
    return msgspec.structs.replace(target, **changes) if changes else target


def raw_request(
    method: str,
    path: str,
    params: dict[str, Any] | None,
    path_params: dict[str, Any] | None,
    kwargs: dict[str, Any],
) -> Request:
    """A request that is not in the operation table. `path_params` fill braces of `path`."""
    from urllib.parse import quote, urlencode

    for name, value in (path_params or {}).items():
        path = path.replace("{" + name + "}", quote(str(value), safe=""))
    if params:
        path += "?" + urlencode(params, doseq=True)
    body = kwargs.pop("content", None)
    if "json" in kwargs:
        body = json.encode(kwargs.pop("json"))
    if kwargs:
        raise TypeError(f"request() does not take {min(kwargs)!r}; pass json= or content=")
    return Request(method.upper(), path if path.startswith("/") else f"/{path}", body)


def _checked(request: Request, response: Response) -> Response:
    if response.status >= 400:
        raise refusal(request, response)
    return response
