"""Reports on arrivals."""

from penstock import flow


@flow(log_prints=True)
def report(title: str = "Arrivals") -> None:
    """Print a report."""
    print(f"{title}: nothing out of the ordinary")


if __name__ == "__main__":
    report()
