"""Every error Penstock raises on purpose.

PenstockException                     root; carries `code` and, where it has one, an HTTP status
├── server refusals                   ObjectMissing 404, ObjectConflict 409, RequestInvalid 422, ...
├── client errors                     what an API call came back with
├── outcomes of runs                  FailedRun, CrashedRun, CancelledRun, PausedRun, ...
├── declaration and call errors       ParameterBindError, MappingLengthMismatch, ...
└── configuration errors
PenstockSignal (BaseException)        Abort, Pause: control flow of the engine, not for users
ExternalSignal (BaseException)        TerminationSignal

A message says what failed, with which object, and what to do next.
"""

from collections.abc import Callable
from typing import Any, ClassVar, Self


class PenstockException(Exception):
    """Base of all errors Penstock raises on purpose."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500


# --- server refusals: raised by operations, translated to a response at the edge -----------------


class Refusal(PenstockException):
    """A request that was understood and refused; nothing was changed."""

    code = "refused"
    status = 400

    def __init__(self, detail: str) -> None:
        super().__init__(detail)
        self.detail = detail


class Forbidden(Refusal):
    code = "forbidden"
    status = 403


class ObjectMissing(Refusal):
    """The object a request names is not there."""

    code = "not_found"
    status = 404


class ObjectConflict(Refusal):
    """The change collides with what is stored: a taken name, an unknown parent."""

    code = "conflict"
    status = 409


class ObjectGone(Refusal):
    code = "gone"
    status = 410


class BodyTooLarge(Refusal):
    code = "too_large"
    status = 413


class RequestInvalid(Refusal):
    """A request that is well-formed JSON of the wrong content."""

    code = "invalid"
    status = 422


class ServiceUnavailable(Refusal):
    """The database or another part that is needed cannot be reached now; repeating may help."""

    code = "unavailable"
    status = 503


# --- client errors -------------------------------------------------------------------------------


class PenstockHTTPStatusError(PenstockException):
    """The API answered with an error status; `retry_after` is how many seconds to wait, if said."""

    code = "http_status"

    def __init__(
        self,
        message: str,
        *,
        status_code: int = 0,
        detail: Any = None,
        request: str = "",
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.status_code = status_code
        self.detail = detail
        self.request = request
        self.retry_after = retry_after


class ObjectNotFound(PenstockHTTPStatusError):
    """The API answered 404."""

    code = "object_not_found"


class ObjectAlreadyExists(PenstockHTTPStatusError):
    """The API answered 409."""

    code = "object_already_exists"


class ObjectLimitReached(PenstockHTTPStatusError):
    """The API answered that a limit is reached."""

    code = "object_limit_reached"


class ObjectUnsupported(PenstockHTTPStatusError):
    code = "object_unsupported"


class ConcurrencySlotAcquisitionError(PenstockException):
    """Slots of concurrency limits could not be taken, or were lost."""

    code = "slots_not_acquired"


class AcquireConcurrencySlotTimeoutError(ConcurrencySlotAcquisitionError, TimeoutError):
    """No slots became free in time."""

    code = "slots_timeout"


class APIUnreachable(PenstockException):
    """No connection to the API could be made, or it broke and retries did not help."""

    code = "api_unreachable"


class EventTooLarge(PenstockException):
    """An event's JSON form is larger than the server takes."""

    code = "event_too_large"

    def __init__(self, size: int, maximum: int) -> None:
        super().__init__(
            f"the event is {size} bytes as JSON and the limit is {maximum}; shorten its payload"
        )
        self.size = size
        self.maximum = maximum


# --- outcomes of runs ----------------------------------------------------------------------------


class FailedRun(PenstockException):
    code = "run_failed"


class CrashedRun(PenstockException):
    code = "run_crashed"


class CancelledRun(PenstockException):
    code = "run_cancelled"


class PausedRun(PenstockException):
    code = "run_paused"

    def __init__(self, *args: Any, state: Any = None) -> None:
        super().__init__(*args)
        self.state = state


class UnfinishedRun(PenstockException):
    code = "run_unfinished"


class MissingResult(PenstockException):
    code = "result_missing"


class UpstreamTaskError(PenstockException):
    """A task was not run because a task or flow it depends on did not complete."""

    code = "upstream_not_completed"


class FlowPauseTimeout(PenstockException):
    code = "pause_timeout"


class FlowRunWaitTimeout(PenstockException):
    code = "wait_timeout"


class NotPausedError(PenstockException):
    code = "not_paused"


# --- declaration and call errors -----------------------------------------------------------------


