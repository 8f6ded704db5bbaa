"""Keeping results: which storage, which serializer, whether at all, and the store that does it."""

from penstock.result_records import ResultRecord, ResultRecordMetadata
from penstock.results.choices import (
    ResultSerializer,
    ResultStorage,
    choose_persistence,
    choose_storage,
    get_default_persist_setting,
    get_default_persist_setting_for_tasks,
    get_default_result_serializer,
    should_persist_result,
)
from penstock.results.keys import DEFAULT_STORAGE_KEY_FN, format_storage_key
from penstock.results.memory import default_cache
from penstock.results.storages import (
    aget_default_result_storage,
    aget_or_create_default_task_scheduling_storage,
    aresolve_result_storage,
    get_default_result_storage,
    get_or_create_default_task_scheduling_storage,
    install_storage_loader,
    resolve_result_storage,
)
from penstock.results.store import ResultStore, get_result_store, read_from_metadata
from penstock.serializers import resolve_serializer

__all__ = [
    "DEFAULT_STORAGE_KEY_FN",
    "ResultRecord",
    "ResultRecordMetadata",
    "ResultSerializer",
    "ResultStorage",
    "ResultStore",
    "aget_default_result_storage",
    "aget_or_create_default_task_scheduling_storage",
    "aresolve_result_storage",
    "choose_persistence",
    "choose_storage",
    "default_cache",
    "format_storage_key",
    "get_default_persist_setting",
    "get_default_persist_setting_for_tasks",
    "get_default_result_serializer",
    "get_default_result_storage",
    "get_or_create_default_task_scheduling_storage",
    "get_result_store",
    "install_storage_loader",
    "read_from_metadata",
    "resolve_result_storage",
    "resolve_serializer",
    "should_persist_result",
]
