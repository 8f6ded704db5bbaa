"""Settings of whatever runs flows: client, engine, logging, results, runner, worker, commands."""

from penstock.settings.declaration import HomePath, Setting
from penstock.settings.kinds import (
    Anything,
    Boolean,
    Choice,
    Delays,
    FilePath,
    Integer,
    Number,
    SecretText,
    StatusCodes,
    Text,
    TextList,
    TextMap,
    TextSet,
)

_ALL_INTERFACES = "0.0.0.0"  # noqa: S104  (a health page is meant to be reached from outside)
_FLAG = Boolean()
_TEXT = Text()
_TEXT_OR_NONE = Text(optional=True)
_SECRET_OR_NONE = SecretText(optional=True)
_PATH = FilePath()
_COUNT = Integer(ge=0)
_INTEGER = Integer()
_SECONDS = Number(ge=0)
_PORT = Integer(ge=0, le=65_535)
LEVELS = Choice("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")

SETTINGS = (
    Setting("home", _PATH, "~/.penstock", "Directory that holds all of Penstock's own files."),
    Setting(
        "profiles_path",
        _PATH,
        HomePath("profiles.toml"),
        "File that holds the profiles; a profile cannot move it.",
    ),
    Setting("debug_mode", _FLAG, False, "Log at DEBUG level everywhere."),
    Setting("ui_url", _TEXT_OR_NONE, None, "Address of the UI; from the API's address when unset."),
    Setting(
        "silence_api_url_misconfiguration",
        _FLAG,
        False,
        "Do not warn about an API address that looks wrong.",
    ),
    # --- api: the server a client talks to ---
    Setting(
        "api.url",
        _TEXT_OR_NONE,
        None,
        "Address of the API with its path, e.g. http://127.0.0.1:4200/api; embedded when unset.",
    ),
    Setting(
        "api.auth_string",
        _SECRET_OR_NONE,
        None,
        "`user:password` sent to a server that asks for it.",
        secret=True,
    ),
    Setting("api.key", _SECRET_OR_NONE, None, "Bearer token sent with each request.", secret=True),
    Setting("api.tls_insecure_skip_verify", _FLAG, False, "Accept any TLS certificate; unsafe."),
    Setting(
        "api.ssl_cert_file",
        _TEXT_OR_NONE,
        None,
        "File of trusted certificates; from SSL_CERT_FILE when unset.",
    ),
    Setting("api.enable_http2", _FLAG, False, "Accepted; requests are made with HTTP/1.1."),
    Setting("api.request_timeout", _SECONDS, 60.0, "Seconds a request may take."),
    # --- cli ---
    Setting("cli.colors", _FLAG, True, "Colours in what commands print to a terminal."),
    Setting(
        "cli.prompt",
        Boolean(optional=True),
        None,
        "Whether commands may ask; when unset they ask on a terminal.",
    ),
    Setting("cli.wrap_lines", _FLAG, True, "Wrap long lines to the width of the terminal."),
    # --- client ---
    Setting("client.max_retries", _COUNT, 5, "How often a failed request is repeated."),
    Setting(
        "client.retry_jitter_factor", _SECONDS, 0.2, "How far a retry wait may vary, as a share."
    ),
    Setting(
        "client.retry_extra_codes",
        StatusCodes(),
        frozenset(),
        "More HTTP statuses after which a request is repeated.",
    ),
    Setting("client.csrf_support_enabled", _FLAG, True, "Fetch and send request-forgery tokens."),
    Setting(
        "client.custom_headers",
        TextMap(),
        {},
        "Headers added to each request, as a JSON object.",
        secret=True,
    ),
    Setting(
        "client.server_version_check_enabled",
        _FLAG,
        True,
        "Warn when the server is older than the client.",
    ),
    Setting(
        "client.metrics.enabled",
        _FLAG,
        False,
        "Serve metrics of this process over HTTP.",
        alias="CLIENT_ENABLE_METRICS",
    ),
    Setting("client.metrics.port", _PORT, 4201, "Port of the client's metrics."),
    # --- deployments, events, experiments ---
    Setting(
        "deployments.default_work_pool_name",
        _TEXT_OR_NONE,
        None,
        "Work pool of deployments that name none.",
        alias="DEFAULT_WORK_POOL_NAME",
    ),
    Setting(
        "deployments.default_docker_build_namespace",
        _TEXT_OR_NONE,
        None,
        "Registry and namespace put before the names of built images.",
        alias="DEFAULT_DOCKER_BUILD_NAMESPACE",
    ),
    Setting(
        "events.worker_max_queue_size",
        _COUNT,
        0,
        "How many events may wait to be sent before new ones are dropped; 0 is no limit.",
    ),
    Setting(
        "experiments.warn",
        _FLAG,
        True,
        "Warn when an experimental part is used.",
        alias="EXPERIMENTAL_WARN",
    ),
    # --- flows and tasks ---
    Setting(
        "flows.heartbeat_frequency",
        Integer(ge=30, optional=True),
        180,
        "Seconds between heartbeats of a flow run; none are sent when empty.",
        alias="RUNNER_HEARTBEAT_FREQUENCY",
    ),
    Setting(
        "flows.default_retries",
        _COUNT,
        0,
        "Retries of flows that declare none.",
        alias="FLOW_DEFAULT_RETRIES",
    ),
    Setting(
        "flows.default_retry_delay_seconds",
        Delays(),
        0,
        "Seconds before a flow is retried, one number or one per retry.",
        alias="FLOW_DEFAULT_RETRY_DELAY_SECONDS",
    ),
    Setting("tasks.refresh_cache", _FLAG, False, "Run tasks again although a result is cached."),
    Setting("tasks.default_no_cache", _FLAG, False, "Tasks without cache policy do not cache."),
    Setting("tasks.disable_caching", _FLAG, False, "No task caches, whatever it declares."),
    Setting(
        "tasks.default_retries",
        _COUNT,
        0,
        "Retries of tasks that declare none.",
        alias="TASK_DEFAULT_RETRIES",
    ),
    Setting(
        "tasks.default_retry_delay_seconds",
        Delays(optional=True),
        0,
        "Seconds before a task is retried, one number or one per retry.",
        alias="TASK_DEFAULT_RETRY_DELAY_SECONDS",
    ),
    Setting(
        "tasks.default_persist_result",
        Boolean(optional=True),
        None,
        "Whether tasks that do not say so store their results.",
    ),
    Setting(
        "tasks.runner.thread_pool_max_workers",
        Integer(gt=0, optional=True),
        None,
        "Most tasks a thread pool task runner runs at once.",
        alias="TASK_RUNNER_THREAD_POOL_MAX_WORKERS",
    ),
    Setting(
        "tasks.runner.process_pool_max_workers",
        Integer(gt=0, optional=True),
        None,
        "Most tasks a process pool task runner runs at once; the CPU count when unset.",
    ),
    Setting(
        "tasks.scheduling.default_storage_block",
        _TEXT_OR_NONE,
        None,
        "Block in which arguments of background tasks are stored.",
        alias="TASK_SCHEDULING_DEFAULT_STORAGE_BLOCK",
    ),
    Setting(
        "tasks.scheduling.delete_failed_submissions",
        _FLAG,
        True,
        "Remove background task runs that could not be handed over.",
        alias="TASK_SCHEDULING_DELETE_FAILED_SUBMISSIONS",
    ),
    # --- logging ---
    Setting(
        "internal.logging_level",
        LEVELS,
        "ERROR",
        "Level of Penstock's own internal log records.",
        alias="LOGGING_INTERNAL_LEVEL",
    ),
    Setting("logging.level", LEVELS, "INFO", "Level of the loggers of flows and tasks."),
    Setting(
        "logging.config_path",
        _PATH,
        HomePath("logging.yml"),
        "Logging configuration file used instead of the built-in one when it exists.",
        alias="LOGGING_SETTINGS_PATH",
    ),
    Setting(
        "logging.extra_loggers",
        TextList(),
        (),
        "Further loggers whose records belong to the run.",
    ),
    Setting("logging.log_prints", _FLAG, False, "Log what flows and tasks print."),
    Setting("logging.colors", _FLAG, True, "Colours in console log records."),
    Setting("logging.markup", _FLAG, False, "Interpret style markup in console log records."),
    Setting("logging.to_api.enabled", _FLAG, True, "Send log records of runs to the API."),
    Setting("logging.to_api.batch_interval", _SECONDS, 2.0, "Seconds between two sendings."),
    Setting("logging.to_api.batch_size", _INTEGER, 4_000_000, "Most bytes of one sending."),
    Setting("logging.to_api.max_log_size", _INTEGER, 1_000_000, "Most bytes of one record."),
    Setting(
        "logging.to_api.when_missing_flow",
        Choice("warn", "error", "ignore"),
        "warn",
        "What happens when a run logger is used outside a run.",
    ),
    # --- plugins ---
    Setting(
        "plugins.enabled",
        _FLAG,
        False,
        "Load plugins at start-up.",
        alias="EXPERIMENTS_PLUGINS_ENABLED",
    ),
    Setting(
        "plugins.allow",
        TextSet(),
        frozenset(),
        "The only plugins to load; all when empty.",
        alias="EXPERIMENTS_PLUGINS_ALLOW",
    ),
    Setting(
        "plugins.deny",
        TextSet(),
        frozenset(),
        "Plugins not to load.",
        alias="EXPERIMENTS_PLUGINS_DENY",
    ),
    Setting(
        "plugins.setup_timeout_seconds",
        _SECONDS,
        20.0,
        "Seconds the set-up of one plugin may take.",
        alias="EXPERIMENTS_PLUGINS_SETUP_TIMEOUT_SECONDS",
    ),
    Setting(
        "plugins.strict",
        _FLAG,
        False,
        "Exit when a required plugin fails.",
        alias="EXPERIMENTS_PLUGINS_STRICT",
    ),
    Setting(
        "plugins.safe_mode",
        _FLAG,
        False,
        "Load plugins without calling them.",
        alias="EXPERIMENTS_PLUGINS_SAFE_MODE",
    ),
    # --- results ---
    Setting("results.default_serializer", _TEXT, "pickle", "How results are turned into bytes."),
    Setting("results.persist_by_default", _FLAG, False, "Store results that nothing else decides."),
    Setting(
        "results.default_storage_block",
        _TEXT_OR_NONE,
        None,
        "Block in which results are stored, as `type/name`.",
        alias="DEFAULT_RESULT_STORAGE_BLOCK",
    ),
    Setting(
        "results.local_storage_path",
        _PATH,
        HomePath("storage"),
        "Directory of results stored on this machine.",
        alias="LOCAL_STORAGE_PATH",
    ),
    # --- runner and worker ---
    Setting("runner.process_limit", _INTEGER, 5, "Most flow runs one runner runs at once."),
    Setting("runner.poll_frequency", _INTEGER, 10, "Seconds between two looks for work."),
    Setting(
        "runner.crash_on_cancellation_failure",
        _FLAG,
        False,
        "Mark a run crashed when it could not be cancelled in order.",
    ),
    Setting(
        "runner.auto_install_dependencies",
        _FLAG,
        False,
        "Install a flow's declared dependencies before it runs.",
    ),
    Setting(
        "runner.claim_lease_seconds",
        _SECONDS,
        30.0,
        "Seconds after which a run whose worker or runner is not heard of is taken back.",
    ),
    Setting(
        "runner.fresh_interpreter",
        _FLAG,
        False,
        "Start runs in a new interpreter instead of forking one that has imported everything.",
    ),
    Setting(
        "runner.preload_modules",
        _TEXT,
        "",
        "Modules, separated by commas, that are imported once for all runs of a worker or runner.",
    ),
    Setting("runner.server.enable", _FLAG, False, "Serve the runner's health page."),
    Setting("runner.server.host", _TEXT, "localhost", "Address the health page listens on."),
    Setting("runner.server.port", _PORT, 8080, "Port the health page listens on."),
    Setting("runner.server.log_level", LEVELS, "ERROR", "Level of the health page's log."),
    Setting(
        "runner.server.missed_polls_tolerance",
        _INTEGER,
        2,
        "Missed looks for work after which the runner counts as unhealthy.",
    ),
    Setting("worker.debug_mode", _FLAG, False, "Log at DEBUG level in workers."),
    Setting("worker.heartbeat_seconds", _SECONDS, 30.0, "Seconds between worker heartbeats."),
    Setting("worker.query_seconds", _SECONDS, 10.0, "Seconds between two looks for work."),
    Setting("worker.prefetch_seconds", _SECONDS, 10.0, "Seconds before its time a run is taken."),
    Setting(
        "worker.enable_cancellation", _FLAG, False, "The worker, too, carries out cancellations."
    ),
    Setting(
        "worker.cancellation_poll_seconds",
        _SECONDS,
        120.0,
        "Seconds between two looks for cancellations when no event stream is there.",
    ),
    Setting(
        "worker.cleanup_grace_seconds",
        _SECONDS,
        30.0,
        "Seconds that what a run left behind gets to end before it is killed.",
    ),
    Setting("worker.webserver.host", _TEXT, _ALL_INTERFACES, "Address of its health page."),
    Setting("worker.webserver.port", _PORT, 8080, "Port of the worker's health page."),
    # --- testing ---
    Setting(
        "testing.test_mode",
        _FLAG,
        False,
        "Ignore profiles and log at DEBUG level, for test suites.",
        alias="TEST_MODE",
    ),
    Setting(
        "testing.unit_test_mode",
        _FLAG,
        False,
        "Like test mode, for Penstock's own unit tests.",
        alias="UNIT_TEST_MODE",
    ),
    Setting(
        "testing.unit_test_loop_debug",
        _FLAG,
        True,
        "Event loops of unit tests run in debug mode.",
        alias="UNIT_TEST_LOOP_DEBUG",
    ),
    Setting(
        "testing.test_setting",
        Anything(optional=True),
        "FOO",
        "Has no effect; for tests of settings.",
        alias="TEST_SETTING",
    ),
)
