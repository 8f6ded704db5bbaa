"""Counts arrivals of one source."""

from penstock import flow, task


@task(retries=2, retry_delay_seconds=1)
def arrivals(source: str) -> list[str]:
    return [f"{source}-{number}" for number in range(3)]


@flow(log_prints=True)
def count_arrivals(source: str) -> int:
    """Say how much arrived.

    Args:
        source: Where it comes from.
    """
    count = len(arrivals(source))
    print(f"{count} arrivals from {source}")
    return count


if __name__ == "__main__":
    count_arrivals("warehouse")
