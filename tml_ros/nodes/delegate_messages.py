"""Tasks and their updates as messages of the action Delegate, both ways.

What comes from the other side is checked here, and nowhere else. It knows no action server and no client.

Source: tml_interfaces/action/Delegate.action.
"""

import array
import json
from collections.abc import Iterable, Mapping
from typing import Any

from builtin_interfaces.msg import Duration
from rclpy.serialization import serialize_message
from sensor_msgs.msg import CompressedImage

from tml_interfaces.action import Delegate
from tml_interfaces.msg import ActionIntent
from tml_ros.background import ContextPackage, DelegationRequest, Failure, Outcome, Partial, Progress, Result, Update
from tml_ros.background.protocol import MAX_IMAGES
from tml_ros.errors import InputError
from tml_ros.nodes.messages import to_jpeg
from tml_ros.records import IntentDraft, TimerDraft

__all__ = [
    "HEARTBEAT_STAGE",
    "MAX_CONTEXT_BYTES",
    "from_feedback",
    "from_goal",
    "from_result",
    "to_feedback",
    "to_goal",
    "to_result",
]

HEARTBEAT_STAGE = "working"
MAX_CONTEXT_BYTES = 256 * 1024
_MAX_TASK = 10_000
_MAX_IMAGE_BYTES = 4 * 1024 * 1024
_JPEG_MAGIC = b"\xff\xd8\xff"
_TIMERS = "timers"


# ------------------------------------------------------------------------------------------------------------ goal


def to_goal(request: DelegationRequest) -> Any:
    """Return the goal of a request; its newest pictures become JPEGs, which takes some milliseconds each.

    Raises:
        TypeError, ValueError: the context is not JSON.
    """
    package = request.package
    streams = (*package.images, *(to_jpeg(frame.rgb) for frame in request.frames[-MAX_IMAGES:]))
    return Delegate.Goal(
        session_id=package.session_id,
        task=package.task,
        context_json=json.dumps(dict(package.context), ensure_ascii=False, separators=(",", ":")),
        images=[CompressedImage(format="jpeg", data=array.array("B", one)) for one in streams[-MAX_IMAGES:]],
        budget=_duration(max(0.0, package.budget_s)),
        priority=min(255, max(0, package.priority)),
    )


def from_goal(goal: Any) -> ContextPackage:
    """Read a goal; a budget of zero stays zero.

    Raises:
        InputError: the context is no JSON object or too large, there are too many images, or one is no JPEG.
    """
    if len(goal.task) > _MAX_TASK:
        raise InputError(f"task has {len(goal.task)} characters, at most {_MAX_TASK} are read; send less")
    return ContextPackage(
        task=goal.task,
        session_id=goal.session_id,
        context=_context(goal.context_json),
        images=_images(goal.images),
        budget_s=goal.budget.sec + goal.budget.nanosec * 1e-9,
        priority=int(goal.priority),
    )


def _context(text: str) -> Mapping[str, Any]:
    size = len(text.encode(errors="surrogatepass"))
    if size > MAX_CONTEXT_BYTES:
        raise InputError(f"context_json has {size} bytes, at most {MAX_CONTEXT_BYTES} are read; send less of the past")
    return _json_object("context_json", text)


def _images(messages: Any) -> tuple[bytes, ...]:
    if len(messages) > MAX_IMAGES:
        raise InputError(f"there are {len(messages)} images, at most {MAX_IMAGES} are read; send fewer")
    images = tuple(bytes(message.data) for message in messages)
    for number, image in enumerate(images):
        if not image.startswith(_JPEG_MAGIC) or len(image) > _MAX_IMAGE_BYTES:
            raise InputError(
                f"images[{number}] ({messages[number].format!r}, {len(image)} bytes) is no JPEG stream of at most "
                f"{_MAX_IMAGE_BYTES} bytes; encode it as JPEG"
            )
    return images


# -------------------------------------------------------------------------------------------------------- feedback


def to_feedback(updates: Iterable[Update]) -> Any:
    """Return one feedback for what came since the last: the newest progress and all partials. Nothing: a heartbeat."""
    updates = list(updates)
    partial = "".join(update.text for update in updates if isinstance(update, Partial))
    newest = next((update for update in reversed(updates) if isinstance(update, Progress)), None)
    feedback = Delegate.Feedback(progress=-1.0, partial_text=partial)
    if newest is not None:
        feedback.stage, feedback.status_text = newest.stage, newest.status_text
        feedback.progress = float(newest.progress)
    elif not partial:
        feedback.stage = HEARTBEAT_STAGE
    return feedback


