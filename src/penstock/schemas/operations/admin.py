"""Health, version, settings and other operations on the server itself."""

from typing import Any

from penstock.schemas.admin import (
    CsrfToken,
    ServerDefaultResultStorage,
    ServerDefaultResultStorageUpdate,
    ServiceState,
)
from penstock.schemas.operations.operation import Operation, Query, table
from penstock.schemas.tokens import Scope

OPERATIONS = table(
    Operation(
        name="read_settings",
        method="GET",
        path="/admin/settings",
        response=dict[str, Any],
        scope=Scope.ADMIN,
        repeatable=True,
    ),
    Operation(
        name="read_services",
        method="GET",
        path="/admin/services",
        response=list[ServiceState],
        scope=Scope.READ,
        repeatable=True,
        extension=True,
        announced_as="cleanup",
    ),
    Operation(
        name="read_metrics",
        method="GET",
        path="/metrics",
        response=str,
        media_type="text/plain",
        scope=Scope.READ,
        versioned=False,
        repeatable=True,
        extension=True,
        announced_as="cleanup",
    ),
    Operation(
        name="clear_server_default_result_storage",
        method="DELETE",
        path="/admin/storage",
        status=204,
        repeatable=True,
    ),
    Operation(
        name="read_server_default_result_storage",
        method="GET",
        path="/admin/storage",
        response=ServerDefaultResultStorage,
        repeatable=True,
    ),
    Operation(
        name="update_server_default_result_storage",
        method="PUT",
        path="/admin/storage",
        body=ServerDefaultResultStorageUpdate,
        response=ServerDefaultResultStorage,
        errors=(404,),
        repeatable=True,
    ),
    Operation(
        name="read_version",
        method="GET",
        path="/admin/version",
        response=str,
        repeatable=True,
    ),
    Operation(
        name="create_csrf_token",
        method="GET",
        path="/csrf-token",
        query=(Query("client", str, required=True),),
        response=CsrfToken,
        repeatable=True,
    ),
    Operation(
        name="health_check",
        method="GET",
        path="/health",
        response=bool,
        open=True,
        versioned=False,
        repeatable=True,
    ),
    Operation(
        name="hello",
        method="GET",
        path="/hello",
        response=str,
        repeatable=True,
    ),
    Operation(
        name="perform_readiness_check",
        method="GET",
        path="/ready",
        response=Any,
        open=True,
        repeatable=True,
    ),
    Operation(
        name="server_version",
        method="GET",
        path="/version",
        response=str,
        versioned=False,
        repeatable=True,
    ),
)
