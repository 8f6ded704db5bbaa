"""Which templates can be rendered."""

import pytest

from penstock.server.domain.templates import MAXIMUM_LOOPS, first_problem, template_problem

LOOP = "{% for x in events %}{{ x.id }}{% endfor %}"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no template: } { %} }}",
        "{{ flow_run.name }} entered {{ flow_run.state.name }}",
        "{% if flow_run_log_summary %}{{ flow_run_log_summary }}{% endif %}",
        "{{ event.payload | tojson }} {{ flow_run | ui_url }} {{ n | humanize_naturalsize }}",
        "{% for i in range(100) %}{{ i }}{% endfor %}",
        "{% for x in events %}{% for y in x.related %}{{ y }}{% endfor %}{% endfor %}",
        LOOP * MAXIMUM_LOOPS,
    ],
)
def test_a_template_that_can_be_rendered(text: str):
    assert template_problem(text) is None


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("{{ a", 1, "end of template"),
        ("one\ntwo {% if %}", 2, "Expected an expression"),
        ("{{ a }}\n\n{{ a | nothing }}", 3, "No filter named 'nothing'"),
        ("{% if a is nothing %}{% endif %}", 1, "No test named 'nothing'"),
        (LOOP * (MAXIMUM_LOOPS + 1), 1, "more than 10 for loops"),
        (
            "{% for a in x %}" * 3 + "{{ a }}" + "{% endfor %}" * 3,
            1,
            "nested deeper than 2",
        ),
        ("{{ range(101) | list }}", 1, "range of more than 100"),
        ("{{ range(0, 10000000000000000000000) | list }}", 1, "range of more than 100"),
    ],
)
def test_a_template_that_cannot(text: str, line: int, message: str):
    problem = template_problem(text)
    assert problem is not None
    assert (problem.line, problem.source) == (line, text)
    assert message in problem.message


def test_a_problem_anywhere_in_a_document_is_found():
    assert first_problem({"a": [1, None, {"b": "{{ x }}"}]}) is None
    problem = first_problem({"a": [1, None, {"b": "{{ x"}]})
    assert problem is not None and problem.source == "{{ x"
