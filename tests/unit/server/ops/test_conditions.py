"""Which filters would change everything."""

from typing import Any

import pytest

from penstock.schemas.errors import RequestInvalid
from penstock.schemas.filters import (
    AnyTagsFilter,
    FlowRunFilter,
    FlowRunFilterState,
    IdFilter,
    NameFilter,
    OptionalIdFilter,
    OptionalTimeBounds,
    StateTypeFilter,
)
from penstock.schemas.shapes import Operator
from penstock.server.ops.conditions import has_condition, require_condition


@pytest.mark.parametrize(
    "filter",
    [
        None,
        FlowRunFilter(),
        FlowRunFilter(operator=Operator.OR),
        FlowRunFilter(id=IdFilter(), state=FlowRunFilterState(type=StateTypeFilter())),
        FlowRunFilter(id=IdFilter(not_any_=[])),
        FlowRunFilter(tags=AnyTagsFilter(all_=[])),
        FlowRunFilter(name=NameFilter(like_="")),
    ],
)
def test_nothing_is_asked(filter: Any) -> None:
    assert not has_condition(filter)
    with pytest.raises(RequestInvalid, match="flow_runs"):
        require_condition(filter, "flow_runs")


@pytest.mark.parametrize(
    "filter",
    [
        FlowRunFilter(id=IdFilter(any_=[])),
        FlowRunFilter(name=NameFilter(like_="a")),
        FlowRunFilter(end_time=OptionalTimeBounds(is_null_=False)),
        FlowRunFilter(deployment_id=OptionalIdFilter(is_null_=True)),
        FlowRunFilter(state=FlowRunFilterState(type=StateTypeFilter(any_=[]))),
    ],
)
def test_something_is_asked(filter: Any) -> None:
    require_condition(filter, "flow_runs")
