"""The message definitions of tml_interfaces: fields, comments and constants, read as text, so without ROS."""

import re
from enum import IntEnum
from pathlib import Path
from typing import NamedTuple

import pytest
from rosbags.typesys import get_types_from_msg

from tml_ros.records import AgentState, AlertState, DelegationPhase, PlaybackState, SpeechCommand, SpeechKind, UserState
from tml_ros.session.time_service import ProcessCommand

INTERFACES = Path(__file__).resolve().parents[1] / "tml_interfaces"
DEFINITIONS = sorted(path.relative_to(INTERFACES).as_posix() for path in INTERFACES.glob("*/*.*"))

# "type name" of every field, "---" between the parts of services and actions
FIELDS = {
    "msg/ActionIntent.msg": """
        std_msgs/Header header, string intent_id, string session_id, uint64 window_seq,
        builtin_interfaces/Time expires_at, bool requires_confirmation, string intent, string data, string source,
        string modality, uint8 priority, float32 confidence""",
    "msg/AudioChunk.msg": """
        std_msgs/Header header, string stream_id, uint64 first_sample, uint32 sample_rate, uint8 channels,
        string encoding, uint8[] data""",
    "msg/DelegationEvent.msg": """
        std_msgs/Header header, string session_id, uint64 window_seq, string delegation_id, uint8 event, string task,
        string stage, string text, uint8 outcome, string result_json""",
    "msg/MicroTurnMetrics.msg": """
        std_msgs/Header header, string session_id, uint64 window_seq, float64 window_sec, uint32 frames,
        uint32 missing_samples, uint32 late_messages, float64 av_skew_sec, float32 erle_db,
        float32 echo_delay_sec, float64 ingest_age_sec, float64 inference_sec, uint32 queue_depth,
        bool deadline_missed, diagnostic_msgs/KeyValue[] counters""",
    "msg/PlaybackStatus.msg": "std_msgs/Header header, uint64 utterance_id, uint8 state, uint64 samples_played",
    "msg/ProcessState.msg": "string name, float64 elapsed_sec, float64 limit_sec, float64 last_sec",
    "msg/SafetyAlert.msg": """
        std_msgs/Header header, string alert_id, uint8 state, uint8 severity, string rule, string category,
        string description, float32 confidence, builtin_interfaces/Time observed_start,
        builtin_interfaces/Time observed_end, sensor_msgs/RegionOfInterest[] regions,
        sensor_msgs/CompressedImage[<=1] evidence, string recommended_action""",
    "msg/SessionState.msg": """
        std_msgs/Header header, string session_id, uint8 agent_state, uint8 user_state, string floor, bool overlap,
        builtin_interfaces/Time agent_since, builtin_interfaces/Time user_since, uint64 window_seq,
        string[] active_delegations, bool mic_muted, bool degraded""",
    "msg/SpeechChunk.msg": """
        std_msgs/Header header, string session_id, uint64 window_seq, uint64 utterance_id, uint32 seq, uint8 kind,
        string text, string locale, AudioChunk audio, uint8 priority, bool interruptible, bool last,
        uint64 revises""",
    "msg/SpeechControl.msg": "std_msgs/Header header, uint64 utterance_id, uint8 command",
    "msg/TimerState.msg": "string name, string text, float64 left_sec, float64 repeat_sec",
    "msg/Transcript.msg": """
        std_msgs/Header header, string speaker, string text, bool final, float32 confidence,
        builtin_interfaces/Time start, builtin_interfaces/Time end""",
    "srv/Ask.srv": "string question, ---, string answer, uint8 outcome, string error_msg",
    "srv/CancelTimers.srv": "string name, ---, bool success, uint32 cancelled, string message",
    "srv/ListTimes.srv": "---, TimerState[] timers, ProcessState[] processes",
    "srv/SetTimer.srv": """
        string name, float64 after_sec, bool repeats, string text, ---, bool success, string message""",
    "srv/TimeProcess.srv": """
        string name, uint8 command, float64 limit_sec, ---, bool success, float64 elapsed_sec, string message""",
    "action/Delegate.action": """
        string session_id, string task, string context_json, sensor_msgs/CompressedImage[<=4] images,
        builtin_interfaces/Duration budget, uint8 priority, ---, uint8 outcome, string report, string result_json,
        ActionIntent[] proposed_intents, uint64[] contradicts, string error_msg, builtin_interfaces/Duration elapsed,
        ---, string stage, float32 progress, string status_text, string partial_text""",
}


