"""Operations on the audit trail. They read only; nothing in the API changes a row of it."""

from datetime import datetime
from uuid import UUID

from penstock.schemas.audit import (
    AuditFilterBody,
    AuditObjectState,
    AuditPage,
    AuditRecord,
    AuditVerification,
)
from penstock.schemas.operations.operation import Operation, Query, table

OPERATIONS = table(
    Operation(
        name="read_audit",
        method="POST",
        path="/audit/filter",
        body=AuditFilterBody,
        body_required=False,
        response=AuditPage,
        repeatable=True,
        extension=True,
    ),
    Operation(
        name="export_audit",
        method="GET",
        path="/audit/export",
        query=(Query("after_seq", int), Query("limit", int)),
        response=str,
        media_type="application/x-ndjson",
        repeatable=True,
        extension=True,
    ),
    Operation(
        name="verify_audit",
        method="GET",
        path="/audit/verify",
        query=(Query("after", int), Query("limit", int)),
        response=AuditVerification,
        errors=(404,),
        repeatable=True,
        extension=True,
    ),
    Operation(
        name="read_audit_record",
        method="GET",
        path="/audit/{id}",
        params=(UUID,),
        response=AuditRecord,
        errors=(404,),
        repeatable=True,
        extension=True,
    ),
    Operation(
        name="read_audit_history",
        method="GET",
        path="/audit/objects/{kind}/{reference}",
        params=(str, str),
        query=(Query("after", int), Query("limit", int)),
        response=AuditPage,
        errors=(404,),
        repeatable=True,
        extension=True,
    ),
    Operation(
        name="read_audit_state",
        method="GET",
        path="/audit/objects/{kind}/{reference}/at",
        params=(str, str),
        query=(Query("time", datetime, required=True),),
        response=AuditObjectState,
        errors=(404,),
        repeatable=True,
        extension=True,
    ),
)
