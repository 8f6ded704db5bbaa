"""Steps of a deployment: what is done before a flow is deployed, and before each of its runs.

A step is a mapping of one function to its inputs. `prefect.deployments.steps.` and
`penstock.deployments.steps.` name the same functions.
"""

from penstock.deployments.steps.core import StepExecutionError, run_step, run_steps
from penstock.deployments.steps.pull import (
    agit_clone,
    git_clone,
    pull_from_remote_storage,
    pull_with_block,
    set_working_directory,
)
from penstock.deployments.steps.utility import pip_install_requirements, run_shell_script

__all__ = [
    "StepExecutionError",
    "agit_clone",
    "git_clone",
    "pip_install_requirements",
    "pull_from_remote_storage",
    "pull_with_block",
    "run_shell_script",
    "run_step",
    "run_steps",
    "set_working_directory",
]
