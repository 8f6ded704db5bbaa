"""`penstock server`: start, stop, ask, look after."""

import os
import signal
import time
from contextlib import suppress
from typing import Any

import click
import msgspec

from penstock.cli.lazy import Entry, LazyGroup
from penstock.cli.output import Failure, output_option, print_json
from penstock.cli.server_process import (
    ask,
    background_pid,
    client_url,
    is_alive,
    is_free,
    log_file,
    pid_file,
    running_server,
    start_in_background,
    stop,
)
from penstock.settings import Settings, get_current_settings, settings_context

ENTRIES = {
    "start": Entry("penstock.cli.server:start", "Run a server here or in the background."),
    "stop": Entry("penstock.cli.server:stop_", "Stop the server that runs in the background."),
    "status": Entry("penstock.cli.server:status", "Say how a server is."),
    "services": Entry("penstock.cli.services:services", "Look at the background loops."),
    "database": Entry("penstock.cli.database:database", "Look after the server's database."),
}


@click.command(cls=LazyGroup, entries=ENTRIES, context_settings={"help_option_names": ["--help"]})
def server() -> None:
    """Start, stop and look after a server."""


@click.command()
@click.option("--host", help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65_535), help="Port to listen on.")
@click.option("--keep-alive-timeout", type=int, help="Seconds an idle connection is kept open.")
@click.option("--log-level", help="Level of the server's log, e.g. INFO.")
@click.option("--scheduler/--no-scheduler", default=None, help="Plan runs of schedules.")
@click.option("--late-runs/--no-late-runs", default=None, help="Mark late runs.")
@click.option("--ui/--no-ui", default=None, help="Serve the UI.")
@click.option("--analytics-on/--analytics-off", default=None, hidden=True)
@click.option("--no-services", is_flag=True, help="Answer requests only, run no loops.")
@click.option("--background", "-b", is_flag=True, help="Return once the server answers.")
@click.option("--workers", type=click.IntRange(1), default=1, help="Number of server processes.")
@click.option("--insecure", is_flag=True, help="Listen for other machines without credentials.")
def start(
    host: str | None,
    port: int | None,
    keep_alive_timeout: int | None,
    log_level: str | None,
    scheduler: bool | None,
    late_runs: bool | None,
    ui: bool | None,
    analytics_on: bool | None,
    no_services: bool,
    background: bool,
    workers: int,
    insecure: bool,
) -> None:
    """Run a server: in this terminal, or in the background with --background."""
    if workers > 1:
        raise Failure(
            "one command runs one server process; for more, run `penstock server start` with "
            "different ports on one PostgreSQL database, all but one with --no-services"
        )
    given = {
        "server.api.host": host,
        "server.api.port": port,
        "server.api.keepalive_timeout": keep_alive_timeout,
        "server.logging_level": log_level,
        "server.services.scheduler.enabled": scheduler,
        "server.services.late_runs.enabled": late_runs,
        "server.ui.enabled": ui,
    }
    settings = get_current_settings().copy_with_update(
        {key: value for key, value in given.items() if value is not None}
    )
    if background:
        _start_in_background(settings, no_services, insecure)
    else:
        _serve(settings, no_services, insecure)


def _serve(settings: Settings, no_services: bool, insecure: bool) -> None:
    _refuse_second_owner(settings)
    # The server is imported here and nowhere else, so that other commands do not pay for it.
    from penstock.server.config import ServerConfig
    from penstock.server.serve import serve

    with settings_context(settings):
        config = ServerConfig.from_settings(settings)
        config = msgspec.structs.replace(
            config,
            services=config.services and not no_services,
            displayed_settings=settings.document(),
        )
        api = settings.server.api
        # Ctrl+C and SIGTERM are how a server is meant to be ended; both must unwind the stack,
        # so that what a server leaves in the home directory is cleared away.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            serve(
                config,
                api.host,
                api.port,
                insecure=insecure,
                ready=lambda url: _banner(settings, config, url),
            )
        click.echo("The server has stopped.")


def _banner(settings: Settings, config: Any, url: str) -> None:
    host, port = settings.server.api.host, int(url.rsplit(":", 1)[1].split("/", 1)[0])
    local = client_url(host, port, config.base_path)
    rows = [("API", local), ("API docs", f"{local}/docs")]
    if config.ui_enabled:
        rows.append(("UI", local.removesuffix(config.base_path)))
    rows.append(("Database", shown_database(config.database_url)))
    if not config.services:
        rows.append(("Loops", "none run in this process"))
    click.echo("Penstock server is running.")
    for name, value in rows:
        click.echo(f"  {name + ':':<10} {value}")
    click.echo("Point clients at it with:")
    click.echo(f"  export PENSTOCK_API_URL={local}")
    click.echo("Stop it with Ctrl+C.")


def shown_database(url: str) -> str:
    """A database URL without its password."""
    head, at, tail = url.rpartition("@")
    if not at:
        return url
    scheme, _, login = head.partition("://")
    return f"{scheme}://{login.split(':', 1)[0]}@{tail}"


def _start_in_background(settings: Settings, no_services: bool, insecure: bool) -> None:
    api = settings.server.api
    old = background_pid(settings)
    if old is not None:
        raise Failure(
            f"a server already runs in the background (pid {old}); "
            "stop it with `penstock server stop`"
        )
    _refuse_second_owner(settings)
    if api.port == 0:
        raise Failure("a server in the background needs a port; choose one with --port")
    if not is_free(api.host, api.port):
        raise Failure(f"port {api.port} of {api.host} is taken; choose another one with --port")
    url = client_url(api.host, api.port, _base_path(settings))
    pid = start_in_background(settings, _arguments(settings, no_services, insecure), url)
    click.echo(f"Penstock server is running in the background (pid {pid}).")
    click.echo(f"  API:  {url}")
    click.echo(f"  Log:  {log_file(settings)}")
    click.echo(f"Point clients at it with:\n  export PENSTOCK_API_URL={url}")
    click.echo("Stop it with:\n  penstock server stop")


