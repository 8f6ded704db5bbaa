from uuid import UUID

import pytest

from penstock.schemas.operations import OPERATIONS
from penstock.server.api.router import Router, text_segment, uuid_segment

ID = "0198f3b2-7c1d-7abc-8def-0123456789ab"


def routes() -> Router[str]:
    router: Router[str] = Router()
    for operation in OPERATIONS.values():
        router.add(operation.method, operation.path, operation.params, operation.name)
    return router


@pytest.mark.parametrize("name", sorted(OPERATIONS))
def test_every_operation_is_found_at_its_own_path(name: str):
    operation = OPERATIONS[name]
    path = operation.path
    expected = []
    for parameter, type in zip(operation.param_names, operation.params, strict=True):
        value = ID if type is UUID else "word"
        expected.append(value)
        path = path.replace("{" + parameter + "}", value)
    match = routes().find(operation.method, path)
    assert match is not None
    assert match.target == name
    assert match.params == expected


@pytest.mark.parametrize(
    ("method", "path", "target", "params"),
    [
        ("GET", f"/flow_runs/{ID.upper()}", "read_flow_run", [ID]),
        ("GET", f"/flow_runs/{ID.replace('-', '')}", "read_flow_run", [ID]),
        ("POST", f"/flow_runs/{ID}/input/filter", "filter_flow_run_input", [ID]),
        ("GET", f"/flow_runs/{ID}/input/filter", "read_flow_run_input", [ID, "filter"]),
        ("DELETE", f"/flow_runs/{ID}/input/a b", "delete_flow_run_input", [ID, "a b"]),
        ("GET", "/flows/name/with\0nul", "read_flow_by_name", ["with\ufffdnul"]),
    ],
)
def test_literal_and_parameter_segments(method: str, path: str, target: str, params: list[str]):
    match = routes().find(method, path)
    assert match is not None
    assert (match.target, match.params) == (target, params)


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/",
        "/nothing",
        "/flow_runs/not-a-uuid",
        f"/flow_runs/{ID}/",
        f"/flow_runs/{ID}x",
        f"/flow_runs/{{{ID}}}",
        "/flows/name/",
        "/flow_runs//set_state",
        "//flows/",
    ],
)
def test_paths_that_lead_nowhere(path: str):
    assert routes().find("GET", path) is None


def test_a_wrong_method_names_the_right_ones():
    match = routes().find("HEAD", f"/flow_runs/{ID}")
    assert match is not None
    assert match.target is None
    assert match.allowed == {"GET", "PATCH", "DELETE"}


@pytest.mark.parametrize(
    ("path", "twin"),
    [
        ("/flows", "/flows/"),
        ("/events/", "/events"),
        ("/flow_run_states", "/flow_run_states/"),
        (f"/flow_runs/{ID}/", f"/flow_runs/{ID}"),
        ("/nothing", None),
        ("/", None),
        ("", None),
    ],
)
def test_the_other_form_of_a_path_that_differs_in_its_last_slash(path: str, twin: str | None):
    assert routes().slash_twin(path) == twin


def test_a_path_cannot_be_taken_twice():
    router: Router[str] = Router()
    router.add("GET", "/a/{id}", (UUID,), "first")
    router.add("POST", "/a/{id}", (UUID,), "second")
    with pytest.raises(ValueError, match=r"GET /a/\{other\} is routed twice"):
        router.add("GET", "/a/{other}", (UUID,), "third")


@pytest.mark.parametrize("text", ["", "x" * 36, ID + "\n", ID[:-1], ID + "0", f" {ID}", "é" * 36])
def test_texts_that_are_not_shaped_like_an_id(text: str):
    assert uuid_segment(text) is None


def test_an_id_in_an_odd_grouping_is_read_as_the_id_it_spells():
    assert uuid_segment(ID.replace("-", "", 1)) == ID


def test_an_empty_text_is_no_text():
    assert text_segment("") is None
