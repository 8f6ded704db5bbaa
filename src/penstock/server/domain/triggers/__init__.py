"""When automations fire: a pure step over the event log.

`model` has triggers made ready for evaluation and what is remembered between events, `matching`
what an event must be like, `windows` one event trigger, `evaluation` whole automations,
`index` finds the few automations that an event may concern.
"""
