"""Under which keys a pause keeps what its input looks like and what was given."""

from penstock.schemas.states import State

Keyset = dict[str, str]
"""The keys of a `schema`, a `description` and a `response`."""


def keyset_from_base_key(base_key: str) -> Keyset:
    return {part: f"{base_key}-{part}" for part in ("description", "response", "schema")}


def keyset_from_paused_state(state: State) -> Keyset:
    """The keys of a pause, made of its name and key. Raises `RuntimeError` for another state."""
    if not state.is_paused():
        raise RuntimeError(f"a {state.name} state has no input keys; pass a paused one")
    return keyset_from_base_key(f"{(state.name or '').lower()}-{state.state_details.pause_key}")