def _arguments(settings: Settings, no_services: bool, insecure: bool) -> list[str]:
    server_settings = settings.server
    services = server_settings.services
    arguments = [
        f"--host={server_settings.api.host}",
        f"--port={server_settings.api.port}",
        f"--keep-alive-timeout={server_settings.api.keepalive_timeout}",
        f"--log-level={server_settings.logging_level}",
        "--scheduler" if services.scheduler.enabled else "--no-scheduler",
        "--late-runs" if services.late_runs.enabled else "--no-late-runs",
        "--ui" if server_settings.ui.enabled else "--no-ui",
    ]
    if no_services:
        arguments.append("--no-services")
    if insecure:
        arguments.append("--insecure")
    return arguments


def _base_path(settings: Settings) -> str:
    given = settings.server.api.base_path
    if given is None:
        return "/api"
    return "/" + given.strip("/") if given.strip("/") else ""


@click.command("stop")
def stop_() -> None:
    """Stop the server that runs in the background."""
    settings = get_current_settings()
    pid = background_pid(settings)
    if pid is None:
        pid_file(settings).unlink(missing_ok=True)
        there = running_server(settings)
        hint = f"; the one with pid {there.pid} runs in a terminal, end it there" if there else ""
        raise Failure(f"no server of {settings.home} runs in the background{hint}")
    stop(pid)
    pid_file(settings).unlink(missing_ok=True)
    click.echo(f"Stopped the server (pid {pid}).")


@click.command()
@click.option("--wait", is_flag=True, help="Wait until the server answers.")
@click.option("--timeout", "-t", type=float, default=0, help="Seconds to wait; 0 is no limit.")
@output_option
def status(wait: bool, timeout: float, output: str | None) -> None:
    """Say whether a server answers, its version, its database and its loops.

    Ends with status 1 when it does not answer or is not ready.
    """
    settings = get_current_settings()
    url = settings.api.url or _local_url(settings)
    report = _report(url, settings)
    started = told = time.monotonic()
    while wait and report["status"] != "ready":
        if timeout and time.monotonic() - started >= timeout:
            break
        if time.monotonic() - told > 2:
            click.echo(f"Waiting for {url} ...", err=True)
            told = time.monotonic() + 3600
        time.sleep(0.1)
        report = _report(url, settings)
    if output:
        print_json(report)
    else:
        for key, value in report.items():
            click.echo(f"{key.replace('_', ' ').capitalize() + ':':<10} {value}")
    if report["status"] == "unreachable" and not output:
        click.echo("Start one with `penstock server start`, or set PENSTOCK_API_URL.", err=True)
    if report["status"] != "ready":
        raise click.exceptions.Exit(1)


def _local_url(settings: Settings) -> str:
    there = running_server(settings)
    if there is not None:
        return there.url
    api = settings.server.api
    return client_url(api.host, api.port, _base_path(settings))


def _report(url: str, settings: Settings) -> dict[str, Any]:
    report: dict[str, Any] = {"url": url, "status": "unreachable"}
    code, answer = ask(url, "/health", settings)
    if code != 200:
        report["reason"] = answer if code == 0 else f"/health answered {code}"
        return report
    code, answer = ask(url, "/ready", settings)
    stalled = answer.get("stalled", []) if isinstance(answer, dict) else []
    report["status"] = "ready" if code == 200 else "not ready"
    report["database"] = "answers" if code == 200 or stalled else "does not answer"
    report["loops"] = f"stalled: {', '.join(stalled)}" if stalled else "fine"
    code, answer = ask(url, "/admin/version", settings)
    if code == 200:
        report["version"] = answer
    elif code == 401:
        report["version"] = "unknown: the server wants credentials; set PENSTOCK_API_AUTH_STRING"
    there = running_server(settings)
    if there is not None and there.url.rstrip("/") == url.rstrip("/") and is_alive(there.pid):
        report["pid"] = there.pid
        report["database_url"] = there.database_url
        report["started"] = there.started
    return report


def _refuse_second_owner(settings: Settings) -> None:
    # Two servers on one SQLite file would not hear of each other's changes.
    url = settings.server.database.connection_url.get_secret_value()
    there = running_server(settings)
    if there is None or there.pid == os.getpid() or not url.startswith("sqlite"):
        return
    if ":memory:" in url or _place(there.database_url) != _place(url):
        return
    if ask(there.url, "/health", settings, timeout=2)[0] == 200:
        raise Failure(
            f"a server (pid {there.pid}) at {there.url} already serves {url}; stop it, or use "
            "PostgreSQL for several servers"
        )


def refuse_while_running(settings: Settings, what: str) -> None:
    """Raise `Failure` while a server of this home directory runs on the same database."""
    there = running_server(settings)
    if there is None or there.pid == os.getpid():
        return
    url = settings.server.database.connection_url.get_secret_value()
    if _place(there.database_url) == _place(url):
        raise Failure(
            f"a server (pid {there.pid}) uses this database; stop it before you {what} it "
            f"(if no such server runs, remove {settings.home / 'server.json'})"
        )


def _place(url: str) -> str:
    """What of a database URL says which database it is."""
    scheme, _, rest = url.partition("://")
    return f"{scheme.split('+', 1)[0]}://{rest.rpartition('@')[2]}"
