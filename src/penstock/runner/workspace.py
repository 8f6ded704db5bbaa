"""Where a deployment's run finds its code: pull steps, then the entrypoint."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from penstock.base.dual import run_coroutine
from penstock.base.lazy import LazyModule
from penstock.schemas.deployments import Deployment
from penstock.schemas.errors import MissingFlowError
from penstock.schemas.flow_runs import FlowRun

if TYPE_CHECKING:
    from penstock.deployments.steps import core as steps
else:
    # Templates, blocks and git are more than most runs use.
    steps = LazyModule("penstock.deployments.steps.core")


class Workspace:
    """The directory in which a run works, and the deployment whose code lies there."""

    def __init__(self, directory: Path, deployment: Deployment | None = None) -> None:
        self.directory = directory
        self.deployment = deployment

    def entrypoint(self, run: FlowRun) -> str:
        """Raises `MissingFlowError` when nothing says where the flow is."""
        if self.deployment is None:
            raise MissingFlowError(
                f"flow run {run.name!r} belongs to no deployment, so nothing says where its flow "
                "is; give it in PENSTOCK__FLOW_ENTRYPOINT (`path/to/file.py:flow`)"
            )
        if not self.deployment.entrypoint:
            raise MissingFlowError(
                f"deployment {self.deployment.name!r} has no entrypoint; deploy the flow again"
            )
        return self.deployment.entrypoint


def prepare(deployment: Deployment, run: FlowRun, logger: Any) -> Workspace:
    """Run the deployment's pull steps and change to the directory where they left the code.

    That is the last `directory` among their outputs, or where a step changed to. Without steps it
    is the deployment's path. Raises what a step raises.
    """
    if deployment.pull_steps:
        outputs = run_coroutine(
            steps.run_steps(
                deployment.pull_steps,
                print_function=logger.debug,
                deployment=deployment,
                flow_run=run,
                logger=logger,
            )
        )
        directory = outputs.get("directory")
    else:
        directory = deployment.path
    if directory:
        os.chdir(directory)
    return Workspace(Path.cwd(), deployment)
