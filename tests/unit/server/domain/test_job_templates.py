"""Base job templates."""

from typing import Any

import pytest

from penstock.schemas.worker_types import BASE_JOB_TEMPLATES
from penstock.server.domain.job_templates import TemplateInvalid, check_template


@pytest.mark.parametrize(
    "template",
    [
        {},
        {"job_configuration": {}, "variables": {}},
        {
            "job_configuration": {"a": ["{{ x }}", {"{{y}}": "-{{ x }}-{{ y.z }}"}]},
            "variables": {"properties": {"x": {}, "y": {}}},
        },
        {
            "job_configuration": {
                "name": "{{ ctx.flow.name }}",
                "secret": "{{ prefect.blocks.secret.key }}",
                "home": "{{ $HOME }}",
            },
            "variables": {"properties": {}},
        },
        *BASE_JOB_TEMPLATES.values(),
    ],
)
def test_accepted(template: dict[str, Any]) -> None:
    check_template(template)


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ({"job_configuration": {}}, "needs variables"),
        ({"variables": {}}, "needs job_configuration"),
        ({"x": 1}, "needs job_configuration and variables"),
        ({"job_configuration": {}, "variables": []}, "not a JSON schema"),
        ({"job_configuration": {}, "variables": {"properties": []}}, "not a mapping"),
        (
            {
                "job_configuration": {"a": "{{ b }} {{ a }}", "{{ c }}": 1},
                "variables": {"properties": {"a": {}}},
            },
            "does not declare: b, c",
        ),
    ],
)
def test_refused(template: dict[str, Any], said: str) -> None:
    with pytest.raises(TemplateInvalid, match=said):
        check_template(template)
