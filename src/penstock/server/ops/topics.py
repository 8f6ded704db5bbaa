"""What is woken when the work of a pool changes."""


def snapshot_topic(work_pool_id: str) -> str:
    """Woken when workers of the pool should see it anew, and when the pool is deleted."""
    return f"work-pool.{work_pool_id}"


def work_topic(work_pool_id: str) -> str:
    """Woken when a run of the pool is scheduled, or what scheduled runs wait for becomes free."""
    return f"work.{work_pool_id}"
