"""`serve`: deployments served from this process until it is stopped."""

import asyncio
from typing import Any

from rich.console import Console

from penstock.annotations import NotSet
from penstock.base.dual import loop_is_running
from penstock.deployments.runner import RunnerDeployment
from penstock.runner.runner import Runner
from penstock.settings import get_current_settings


def serve(
    *args: RunnerDeployment,
    pause_on_shutdown: bool = True,
    print_starting_message: bool = True,
    limit: int | None = None,
    **kwargs: Any,
) -> None:
    """Serve deployments until Ctrl+C or SIGTERM. `limit` is the most runs at once.

    Raises `RuntimeError` where an event loop runs already: await `aserve` there.
    """
    if loop_is_running():
        raise RuntimeError("an event loop runs here; use `await aserve(...)` instead of `serve`")
    runner = _runner(args, pause_on_shutdown, limit, kwargs)
    asyncio.run(_serve(runner, args, print_starting_message))


async def aserve(
    *args: RunnerDeployment,
    pause_on_shutdown: bool = True,
    print_starting_message: bool = True,
    limit: int | None = None,
    **kwargs: Any,
) -> None:
    """As `serve`, for an event loop that runs already."""
    runner = _runner(args, pause_on_shutdown, limit, kwargs)
    await _serve(runner, args, print_starting_message)


def _runner(
    deployments: tuple[RunnerDeployment, ...],
    pause_on_shutdown: bool,
    limit: int | None,
    options: dict[str, Any],
) -> Runner:
    if not deployments:
        raise ValueError("there is nothing to serve; give deployments (`flow.to_deployment(...)`)")
    runner = Runner(
        pause_on_shutdown=pause_on_shutdown,
        limit=NotSet if limit is None else limit,
        **options,
    )
    # Before anything is asked of the server: later there are threads.
    runner.prepare(*deployments)
    return runner


async def _serve(
    runner: Runner, deployments: tuple[RunnerDeployment, ...], print_starting_message: bool
) -> None:
    for deployment in deployments:
        await runner.aadd_deployment(deployment)
    if print_starting_message:
        _say(deployments)
    await runner.start()


def _say(deployments: tuple[RunnerDeployment, ...]) -> None:
    console = Console()
    if len(deployments) == 1:
        name = deployments[0].full_name
        console.print(f"Your flow is being served and polling for scheduled runs: {name}")
    else:
        console.print("Your deployments are being served and polling for scheduled runs:")
        for deployment in deployments:
            console.print(f"  {deployment.full_name}", highlight=False)
    example = deployments[0].full_name
    console.print(f"To start a run:\n  penstock deployment run '{example}'", highlight=False)
    url = get_current_settings().ui_url
    if url:
        console.print(f"UI: {url}", highlight=False)
