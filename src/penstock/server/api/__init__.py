"""The HTTP and WebSocket edge: everything between a socket and an operation."""