class ParameterBindError(TypeError, PenstockException):
    """Arguments do not fit the signature of the flow or task."""

    code = "parameters_do_not_bind"

    @classmethod
    def from_bind_failure(
        cls,
        fn: Callable[..., Any],
        exc: TypeError,
        call_args: tuple[Any, ...],
        call_kwargs: dict[str, Any],
    ) -> Self:
        """The error of binding these arguments to `fn`, which raised `exc`."""
        name = getattr(fn, "__name__", type(fn).__name__)
        return cls(
            f"the arguments do not fit {name!r}: {exc}; given were {len(call_args)} positional "
            f"and the keywords {sorted(call_kwargs)}"
        )


class ParameterTypeError(PenstockException):
    """Arguments do not fit the annotations of the flow."""

    code = "parameters_invalid"

    @classmethod
    def from_validation_error(cls, exc: Any) -> Self:
        """The error of a failed validation, with a line for each wrong argument."""
        lines = [
            f"{'.'.join(map(str, error['loc']))}: {error['msg']}"
            for error in exc.errors(include_url=False)
        ]
        return cls("the arguments are not of the annotated types:\n - " + "\n - ".join(lines))


class SignatureMismatchError(PenstockException, TypeError):
    code = "signature_mismatch"

    @classmethod
    def from_bad_params(cls, expected_params: list[str], provided_params: list[str]) -> Self:
        """The error of a call with other parameters than the function has."""
        return cls(
            f"the function takes {expected_params} and was given {provided_params}; "
            "give exactly its parameters"
        )


class ReservedArgumentError(PenstockException, TypeError):
    code = "reserved_argument"


class InvalidNameError(PenstockException, ValueError):
    code = "invalid_name"


class MappingLengthMismatch(PenstockException):
    code = "mapping_lengths_differ"


class MappingMissingIterable(PenstockException):
    code = "mapping_without_iterable"


class FlowVisualizationError(PenstockException):
    """A flow could not be drawn."""

    code = "flow_visualization"


class VisualizationUnsupportedError(PenstockException):
    code = "visualization_unsupported"


class MissingContextError(PenstockException, RuntimeError):
    code = "no_run_context"


class MissingFlowError(PenstockException):
    code = "flow_missing"


class UnspecifiedFlowError(PenstockException):
    code = "flow_unspecified"


class ScriptError(PenstockException):
    """A script raised while it was imported to find a flow in it."""

    code = "script_failed"

    def __init__(self, user_exc: BaseException, path: str) -> None:
        super().__init__(f"the script {path} raised {user_exc!r} while it was loaded; run it alone")
        self.user_exc = user_exc
        self.path = path


class HashError(PenstockException):
    code = "unhashable"


class SerializationError(PenstockException):
    code = "not_serializable"


class BlockMissingCapabilities(PenstockException):
    """A block cannot do what it is used for."""

    code = "block_lacks_capability"


class ProtectedBlockError(PenstockException):
    """A block that Penstock itself made cannot be changed or deleted."""

    code = "block_protected"


class InfrastructureError(PenstockException):
    """The infrastructure of a run could not be made, found or removed."""

    code = "infrastructure"


class InfrastructureNotFound(InfrastructureError):
    code = "infrastructure_not_found"


class InfrastructureNotAvailable(InfrastructureError):
    """The infrastructure is there and cannot be reached from here."""

    code = "infrastructure_not_available"


class InvalidRepositoryURLError(PenstockException):
    code = "repository_url_invalid"


# --- configuration errors ------------------------------------------------------------------------


class ConfigurationError(PenstockException):
    code = "configuration"


class SettingsError(ConfigurationError, ValueError):
    """A setting's value is not of its type, or a settings file cannot be read."""

    code = "settings_invalid"


class MissingProfileError(PenstockException, ValueError):
    code = "profile_missing"


class ProfileSettingsValidationError(PenstockException):
    """Settings of a profile are wrong; `errors` pairs each setting with what is wrong with it."""

    code = "profile_settings_invalid"

    def __init__(self, errors: list[tuple[Any, Any]]) -> None:
        wrong = "; ".join(f"{setting}: {error}" for setting, error in errors)
        super().__init__(f"the profile holds wrong settings: {wrong}; correct the profile")
        self.errors = errors


class PenstockImportError(ImportError, PenstockException):
    """An optional package that the call needs is not installed."""

    code = "extra_missing"


# --- signals: control flow, not errors -----------------------------------------------------------


class PenstockSignal(BaseException):
    """Base of the engine's control flow; a user's `except Exception` does not catch it."""


class Abort(PenstockSignal):
    """The server asked this run to stop without another state."""


class Pause(PenstockSignal):
    """The run is paused or suspended and this process stops working on it."""

    def __init__(self, *args: Any, state: Any = None) -> None:
        super().__init__(*args)
        self.state = state


class ExternalSignal(BaseException):
    """Base of what the operating system asked for."""


class TerminationSignal(ExternalSignal):
    def __init__(self, signal: int) -> None:
        super().__init__(f"received signal {signal}")
        self.signal = signal
