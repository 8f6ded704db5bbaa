"""Slots of limits on tags for a task run, the older way: `.sync` and `.asyncio`."""
