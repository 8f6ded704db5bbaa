"""The questions of `penstock deploy`: what is missing from a deployment is asked for."""

from pathlib import Path
from typing import Any

import click

from penstock.cli.deploy_images import image_steps
from penstock.cli.runs import Api
from penstock.deployments.base import known_values, project_text, remote_repository
from penstock.deployments.project import writing
from penstock.deployments.project.edit import position_of, save_deployment
from penstock.deployments.project.project import Declared, Project, shown
from penstock.deployments.project.shape import deployment_name, entrypoint, schedule
from penstock.deployments.project.source import flow_name_in, flows_below
from penstock.hashing import stable_hash
from penstock.schemas.errors import ObjectNotFound
from penstock.schemas.schedules import schedule_of
from penstock.schemas.work import WorkPool, WorkPoolCreate, WorkPoolsPage

PAGE = 200
ANOTHER = "something else"


def pick(project: Project) -> list[Declared]:
    """The deployment of the file that somebody chooses, or one that is in no file."""
    there = [one for one in project.deployments if one.name is not None]
    rows = [f"{one.name}  ({one.data.get('entrypoint') or 'no entrypoint'})" for one in there]
    number = choose("Which deployment?", [*rows, "a new one"])
    return [there[number]] if number < len(there) else [Declared(-1, {})]


