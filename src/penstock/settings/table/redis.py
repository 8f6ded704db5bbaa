"""Settings of the Redis connection."""

from penstock.settings.declaration import Setting
from penstock.settings.kinds import Boolean, Integer, Number, SecretText, Text

_SECONDS_OR_NONE = Number(ge=0, optional=True)
_R = "redis.messaging."

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
)
