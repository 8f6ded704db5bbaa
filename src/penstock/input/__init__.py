"""Input of people and other runs to a flow run while it runs.

`RunInput` says what a pause waits for; `send_input` and `receive_input` carry messages. The names
are loaded on first use, because models need pydantic.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from penstock.input.actions import (
        acreate_flow_run_input,
        acreate_flow_run_input_from_model,
        adelete_flow_run_input,
        afilter_flow_run_input,
        aread_flow_run_input,
        create_flow_run_input,
        create_flow_run_input_from_model,
        delete_flow_run_input,
        filter_flow_run_input,
        read_flow_run_input,
    )
    from penstock.input.keysets import Keyset, keyset_from_base_key, keyset_from_paused_state
    from penstock.input.receiving import GetInputHandler
    from penstock.input.run_input import RunInput, RunInputMetadata, receive_input, send_input

__all__ = [
    "GetInputHandler",
    "Keyset",
    "RunInput",
    "RunInputMetadata",
    "acreate_flow_run_input",
    "acreate_flow_run_input_from_model",
    "adelete_flow_run_input",
    "afilter_flow_run_input",
    "aread_flow_run_input",
    "create_flow_run_input",
    "create_flow_run_input_from_model",
    "delete_flow_run_input",
    "filter_flow_run_input",
    "keyset_from_base_key",
    "keyset_from_paused_state",
    "read_flow_run_input",
    "receive_input",
    "send_input",
]

_HOMES = {
    "GetInputHandler": "receiving",
    "Keyset": "keysets",
    "keyset_from_base_key": "keysets",
    "keyset_from_paused_state": "keysets",
    "RunInput": "run_input",
    "RunInputMetadata": "run_input",
    "receive_input": "run_input",
    "send_input": "run_input",
}


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    home = import_module(f"penstock.input.{_HOMES.get(name, 'actions')}")
    return getattr(home, name)
