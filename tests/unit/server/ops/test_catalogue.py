"""Every operation is carried out by a function that takes what the operation gives."""

import inspect

import pytest

from penstock.schemas.operations import OPERATIONS
from penstock.server.ops.catalogue import OPS

OF_THE_EDGE = {
    "health_check",
    "hello",
    "perform_readiness_check",
    "read_metrics",
    "read_services",
    "read_settings",
    "read_view_content",
    "read_version",
    "server_version",
}
# What the handler of an operation knows beside the request: whether an auth string is configured.
FROM_THE_HANDLER = {"create_token": {"guarded": False}, "revoke_token": {"guarded": False}}


def test_no_operation_is_left_out() -> None:
    assert set(OPERATIONS) - set(OPS) == OF_THE_EDGE


@pytest.mark.parametrize("name", sorted(OPS))
def test_the_function_takes_what_the_operation_gives(name: str) -> None:
    operation = OPERATIONS[name]
    signature = inspect.signature(OPS[name])
    arguments = {query.name.replace("-", "_"): None for query in operation.query}
    if operation.body is not None:
        arguments["body"] = None
    arguments |= FROM_THE_HANDLER.get(name, {})
    signature.bind("tx", "context", *operation.param_names, **arguments)
    optional = {
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.default is not inspect.Parameter.empty
    }
    if operation.body is not None:
        assert ("body" in optional) != operation.body_required
    for query in operation.query:
        assert query.required or query.name in optional
