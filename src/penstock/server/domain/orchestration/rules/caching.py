"""Results stored under a cache key."""

from msgspec.structs import replace

from penstock.schemas.states import StateType
from penstock.server.domain.orchestration.facts import Facts, Proposal
from penstock.server.domain.orchestration.verdicts import (
    ACCEPT,
    Accept,
    InsertCache,
    Reject,
    Verdict,
)


def retrieve_from_cache(facts: Facts, proposal: Proposal) -> Verdict:
    """A task run whose cache key has a stored result is completed with it instead of run."""
    details = proposal.details
    if not details.cache_key or details.refresh_cache or facts.cached is None:
        return ACCEPT
    stored = facts.cached
    return Reject(
        reason=f"the result for cache key {details.cache_key!r} is already stored",
        instead=Proposal(
            type=StateType.COMPLETED,
            name="Cached",
            timestamp=proposal.timestamp,
            message=stored.message,
            data=stored.data,
            details=replace(stored.state_details, task_run_id=None, flow_run_id=None),
        ),
    )


def insert_into_cache(facts: Facts, proposal: Proposal) -> Verdict:
    """A completed state with a cache key becomes findable under it; an overlong key is refused.

    The state is stored either way: a bad key must not lose a result.
    """
    key = proposal.details.cache_key
    if not key:
        return ACCEPT
    if len(key) > facts.cache_key_length:
        return Reject(
            reason=f"the cache key has {len(key)} characters and may have "
            f"{facts.cache_key_length}; the result is not cached",
            instead=proposal,
        )
    return Accept(writes=(InsertCache(key=key, expiration=proposal.details.cache_expiration),))
