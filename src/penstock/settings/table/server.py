"""Settings of the server: API, database, events, UI, worker channel."""

from datetime import timedelta

from penstock.settings.declaration import HomePath, Setting
from penstock.settings.kinds import (
    Boolean,
    Choice,
    Duration,
    FilePath,
    Integer,
    Number,
    SecretText,
    Text,
    TextList,
)
from penstock.settings.table.sdk import LEVELS

_FLAG = Boolean()
_TEXT = Text()
_TEXT_OR_NONE = Text(optional=True)
_SECRET_OR_NONE = SecretText(optional=True)
_INTEGER = Integer()
_INTEGER_OR_NONE = Integer(optional=True)
_POSITIVE = Integer(gt=0)
_COUNT = Integer(ge=0)
_SECONDS = Number(ge=0)
_SECONDS_OR_NONE = Number(ge=0, optional=True)
_PORT = Integer(ge=0, le=65_535)
_DURATION = Duration()

_SQL = "server.database.sqlalchemy."
_TLS = _SQL + "connect_args.tls."

SETTINGS = (
    Setting(
        "server.logging_level",
        LEVELS,
        "WARNING",
        "Level of the server's log.",
        alias="LOGGING_SERVER_LEVEL",
    ),
    Setting(
        "server.metrics_enabled",
        _FLAG,
        False,
        "Serve metrics of the server.",
        alias="API_ENABLE_METRICS",
    ),
    Setting(
        "server.log_retryable_errors",
        _FLAG,
        False,
        "Log errors that clients are expected to retry.",
        alias="API_LOG_RETRYABLE_ERRORS",
    ),
    Setting(
        "server.register_blocks_on_start",
        _FLAG,
        True,
        "Register the built-in block types at start.",
        alias="API_BLOCKS_REGISTER_ON_START",
    ),
    Setting(
        "server.memoize_block_auto_registration",
        _FLAG,
        True,
        "Skip registering block types that did not change.",
        alias="MEMOIZE_BLOCK_AUTO_REGISTRATION",
    ),
    Setting(
        "server.memo_store_path",
        FilePath(),
        HomePath("memo_store.toml"),
        "File that remembers which block types are registered.",
        alias="MEMO_STORE_PATH",
    ),
    Setting(
        "server.deployment_schedule_max_scheduled_runs",
        _INTEGER,
        50,
        "Most runs a schedule may keep planned.",
        alias="DEPLOYMENT_SCHEDULE_MAX_SCHEDULED_RUNS",
    ),
    # --- api ---
    Setting(
        "server.api.auth_string",
        _SECRET_OR_NONE,
        None,
        "`user:password` every request must carry; no check when unset.",
        secret=True,
    ),
    Setting("server.api.host", _TEXT, "127.0.0.1", "Address the server listens on."),
    Setting("server.api.port", _PORT, 4200, "Port the server listens on."),
    Setting("server.api.base_path", _TEXT_OR_NONE, None, "Path of the API; /api when unset."),
    Setting(
        "server.api.default_limit",
        _INTEGER,
        200,
        "Most objects one list request returns.",
        alias="API_DEFAULT_LIMIT",
    ),
    Setting(
        "server.api.keepalive_timeout",
        _INTEGER,
        5,
        "Seconds an idle connection is kept open.",
    ),
    Setting(
        "server.api.csrf_protection_enabled",
        _FLAG,
        False,
        "Ask browsers for request-forgery tokens.",
        alias="SERVER_CSRF_PROTECTION_ENABLED",
    ),
    Setting(
        "server.api.csrf_token_expiration",
        _DURATION,
        timedelta(hours=1),
        "How long a request-forgery token is valid.",
        alias="SERVER_CSRF_TOKEN_EXPIRATION",
    ),
    Setting(
        "server.api.cors_allowed_origins",
        _TEXT,
        "*",
        "Web origins that may call the API, separated by commas.",
        alias="SERVER_CORS_ALLOWED_ORIGINS",
    ),
    Setting(
        "server.api.cors_allowed_methods",
        _TEXT,
        "*",
        "Methods other origins may use, separated by commas.",
        alias="SERVER_CORS_ALLOWED_METHODS",
    ),
    Setting(
        "server.api.cors_allowed_headers",
        _TEXT,
        "*",
        "Headers other origins may send, separated by commas.",
        alias="SERVER_CORS_ALLOWED_HEADERS",
    ),
    Setting(
        "server.api.websocket_ping_interval", _SECONDS, 20.0, "Seconds between two socket pings."
    ),
    Setting(
        "server.api.websocket_ping_timeout",
        _SECONDS,
        20.0,
        "Seconds a socket may leave a ping unanswered.",
    ),
    Setting(
        "server.api.max_request_size",
        _POSITIVE,
        16_777_216,
        "Most bytes of one request's body; a larger one is answered with 413.",
    ),
    Setting(
        "server.api.allowed_hosts",
        TextList(),
        (),
        "Names a request's Host header may have; any when empty.",
    ),
    Setting(
        "server.api.max_parameter_size",
        _COUNT,
        524_288,
        "Most bytes of a flow run's parameters as JSON.",
    ),
    # --- concurrency, deployments ---
    Setting(
        "server.concurrency.initial_deployment_lease_duration",
        Number(ge=30, le=3600),
        300.0,
        "Seconds a deployment's slot is held before its run must renew it.",
    ),
    Setting(
        "server.concurrency.maximum_concurrency_slot_wait_seconds",
        _SECONDS,
        30.0,
        "Longest wait a client is told before it asks for a slot again.",
    ),
    Setting(
        "server.deployments.concurrency_slot_wait_seconds",
        _SECONDS,
        30.0,
        "Seconds a run waits before it asks for its deployment's slot again.",
        alias="DEPLOYMENT_CONCURRENCY_SLOT_WAIT_SECONDS",
    ),
    # --- database ---
    Setting(
        "server.database.connection_url",
        _SECRET_OR_NONE,
        None,
        "sqlite:///PATH or postgresql://...; from the parts below when unset.",
        alias="API_DATABASE_CONNECTION_URL",
        secret=True,
    ),
    Setting(
        "server.database.driver",
        Choice("postgresql+asyncpg", "sqlite+aiosqlite", "postgresql", "sqlite", optional=True),
        None,
        "Kind of database, when no URL is given.",
        alias="API_DATABASE_DRIVER",
    ),
    Setting(
        "server.database.host",
        _TEXT_OR_NONE,
        None,
        "Machine of the PostgreSQL server.",
        alias="API_DATABASE_HOST",
    ),
    Setting(
        "server.database.port",
        Integer(ge=0, le=65_535, optional=True),
        None,
        "Port of the PostgreSQL server; 5432 when unset.",
        alias="API_DATABASE_PORT",
    ),
    Setting(
        "server.database.user",
        _TEXT_OR_NONE,
        None,
        "PostgreSQL user.",
        alias="API_DATABASE_USER",
    ),
    Setting(
        "server.database.name",
        _TEXT_OR_NONE,
        None,
        "PostgreSQL database, or path of the SQLite file.",
        alias="API_DATABASE_NAME",
    ),
    Setting(
        "server.database.password",
        _SECRET_OR_NONE,
        None,
        "PostgreSQL password; also replaces ${PENSTOCK_SERVER_DATABASE_PASSWORD} in the URL.",
        alias="API_DATABASE_PASSWORD",
        secret=True,
    ),
    Setting(
        "server.database.echo",
        _FLAG,
        False,
        "Log every SQL statement.",
        alias="API_DATABASE_ECHO",
    ),
    Setting(
        "server.database.migrate_on_start",
        _FLAG,
        True,
        "Bring the schema up to date at start.",
        alias="API_DATABASE_MIGRATE_ON_START",
    ),
    Setting(
        "server.database.timeout",
        _SECONDS_OR_NONE,
        10.0,
        "Seconds a statement may wait for the database.",
        alias="API_DATABASE_TIMEOUT",
    ),
    Setting(
        "server.database.connection_timeout",
        _SECONDS_OR_NONE,
        5.0,
        "Seconds a connection attempt may take.",
        alias="API_DATABASE_CONNECTION_TIMEOUT",
    ),
    Setting(
        _SQL + "pool_size", _INTEGER, 5, "Connections kept open.", alias="SQLALCHEMY_POOL_SIZE"
    ),
    Setting(_SQL + "pool_recycle", _INTEGER, 3600, "Seconds after which one is replaced."),
    Setting(_SQL + "pool_timeout", _SECONDS_OR_NONE, 30.0, "Seconds to wait for a free one."),
    Setting(
        _SQL + "max_overflow",
        _INTEGER,
        10,
        "Connections opened beyond the pool under load.",
        alias="SQLALCHEMY_MAX_OVERFLOW",
    ),
    Setting(
        _SQL + "connect_args.application_name",
        _TEXT_OR_NONE,
        None,
        "Name shown in PostgreSQL's list of connections.",
    ),
    Setting(
        _SQL + "connect_args.search_path",
        _TEXT_OR_NONE,
        None,
        "Schemas in which PostgreSQL looks for tables.",
    ),
    Setting(
        _SQL + "connect_args.statement_cache_size",
        _INTEGER_OR_NONE,
        None,
        "Prepared statements kept per connection; 0 behind a transaction pooler.",
    ),
    Setting(
        _SQL + "connect_args.prepared_statement_cache_size",
        _INTEGER_OR_NONE,
        None,
        "Older name of the same limit.",
    ),
    Setting(_TLS + "enabled", _FLAG, False, "Connect to PostgreSQL with TLS."),
    Setting(_TLS + "ca_file", _TEXT_OR_NONE, None, "Certificates trusted for it."),
    Setting(_TLS + "cert_file", _TEXT_OR_NONE, None, "Client certificate for it."),
    Setting(_TLS + "key_file", _TEXT_OR_NONE, None, "Key of the client certificate."),
    Setting(_TLS + "check_hostname", _FLAG, True, "The certificate must name the host."),
    # --- bus ---
    Setting(
        "server.docket.url",
        _TEXT,
        "memory://",
        "Where server processes wake each other: memory://, postgresql:// or redis://host:port/n.",
    ),
    # --- ephemeral ---
    Setting(
        "server.ephemeral.enabled",
        _FLAG,
        False,
        "Run the server inside the process when no API address is set.",
        alias="SERVER_ALLOW_EPHEMERAL_MODE",
    ),
    Setting(
        "server.ephemeral.startup_timeout_seconds",
        _INTEGER,
        20,
        "Seconds an embedded server may take to start.",
    ),
    # --- events ---
    Setting(
        "server.events.stream_out_enabled",
        _FLAG,
        True,
        "Offer the socket that streams events to clients.",
        alias="API_EVENTS_STREAM_OUT_ENABLED",
    ),
    Setting(
        "server.events.related_resource_cache_ttl",
        _DURATION,
        timedelta(minutes=5),
        "How long looked-up related resources are remembered.",
        alias="API_EVENTS_RELATED_RESOURCE_CACHE_TTL",
    ),
    Setting(
        "server.events.maximum_labels_per_resource",
        _INTEGER,
        500,
        "Most labels of one resource of an event.",
        alias="EVENTS_MAXIMUM_LABELS_PER_RESOURCE",
    ),
    Setting(
        "server.events.maximum_related_resources",
        _INTEGER,
        100,
        "Most related resources of one event.",
        alias="EVENTS_MAXIMUM_RELATED_RESOURCES",
    ),
    Setting(
        "server.events.maximum_size_bytes",
        _INTEGER,
        1_500_000,
        "Most bytes of one event as JSON.",
        alias="EVENTS_MAXIMUM_SIZE_BYTES",
    ),
    Setting(
        "server.events.expired_bucket_buffer",
        _DURATION,
        timedelta(seconds=60),
        "How long a finished automation window is kept for late events.",
        alias="EVENTS_EXPIRED_BUCKET_BUFFER",
    ),
    Setting(
        "server.events.proactive_granularity",
        _DURATION,
        timedelta(seconds=5),
        "How often triggers that wait for silence are looked at.",
        alias="EVENTS_PROACTIVE_GRANULARITY",
    ),
    Setting(
        "server.events.retention_period",
        _DURATION,
        timedelta(days=7),
        "How long events are kept.",
        alias="EVENTS_RETENTION_PERIOD",
    ),
    Setting(
        "server.events.maximum_websocket_backfill",
        _DURATION,
        timedelta(minutes=15),
        "How far back an event stream may begin.",
        alias="EVENTS_MAXIMUM_WEBSOCKET_BACKFILL",
    ),
    Setting(
        "server.events.websocket_backfill_page_size",
        _POSITIVE,
        250,
        "Past events read at once for a stream.",
        alias="EVENTS_WEBSOCKET_BACKFILL_PAGE_SIZE",
    ),
    Setting(
        "server.events.messaging_broker",
        _TEXT,
        "memory",
        "How events fan out between server processes: memory, postgres or redis.",
        alias="MESSAGING_BROKER",
    ),
    Setting(
        "server.events.maximum_event_name_length", _POSITIVE, 1024, "Most characters of a name."
    ),
    # --- flow run graph, logs ---
    Setting(
        "server.flow_run_graph.max_nodes",
        _INTEGER,
        10_000,
        "Most nodes of a flow run's graph.",
        alias="API_MAX_FLOW_RUN_GRAPH_NODES",
    ),
    Setting(
        "server.flow_run_graph.max_artifacts",
        _INTEGER,
        10_000,
        "Most artifacts of a flow run's graph.",
        alias="API_MAX_FLOW_RUN_GRAPH_ARTIFACTS",
    ),
    Setting(
        "server.logs.stream_out_enabled",
        _FLAG,
        False,
        "Offer the socket that streams log records to clients.",
    ),
    Setting(
        "server.logs.stream_publishing_enabled",
        _FLAG,
        False,
        "Publish log records for that socket.",
    ),
    # --- tasks ---
    Setting(
        "server.tasks.tag_concurrency_slot_wait_seconds",
        _SECONDS,
        10.0,
        "Seconds a task run waits before it asks for its tag's slot again.",
        alias="TASK_RUN_TAG_CONCURRENCY_SLOT_WAIT_SECONDS",
    ),
    Setting(
        "server.tasks.max_cache_key_length",
        _INTEGER,
        2000,
        "Most characters of a cache key.",
        alias="API_TASK_CACHE_KEY_MAX_LENGTH",
    ),
    Setting(
        "server.tasks.scheduling.max_scheduled_queue_size",
        _INTEGER,
        1000,
        "Most background task runs waiting for a worker, per task.",
        alias="TASK_SCHEDULING_MAX_SCHEDULED_QUEUE_SIZE",
    ),
    Setting(
        "server.tasks.scheduling.max_retry_queue_size",
        _INTEGER,
        100,
        "Most of them waiting for another attempt, per task.",
        alias="TASK_SCHEDULING_MAX_RETRY_QUEUE_SIZE",
    ),
    Setting(
        "server.tasks.scheduling.pending_task_timeout",
        _DURATION,
        timedelta(),
        "After this time a taken background task run is offered again; 0 is never.",
        alias="TASK_SCHEDULING_PENDING_TASK_TIMEOUT",
    ),
    # --- ui ---
    Setting("server.ui.enabled", _FLAG, True, "Serve the UI.", alias="UI_ENABLED"),
    Setting("server.ui.v2_enabled", _FLAG, False, "Accepted; there is one UI."),
    Setting(
        "server.ui.api_url",
        _TEXT_OR_NONE,
        None,
        "API address the UI calls; the server's own when unset.",
        alias="UI_API_URL",
    ),
    Setting(
        "server.ui.serve_base",
        _TEXT,
        "/",
        "Path below which the UI is served.",
        alias="UI_SERVE_BASE",
    ),
    Setting(
        "server.ui.static_directory",
        _TEXT_OR_NONE,
        None,
        "Directory the UI is served from instead of the packaged one.",
        alias="UI_STATIC_DIRECTORY",
    ),
    # --- audit ---
    Setting(
        "server.audit.hash_chain",
        _FLAG,
        True,
        "Seal the audit trail, so that `penstock audit verify` finds what was altered.",
    ),
    Setting(
        "server.audit.retention_days",
        Integer(ge=1, optional=True),
        None,
        "Days after which audit rows are deleted, by whole months; kept for ever when unset.",
    ),
    Setting(
        "server.audit.redact_keys",
        TextList(),
        (
            "*password*",
            "*secret*",
            "*token*",
            "*api_key*",
            "*apikey*",
            "*credential*",
            "*private_key*",
            "*authorization*",
        ),
        "Patterns of names whose values the audit trail and events never show.",
    ),
    # --- outgoing calls of automations ---
    Setting(
        "server.outbound.allow_private_addresses",
        _FLAG,
        False,
        "Let webhooks and notifications reach addresses that are not of the public internet.",
    ),
    Setting(
        "server.outbound.signing_key",
        _SECRET_OR_NONE,
        None,
        "Key of the signature that outgoing webhooks and notifications carry.",
        secret=True,
    ),
    # --- worker channel ---
    Setting(
        "server.worker_channel.cleanup_queue_storage",
        _TEXT,
        "database",
        "Where the working set of cleanup messages is held: database or redis.",
    ),
    Setting(
        "server.worker_channel.cleanup_lease_seconds",
        Number(gt=0),
        30.0,
        "Seconds a worker may hold a cleanup message without renewing.",
    ),
    Setting(
        "server.worker_channel.cleanup_max_delivery_attempts",
        Integer(ge=1),
        10,
        "Charged failures after which a cleanup message is set aside.",
    ),
    Setting(
        "server.worker_channel.cleanup_completed_idempotency_retention_seconds",
        _SECONDS_OR_NONE,
        604_800.0,
        "Seconds a finished cleanup is remembered; for ever when unset.",
    ),
    Setting(
        "server.worker_channel.cleanup_max_deliveries",
        Integer(ge=1),
        100,
        "Deliveries, free ones too, after which a cleanup message is set aside.",
    ),
    Setting(
        "server.worker_channel.cleanup_retry_base_seconds",
        Number(gt=0),
        5.0,
        "Seconds a cleanup message rests after its first failure; doubled with each.",
    ),
    Setting(
        "server.worker_channel.cleanup_retry_max_seconds",
        Number(gt=0),
        300.0,
        "Most seconds a cleanup message rests after a failure.",
    ),
    Setting(
        "server.worker_channel.cleanup_retry_jitter",
        Number(ge=0),
        0.2,
        "Part of its rest, at most 1, by which a cleanup message comes earlier or later.",
    ),
    Setting(
        "server.worker_channel.cleanup_placement_wait_seconds",
        Number(ge=0),
        60.0,
        "Seconds for which only the launching worker is asked where it is preferred.",
    ),
    Setting(
        "server.worker_channel.cleanup_unroutable_alert_seconds",
        Number(gt=0),
        900.0,
        "Seconds after which an event tells that no worker takes a cleanup message.",
    ),
    Setting(
        "server.worker_channel.cleanup_max_age_seconds",
        Number(gt=0),
        604_800.0,
        "Seconds after which a cleanup message nobody took is set aside.",
    ),
    Setting(
        "server.worker_channel.cleanup_dead_retention_seconds",
        _SECONDS_OR_NONE,
        None,
        "Seconds a dead letter is kept; for ever when unset.",
    ),
    Setting(
        "server.worker_channel.cleanup_max_concurrency_per_worker",
        Integer(ge=1),
        16,
        "Most cleanup messages a worker holds at once.",
    ),
)