class Outcome(IntEnum):
    """How a delegation ends; only the interfaces define it."""

    SUCCEEDED = 0
    FAILED = 1
    TIMED_OUT = 2
    CANCELED = 3
    REFUSED = 4


ENUMS = {
    "msg/DelegationEvent.msg": {"": DelegationPhase},
    "msg/PlaybackStatus.msg": {"": PlaybackState},
    "msg/SafetyAlert.msg": {"": AlertState},
    "msg/SessionState.msg": {"AGENT_": AgentState, "USER_": UserState},
    "msg/SpeechChunk.msg": {"": SpeechKind},
    "msg/SpeechControl.msg": {"": SpeechCommand},
    "srv/Ask.srv": {"": Outcome},
    "srv/TimeProcess.srv": {"": ProcessCommand},
    "action/Delegate.action": {"": Outcome},
}


class Line(NamedTuple):
    """One field or constant. value: of a constant, empty for a field."""

    type: str
    name: str
    value: str
    comment: str


def read(definition: str) -> str:
    return (INTERFACES / definition).read_text()


def parse(text: str) -> list[Line]:
    """Read every line that is not only a comment; the separator of services and actions has the type ``---``."""
    lines = []
    for line in filter(None, (line.strip() for line in text.splitlines())):
        if line.startswith("#"):
            continue
        found = re.fullmatch(r"(---|[\w/]+(?:\[[<=\d]*\])?)(?: +(\w+)(?:=(\S+))?)? *(?:# (.+))?", line)
        assert found, f"not understood: {line!r}"
        lines.append(Line(*(part or "" for part in found.groups())))
    return lines


def test_fields_match_the_design_when_definitions_are_parsed() -> None:
    found = {name: [f"{i.type} {i.name}".strip() for i in parse(read(name)) if not i.value] for name in DEFINITIONS}
    assert found == {name: re.split(r",\s+", fields.strip()) for name, fields in FIELDS.items()}


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_meaning_is_commented_when_a_field_or_constant_is_defined(definition: str) -> None:
    lines = [line for line in parse(read(definition)) if line.type != "---"]
    assert [line.name for line in lines if len(line.comment.split()) < 2] == []


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_constants_equal_the_records_when_an_enumeration_is_defined(definition: str) -> None:
    constants = {(line.type, line.name, int(line.value)) for line in parse(read(definition)) if line.value}
    enums = ENUMS.get(definition, {})
    assert constants == {("uint8", prefix + item.name, item.value) for prefix, enum in enums.items() for item in enum}


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_raw_data_is_uint8_when_a_definition_holds_bytes(definition: str) -> None:
    assert not [line for line in parse(read(definition)) if line.type.startswith(("byte", "char"))]


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_purpose_is_stated_when_a_definition_is_opened(definition: str) -> None:
    assert re.match(r"# \w+", read(definition))


def test_alert_says_that_it_is_advisory_when_it_is_read() -> None:
    assert "ADVISORY: this is not a safety function." in read("msg/SafetyAlert.msg")


def test_every_definition_is_generated_when_the_package_is_built() -> None:
    listed = re.findall(r'^  "(.+)"$', (INTERFACES / "CMakeLists.txt").read_text(), re.MULTILINE)
    assert sorted(listed) == DEFINITIONS


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_definition_is_understood_when_a_bag_is_read_without_ros(definition: str) -> None:
    name = f"tml_interfaces/msg/{Path(definition).stem}"
    for part, text in enumerate(read(definition).split("\n---\n")):
        constants, fields = get_types_from_msg(text, f"{name}{part}")[f"{name}{part}"]
        lines = parse(text)
        assert [field for field, _ in fields] == [line.name for line in lines if not line.value]
        assert {const[0]: const[2] for const in constants} == {i.name: int(i.value) for i in lines if i.value}


@pytest.mark.parametrize("definition", [name for name in DEFINITIONS if name.startswith("msg/")])
def test_generated_class_is_current_when_ros_is_there(definition: str) -> None:
    messages = pytest.importorskip("tml_interfaces.msg", reason="tml_interfaces is not built for this interpreter")
    generated = getattr(messages, Path(definition).stem)
    lines = parse(read(definition))
    assert list(generated.get_fields_and_field_types()) == [line.name for line in lines if not line.value]
    assert {line.name: getattr(generated, line.name) for line in lines if line.value} == {
        line.name: int(line.value) for line in lines if line.value
    }
