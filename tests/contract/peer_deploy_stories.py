"""Stories of project files, told by the peer's own `deploy` command."""

import json
import os
import subprocess
import sys
import tempfile
import traceback
from pathlib import Path

from prefect import get_client
from prefect.client.schemas.actions import WorkPoolCreate

STORIES = []

FLOW = """
from prefect import flow

@flow
def load(source: str = "a", most: int = 3):
    "Loads."
"""
PROJECT = """
name: peer
build:
  - prefect.deployments.steps.run_shell_script:
      id: it
      script: echo built
      stream_output: false
pull:
  - prefect.deployments.steps.git_clone:
      repository: https://example.com/x.git
      branch: "{{ it.stdout }}"
deployments:
  - name: nightly
    entrypoint: flows.py:load
    tags: [a, b]
    parameters: {source: x}
    concurrency_limit: {limit: 2, collision_strategy: CANCEL_NEW}
    work_pool: {name: peer-project, job_variables: {env: {A: b}}}
    schedules:
      - {cron: "0 1 * * *", timezone: Europe/Berlin, slug: night}
      - {interval: 3600, active: false, slug: hourly}
    triggers:
      - {expect: [load.wanted], parameters: {source: z}}
  - name: other
    entrypoint: flows.py:load
    work_pool: {name: peer-project}
"""


def story(function):
    STORIES.append(function)
    return function


def client():
    return get_client(sync_client=True)


def prefect(*arguments, cwd):
    done = subprocess.run(
        [sys.executable, "-m", "prefect", "--no-prompt", *arguments],
        cwd=cwd,
        env=dict(os.environ),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def made(name):
    with client() as api:
        return api.read_deployment_by_name(f"load/{name}")


@story
def deploy_all_of_a_project_file():
    directory = Path(tempfile.mkdtemp())
    (directory / "flows.py").write_text(FLOW)
    (directory / "prefect.yaml").write_text(PROJECT)
    with client() as api:
        api.create_work_pool(WorkPoolCreate(name="peer-project", type="process"))
    prefect("deploy", "--all", cwd=directory)
    nightly = made("nightly")
    assert nightly.tags == ["a", "b"]
    assert nightly.parameters == {"source": "x"}
    assert nightly.job_variables == {"env": {"A": "b"}}
    assert nightly.global_concurrency_limit.limit == 2
    assert sorted((one.slug, one.active) for one in nightly.schedules) == [
        ("hourly", False),
        ("night", True),
    ]
    [(name, inputs)] = nightly.pull_steps[0].items()
    assert name == "prefect.deployments.steps.git_clone"
    assert inputs["branch"] == "built"
    with client() as api:
        owned = api._client.get(f"/automations/related-to/prefect.deployment.{nightly.id}").json()
    assert [one["actions"][0]["parameters"] for one in owned] == [{"source": "z"}]
    assert made("other").work_pool_name == "peer-project"

    # Once more, with a change: the same deployments, no second ones.
    (directory / "prefect.yaml").write_text(PROJECT.replace("source: x", "source: y"))
    prefect("deploy", "-n", "load/nightly", cwd=directory)
    assert made("nightly").id == nightly.id
    assert made("nightly").parameters == {"source": "y"}
    assert len(made("nightly").schedules) == 2


if __name__ == "__main__":
    for function in STORIES:
        problem = None
        try:
            function()
        except BaseException:
            problem = traceback.format_exc()
        print(json.dumps({"story": function.__name__, "problem": problem}), flush=True)