def complete(client: Api, project: Project, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry with answers to everything that it leaves open."""
    made = dict(entry)
    if not made.get("entrypoint"):
        made["entrypoint"] = _entrypoint(project.directory)
    if not made.get("name"):
        made["name"] = _checked("Name of the deployment", deployment_name, default="default")
    pool = _pool(client, made)
    if not project.steps("build", made):
        steps = image_steps(pool, project.directory, made["name"])
        job = steps.pop("work_pool", {})
        if job:
            own = made["work_pool"].get("job_variables") or {}
            variables = {**job["job_variables"], **own}
            made["work_pool"] = {**made["work_pool"], "job_variables": variables}
        made |= steps
    if not project.steps("pull", made):
        pull = _pull(project, made)
        if pull:
            made["pull"] = pull
    if "schedules" not in made and "schedule" not in made:
        made["schedules"] = _schedules()
    return made


def offer_to_save(project: Project, entry: dict[str, Any]) -> None:
    """Offers to write a deployment that is in no file into the project file."""
    listed = project.data.get("deployments")
    listed = listed if isinstance(listed, list) else []
    if position_of(listed, entry) is not None:
        return
    if not click.confirm(f"Save this deployment in {shown(project.path)}?", default=None):
        return
    saved = _worth_saving(project, entry)
    if project.exists:
        save_deployment(project.path, saved)
    else:
        text = project_text(project.directory.name, {"deployments": [saved]})
        writing.replace_file(project.path, text.encode("utf-8"), expected=b"")
    name = saved["name"]
    click.echo(f"Saved it in {shown(project.path)}; `penstock deploy -n {name}` deploys it again.")


def _worth_saving(project: Project, entry: dict[str, Any]) -> dict[str, Any]:
    """The entry as it is written: placeholders as they are, steps only where they differ."""
    saved = {key: value for key, value in entry.items() if key != "flow_name" and value != {}}
    for kind in ("build", "push", "pull", "triggers", "sla"):
        if kind in saved and (not saved[kind] or saved[kind] == project.data.get(kind)):
            del saved[kind]
    first = {key: saved.pop(key) for key in ("name", "entrypoint")}
    return {**first, **saved}


# --- asking --------------------------------------------------------------------------------------


def choose(question: str, rows: list[str]) -> int:
    """The number of the row that is chosen, from zero."""
    for number, row in enumerate(rows, 1):
        click.echo(f"  {number}. {row}")
    return click.prompt(question, type=click.IntRange(1, len(rows)), default=1) - 1


def _checked(question: str, check: Any, default: Any = None, kind: Any = str) -> Any:
    """An answer without faults; asks again until there is one."""
    while True:
        answer = click.prompt(question, default=default, type=kind)
        wrong = next(iter(check((), answer)), None)
        if wrong is None:
            return answer
        allowed = f"; allowed: {wrong.allowed}" if wrong.allowed else ""
        click.echo(f"That {wrong.message}{allowed}.", err=True)


def _entrypoint(directory: Path) -> str:
    found = flows_below(directory)
    if found:
        number = choose("Which flow?", [*found, ANOTHER])
        if number < len(found):
            return found[number]
    return _checked("Entrypoint of the flow (path/to/file.py:flow)", entrypoint)


def _pool(client: Api, made: dict[str, Any]) -> WorkPool | None:
    """The work pool of the entry, which is chosen or created when it names none."""
    pool = dict(made.get("work_pool") or {})
    if not pool.get("name"):
        pools = client.call("read_work_pools", body=WorkPoolsPage(limit=PAGE))
        pools = [one for one in pools if one.type != "prefect-agent"]
        rows = [f"{one.name}  ({one.type})" for one in pools]
        number = choose("Which work pool?", [*rows, "a new one"])
        if number < len(pools):
            pool["name"] = pools[number].name
        else:
            pool["name"] = click.prompt("Name of the new work pool", default="default")
            kind = click.prompt("Its type", default="process")
            body = WorkPoolCreate(name=pool["name"], type=kind)
            client.call("create_work_pool", body=body)
            click.echo(f"Created the work pool {pool['name']!r}.")
        made["work_pool"] = pool
    try:
        return client.call("read_work_pool", pool["name"])
    except ObjectNotFound:
        return None  # deploying tells, with the next step


def _pull(project: Project, made: dict[str, Any]) -> list[dict[str, Any]]:
    """A step that clones the repository of the project, when somebody wants that."""
    repository = remote_repository(project.directory)
    if repository is None:
        return []
    if not click.confirm("Should runs clone the code from its git repository?", default=True):
        return []
    if not click.confirm(f"Is {repository} its address?", default=True):
        repository = click.prompt("Address of the repository")
    branch = known_values(project.directory)["branch"]
    if not click.confirm(f"Is {branch} the branch?", default=True):
        branch = click.prompt("Branch")
    inputs = {"repository": repository, "branch": branch}
    if click.confirm("Is it private?", default=False):
        inputs["access_token"] = _saved_token(project, made)
    return [{"prefect.deployments.steps.git_clone": inputs}]


def _saved_token(project: Project, made: dict[str, Any]) -> str:
    """Keeps a token on the server, encrypted; the placeholder for it."""
    # Blocks bring a validation library that nothing else here needs.
    from pydantic import SecretStr

    from penstock.blocks.system import Secret

    token = click.prompt("Access token", hide_input=True)
    flow = flow_name_in(project.directory, made["entrypoint"]) or "flow"
    words = f"deployment-{made['name']}-{flow}-repo-token".lower()
    name = "".join(letter if letter.isalnum() and letter.isascii() else "-" for letter in words)
    if name != words:
        name = f"{name}-{stable_hash(words)[:6]}"
    Secret(value=SecretStr(token)).save(name, overwrite=True)
    click.echo(f"Kept the token in the Secret block {name!r}.")
    return f"{{{{ prefect.blocks.secret.{name} }}}}"


# --- schedules -----------------------------------------------------------------------------------


def _schedules() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    question, default = "Should it run on a schedule?", True
    while click.confirm(question, default=default):
        made.append(_schedule())
        question, default = "Another schedule?", False
    return made


def _schedule() -> dict[str, Any]:
    kind = ("cron", "interval", "rrule")[
        choose("What kind?", ["cron", "interval in seconds", "recurrence rule (RFC 5545)"])
    ]
    made: dict[str, Any] = {}
    if kind == "interval":
        made["interval"] = click.prompt("Seconds", type=click.IntRange(1), default=3600)
    else:
        given = {"cron": "0 0 * * *", "rrule": "FREQ=DAILY"}[kind]
        made[kind] = _working(kind, given)
    if kind != "interval":
        made["timezone"] = click.prompt("Time zone", default="UTC")
    if not click.confirm("Is it active?", default=True):
        made["active"] = False
    faults = list(schedule((), made))
    return made if not faults else _schedule()


def _working(kind: str, default: str) -> str:
    """A rule that the server will take; asks again until there is one."""
    # Only this question pays for loading the server's rules.
    from penstock.cli.schedule_rules import schedule_fault

    while True:
        answer = click.prompt({"cron": "Cron expression", "rrule": "Rule"}[kind], default=default)
        wrong = schedule_fault(schedule_of({kind: answer}))
        if wrong is None:
            return answer
        click.echo(wrong, err=True)
