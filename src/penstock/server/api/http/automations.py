"""Checking a template: a question that needs no database, with an answer of its own shape."""

from typing import Any

from penstock.server.api.adapter import Call, Handler
from penstock.server.api.answers import Answer
from penstock.server.domain.templates import template_problem


async def validate_template(call: Call) -> Any:
    """204 when the text can be rendered, else 422 with the line and what is wrong there."""
    problem = template_problem(call.body)
    return None if problem is None else Answer({"error": problem}, 422)


HANDLERS: dict[str, Handler] = {
    "validate_template": validate_template,
    "validate_automation_template": validate_template,
}
