"""Automations that run in a test: the loops over a store, one round at a time."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import uuid4

import msgspec
from tests.databases import World

from penstock.base import json
from penstock.schemas.automations import AutomationCreate
from penstock.schemas.events import Event
from penstock.server.ops import automations, events
from penstock.server.security.outbound import Outbound, OutboundPolicy
from penstock.server.services.actions import Actions
from penstock.server.services.triggers import Triggers


class Automations:
    """The two loops of automations over a world, turned by hand."""

    def __init__(self, world: World, outbound: Outbound | None = None) -> None:
        self.world = world
        self.triggers = Triggers(world.store)
        self.actions = Actions(
            world.store,
            outbound=outbound or Outbound(OutboundPolicy(allow_private=True, seconds=5)),
            ui_url="http://ui",
        )
        self.actions.interval_seconds = 0

    def make(self, trigger: dict[str, Any], *actions: dict[str, Any], **fields: Any) -> str:
        """A new automation; the trigger is Reactive unless it says otherwise."""
        given = {
            "name": fields.pop("name", "watch"),
            "trigger": _posed(trigger),
            "actions": list(actions),
            **fields,
        }
        body = msgspec.convert(AutomationCreate.completed(given), AutomationCreate, strict=False)
        return str(self.world.write(automations.create_automation, body=body).id)

    def emit(
        self,
        event: str,
        resource: dict[str, str] | None = None,
        *,
        related: Sequence[dict[str, str]] = (),
        payload: dict[str, Any] | None = None,
        before: float = 0.0,
        **fields: Any,
    ) -> str:
        """Store one event of a client that occurred `before` seconds ago; its id."""
        made = self.event(
            event, resource, related=related, payload=payload, before=before, **fields
        )
        self.world.write(events.create_events, body=[made])
        return str(made.id)

    def event(
        self,
        event: str,
        resource: dict[str, str] | None = None,
        *,
        related: Sequence[dict[str, str]] = (),
        payload: dict[str, Any] | None = None,
        before: float = 0.0,
        **fields: Any,
    ) -> Event:
        return Event(
            occurred=self.world.now - timedelta(seconds=before),
            event=event,
            resource={"prefect.resource.id": "thing", **(resource or {})},
            related=list(related),
            payload=payload or {},
            id=fields.pop("id", None) or uuid4(),
            **fields,
        )

    def turn(self, rounds: int = 6) -> None:
        """Let the loops do all there is to do."""
        asyncio.run(self._turn(rounds))

    async def _turn(self, rounds: int) -> None:
        for _ in range(rounds):
            await self.triggers.run_once(self.world.now)
            if not await self.actions.run_once(self.world.now):
                break
            await self.actions.finish()
        await self.actions.finish()

    def wait(self, seconds: float) -> None:
        """Time passes in steps of a second, and the loops run."""
        left = seconds
        while left > 0:
            self.world.clock.advance(min(left, 1.0))
            left -= 1.0
            asyncio.run(self._turn(6))

    # --- what happened ---------------------------------------------------------------------------

    def firings(self, automation: str | None = None) -> list[dict[str, Any]]:
        rows = self.world.rows("SELECT * FROM automation_firing ORDER BY fired, id")
        return [row for row in rows if automation in (None, row["automation_id"])]

    def outcomes(self) -> list[tuple[str, str | None]]:
        """Status and reason of every action, in order."""
        rows = self.world.rows(
            "SELECT a.status, a.reason FROM automation_action AS a"
            " JOIN automation_firing AS f ON f.id = a.firing_id ORDER BY f.fired, f.id, a.position"
        )
        return [(row["status"], row["reason"]) for row in rows]

    def told(self, event: str) -> list[dict[str, Any]]:
        """Stored events of a name, as plain values."""
        rows = self.world.rows("SELECT * FROM event WHERE event = ? ORDER BY seq", event)
        return [
            {
                **row,
                "resource": json.decode(row["resource"]),
                "related": json.decode(row["related"]),
                "payload": json.decode(row["payload"]),
            }
            for row in rows
        ]


def _posed(trigger: dict[str, Any]) -> dict[str, Any]:
    if "triggers" in trigger:
        children = [_posed(one) for one in trigger["triggers"]]
        return {"within": None, **trigger, "triggers": children}
    return {"posture": "Reactive", **trigger}
