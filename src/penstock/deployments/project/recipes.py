"""Recipes: how a project file begins, by where the code is and what runs it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

Step = dict[str, dict[str, Any]]


class Recipe(NamedTuple):
    """Steps with `<name>` where a value of the project goes. `inputs` are asked for, with what
    they are."""

    doc: str
    inputs: dict[str, str]
    build: list[Step]
    push: list[Step]
    pull: list[Step]


_OWN = "prefect.deployments.steps"
_DOCKER = "prefect_docker.deployments.steps"
_CLONE: Step = {f"{_OWN}.git_clone": {"repository": "<repository>", "branch": "<branch>"}}
_IMAGE = {
    "image_name": "The image name, with its registry: registry/namespace/name.",
    "tag": "The tag of the image.",
}
_BUILD: list[Step] = [
    {
        f"{_DOCKER}.build_docker_image": {
            "id": "build-image",
            "requires": "prefect-docker",
            "image_name": "<image_name>",
            "tag": "<tag>",
            "dockerfile": "<dockerfile>",
        }
    }
]
_PUSH_IMAGE: list[Step] = [
    {
        f"{_DOCKER}.push_docker_image": {
            "requires": "prefect-docker",
            "image_name": "{{ build-image.image_name }}",
            "tag": "{{ build-image.tag }}",
        }
    }
]


def _bucket(package: str, suffix: str, place: str) -> tuple[list[Step], list[Step]]:
    """The push and the pull step of one kind of cloud storage."""
    module = package.replace("-", "_")
    push: Step = {
        f"{module}.deployments.steps.push_to_{suffix}": {
            "id": "push-code",
            "requires": package,
            place: f"<{place}>",
            "folder": "<name>",
            "credentials": None,
        }
    }
    pull: Step = {
        f"{module}.deployments.steps.pull_from_{suffix}": {
            "id": "pull-code",
            "requires": package,
            place: f"{{{{ push-code.{place} }}}}",
            "folder": "{{ push-code.folder }}",
            "credentials": None,
        }
    }
    return [push], [pull]


_S3 = _bucket("prefect-aws", "s3", "bucket")
_GCS = _bucket("prefect-gcp", "gcs", "bucket")
_AZURE = _bucket("prefect-azure", "azure_blob_storage", "container")
_IN_BUCKET = {"bucket": "The bucket the code is kept in."}
_IN_CONTAINER = {"container": "The container the code is kept in."}

RECIPES: dict[str, Recipe] = {
    "local": Recipe(
        "The code stays in this directory.",
        {},
        [],
        [],
        [{f"{_OWN}.set_working_directory": {"directory": "<directory>"}}],
    ),
    "git": Recipe(
        "The code is cloned from its repository for each run.",
        {"repository": "The address of the repository."},
        [],
        [],
        [_CLONE],
    ),
    "docker": Recipe(
        "The code is in an image, which is built and pushed.",
        _IMAGE,
        _BUILD,
        _PUSH_IMAGE,
        [{f"{_OWN}.set_working_directory": {"directory": "/opt/prefect/<name>"}}],
    ),
    "docker-git": Recipe(
        "An image is built and pushed; the code is cloned in it.",
        {**_IMAGE, "repository": "The address of the repository."},
        _BUILD,
        _PUSH_IMAGE,
        [_CLONE],
    ),
    "s3": Recipe("The code is kept in an S3 bucket.", _IN_BUCKET, [], *_S3),
    "gcs": Recipe("The code is kept in a Google Cloud bucket.", _IN_BUCKET, [], *_GCS),
    "azure": Recipe("The code is kept in an Azure container.", _IN_CONTAINER, [], *_AZURE),
    "docker-s3": Recipe(
        "An image, and the code in an S3 bucket.",
        {**_IMAGE, **_IN_BUCKET},
        _BUILD,
        [*_PUSH_IMAGE, *_S3[0]],
        _S3[1],
    ),
    "docker-gcs": Recipe(
        "An image, and the code in a Google Cloud bucket.",
        {**_IMAGE, **_IN_BUCKET},
        _BUILD,
        [*_PUSH_IMAGE, *_GCS[0]],
        _GCS[1],
    ),
    "docker-azure": Recipe(
        "An image, and the code in an Azure container.",
        {**_IMAGE, **_IN_CONTAINER},
        _BUILD,
        [*_PUSH_IMAGE, *_AZURE[0]],
        _AZURE[1],
    ),
}


def steps_of(recipe: str, values: Mapping[str, Any]) -> dict[str, list[Step]]:
    """The build, push and pull steps of a recipe with `values` in them.

    Raises `ValueError` for an unknown recipe and for a value that is missing.
    """
    if recipe not in RECIPES:
        raise ValueError(f"there is no recipe {recipe!r}; there are {', '.join(RECIPES)}")
    chosen = RECIPES[recipe]
    missing = [name for name in chosen.inputs if not values.get(name)]
    if missing:
        raise ValueError(f"the recipe {recipe!r} needs {', '.join(missing)}")
    return {
        "build": _filled(chosen.build, values),
        "push": _filled(chosen.push, values),
        "pull": _filled(chosen.pull, values),
    }


def _filled(value: Any, values: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        for name, text in values.items():
            value = value.replace(f"<{name}>", str(text))
        return value
    if isinstance(value, Mapping):
        return {key: _filled(item, values) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, values) for item in value]
    return value
