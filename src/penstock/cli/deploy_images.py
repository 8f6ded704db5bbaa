"""The questions of `penstock deploy` about an image: whether to build one, and where to."""

from pathlib import Path
from typing import Any

import click

from penstock.schemas.work import WorkPool

_STEPS = "prefect_docker.deployments.steps"
_PACKAGE = "prefect-docker"


def image_steps(pool: WorkPool | None, directory: Path, name: str) -> dict[str, Any]:
    """The members of an entry that build an image for a pool whose jobs can run one.

    Empty when the pool's jobs take no image, or when nobody wants to build one.
    """
    if pool is None or not _takes_image(pool):
        return {}
    if not click.confirm("Build an image for this deployment?", default=False):
        return {}
    own = (directory / "Dockerfile").exists() and click.confirm(
        "Use the Dockerfile of this directory?", default=True
    )
    registry = click.prompt("Repository of the image, such as registry.example.com/team")
    image = click.prompt("Name of the image", default=name)
    tag = click.prompt("Tag", default="latest")
    build = {
        "requires": _PACKAGE,
        "id": "build-image",
        "dockerfile": "Dockerfile" if own else "auto",
        "image_name": f"{registry.rstrip('/')}/{image}",
        "tag": tag,
    }
    made: dict[str, Any] = {
        "build": [{f"{_STEPS}.build_docker_image": build}],
        "work_pool": {"name": pool.name, "job_variables": {"image": "{{ build-image.image }}"}},
    }
    if click.confirm("Push it to a registry?", default=True):
        push: dict[str, Any] = {
            "requires": _PACKAGE,
            "image_name": "{{ build-image.image_name }}",
            "tag": "{{ build-image.tag }}",
        }
        if click.confirm("Does the registry ask for credentials?", default=False):
            block = click.prompt("Name of the docker-registry-credentials block")
            push["credentials"] = f"{{{{ prefect.blocks.docker-registry-credentials.{block} }}}}"
        made["push"] = [{f"{_STEPS}.push_docker_image": push}]
    if not own:
        directory_name = directory.name
        made["pull"] = [
            {
                "prefect.deployments.steps.set_working_directory": {
                    "directory": f"/opt/prefect/{directory_name}"
                }
            }
        ]
    return made


def _takes_image(pool: WorkPool) -> bool:
    """Whether the jobs of a pool have a variable `image` that may be any text."""
    variables = pool.base_job_template.get("variables") or {}
    image = (variables.get("properties") or {}).get("image") or {}
    kinds = [image, *(image.get("anyOf") or ())]
    return any(one.get("type") == "string" and "enum" not in one for one in kinds)
