"""Settings of the Redis connection."""

from penstock.settings.declaration import Setting
from penstock.settings.kinds import Boolean, Choice, Integer, Number, SecretText, Text

_SECONDS_OR_NONE = Number(ge=0, optional=True)
_R = "redis.messaging."
_Q = "redis.worker_cleanup_queue."

SETTINGS = (
    Setting(
        _R + "url",
        SecretText(optional=True),
        None,
        "Address of Redis; from the parts below when unset.",
        secret=True,
    ),
    Setting(_R + "host", Text(), "localhost", "Machine Redis runs on."),
    Setting(_R + "port", Integer(ge=0, le=65_535), 6379, "Port of Redis."),
    Setting(_R + "db", Integer(ge=0), 0, "Number of the Redis database."),
    Setting(_R + "username", Text(), "default", "Redis user."),
    Setting(_R + "password", SecretText(optional=True), None, "Redis password.", secret=True),
    Setting(_R + "health_check_interval", Integer(ge=0), 20, "Seconds between two checks."),
    Setting(_R + "ssl", Boolean(), False, "Connect with TLS."),
    Setting(_R + "socket_timeout", _SECONDS_OR_NONE, None, "Seconds an answer may take."),
    Setting(_R + "socket_connect_timeout", _SECONDS_OR_NONE, None, "Seconds to connect."),
    Setting(_R + "protocol", Integer(ge=2, le=3), 2, "Version of the Redis protocol."),
    # --- the cleanup queue ---
    Setting(_Q + "key_prefix", Text(), "penstock:cleanup", "Begins every key of the queue."),
    Setting(
        _Q + "url",
        SecretText(optional=True),
        None,
        "Address of Redis for the cleanup queue; from the parts below when unset.",
        secret=True,
    ),
    Setting(_Q + "host", Text(), "localhost", "Machine Redis runs on."),
    Setting(_Q + "port", Integer(ge=0, le=65_535), 6379, "Port of Redis."),
    Setting(_Q + "db", Integer(ge=0), 0, "Number of the Redis database."),
    Setting(_Q + "username", Text(), "default", "Redis user."),
    Setting(_Q + "password", SecretText(optional=True), None, "Redis password.", secret=True),
    Setting(_Q + "health_check_interval", Integer(ge=0), 20, "Seconds between two checks."),
    Setting(_Q + "ssl", Boolean(), False, "Connect with TLS."),
    Setting(_Q + "socket_timeout", _SECONDS_OR_NONE, 5.0, "Seconds an answer may take."),
    Setting(_Q + "socket_connect_timeout", _SECONDS_OR_NONE, 5.0, "Seconds to connect."),
    Setting(_Q + "protocol", Integer(ge=2, le=3), 2, "Version of the Redis protocol."),
    Setting(_Q + "engine", Choice("optimistic"), "optimistic", "How changes are made safe."),
)
