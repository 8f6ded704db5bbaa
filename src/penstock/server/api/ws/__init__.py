"""WebSocket endpoints: events in, events out, logs out, task runs for task workers."""
