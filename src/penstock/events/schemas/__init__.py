"""Types of events as the SDK gives them to users."""
