"""WebSocket endpoints: events in, events out, logs out."""
