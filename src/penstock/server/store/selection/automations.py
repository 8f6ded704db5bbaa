"""Filters on automations: what each condition is."""

from penstock.server.store.selection.conditions import (
    Table,
    any_of,
    at_most,
    has_all_tags,
    has_any_tag,
    has_no_tags,
)

AUTOMATION: Table = {
    "name.any_": any_of("automation.name"),
    "created.before_": at_most("automation.created"),
    "tags.all_": has_all_tags("automation.tags"),
    "tags.any_": has_any_tag("automation.tags"),
    "tags.is_null_": has_no_tags("automation.tags"),
}