def from_feedback(feedback: Any) -> list[Progress | Partial]:
    """Return the updates of a feedback, none for a heartbeat."""
    updates: list[Progress | Partial] = []
    is_known = 0.0 <= feedback.progress <= 1.0
    if is_known or feedback.status_text or feedback.stage not in ("", HEARTBEAT_STAGE):
        progress = feedback.progress if is_known else -1.0
        updates.append(Progress(feedback.stage, progress, feedback.status_text))
    if feedback.partial_text:
        updates.append(Partial(feedback.partial_text))
    return updates


# ---------------------------------------------------------------------------------------------------------- result


def _failure(end: Failure, elapsed_s: float = 0.0) -> Any:
    """Return the result message of a task that did not go well."""
    return Delegate.Result(
        outcome=int(end.outcome), report=end.report, error_msg=end.error, elapsed=_duration(elapsed_s)
    )


def to_result(end: Result | Failure, elapsed_s: float) -> Any:
    """Return the message for the end of a task.

    A result that cannot be sent, such as data that are no JSON, becomes a failure that says so.
    """
    try:
        message = _failure(end, elapsed_s) if isinstance(end, Failure) else _success(end, elapsed_s)
        serialize_message(message)
    except Exception as err:  # field checks, JSON and the serialiser raise types of their own
        reason = f"the model's result cannot be sent ({type(err).__name__}: {err})"
        return _failure(Failure(Outcome.FAILED, "Sorry, I cannot put the result into words.", reason), elapsed_s)
    return message


def from_result(message: Any) -> Result | Failure:
    """Read a result; one that makes no sense is a failure."""
    try:
        outcome = Outcome(message.outcome)
        if outcome is not Outcome.SUCCEEDED:
            return Failure(outcome, message.report, message.error_msg or f"outcome {outcome.name} without a reason")
        data = dict(_json_object("result_json", message.result_json))
        timers = tuple(
            TimerDraft(str(one["text"]), float(one["after_s"]), float(one.get("repeat_s", 0.0)))
            for one in data.pop(_TIMERS, ())
        )
        intents = tuple(_draft(intent) for intent in message.proposed_intents)
        return Result(message.report, data, intents, timers, tuple(int(one) for one in message.contradicts))
    except (InputError, ValueError, TypeError, KeyError, AttributeError) as err:
        reason = f"the result is malformed ({type(err).__name__}: {err}); check the background model"
        return Failure(Outcome.FAILED, "Sorry, I did not understand what I found out.", reason)


def _success(end: Result, elapsed_s: float) -> Any:
    data = dict(end.data)
    if end.timers:
        data[_TIMERS] = [{"text": t.text, "after_s": t.after_s, "repeat_s": t.repeat_s} for t in end.timers]
    return Delegate.Result(
        outcome=int(Outcome.SUCCEEDED),
        report=end.report,
        result_json=json.dumps(data, ensure_ascii=False) if data else "",
        proposed_intents=[_intent(draft) for draft in end.intents],
        contradicts=list(end.contradicts),
        elapsed=_duration(elapsed_s),
    )


def _intent(draft: IntentDraft) -> Any:
    return ActionIntent(
        intent=draft.intent,
        data=json.dumps(dict(draft.data), ensure_ascii=False),
        source=draft.source,
        modality=draft.modality,
        priority=min(255, max(0, int(draft.priority))),
        confidence=float(draft.confidence),
    )


def _draft(message: Any) -> IntentDraft:
    return IntentDraft(
        intent=message.intent,
        data=_json_object("proposed_intents.data", message.data),
        confidence=float(message.confidence),
        source=message.source,
        modality=message.modality,
        priority=int(message.priority),
    )


# ---------------------------------------------------------------------------------------------------------- shared


def _json_object(name: str, text: str) -> Mapping[str, Any]:
    """Read a JSON object, nothing as an empty one.

    Raises:
        InputError: it is something else.
    """
    try:
        value = json.loads(text) if text.strip() else {}
    except (ValueError, RecursionError) as err:
        raise InputError(f"{name} is not valid JSON ({err}); send an object such as {{}}") from err
    if not isinstance(value, dict):
        raise InputError(f"{name} must be a JSON object, got {type(value).__name__}; send an object such as {{}}")
    return value


def _duration(seconds: float) -> Any:
    nanoseconds = round(min(seconds, 1e9) * 1e9)
    return Duration(sec=nanoseconds // 1_000_000_000, nanosec=nanoseconds % 1_000_000_000)
