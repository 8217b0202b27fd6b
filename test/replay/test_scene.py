"""Scene files: every shipped one loads, and what is wrong with one is said in full."""

import copy
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from tml_ros.errors import SceneError
from tml_ros.replay.scene import (
    DEFAULT_START_NS,
    Noise,
    RenderedVideo,
    SoundFile,
    Speech,
    Topics,
    VideoFile,
    load_scene,
    parse_scene,
)

SHIPPED = sorted((Path(__file__).resolve().parents[2] / "config" / "scenes").glob("*.yaml"))
GOOD: dict[str, Any] = {
    "duration_s": 5,
    "audio": [{"at_s": 1, "say": "hello"}, {"at_s": 0, "noise": "white"}],
    "video": [{"at_s": 0, "render": "bench", "events": [{"at_s": 1, "until_s": 2, "what": "hand"}]}],
    "text": [{"at_s": 2, "text": "hi"}],
    "topics": {"chunk_ms": 20},
}


def changed(*path: Any, value: Any) -> dict[str, Any]:
    document = copy.deepcopy(GOOD)
    place: Any = document
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return document


def test_schema_itself_is_valid_when_shipped(repository: Path) -> None:
    schema = json.loads((repository / "config" / "scene.schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.stem)
def test_scene_loads_when_shipped(path: Path) -> None:
    scene = load_scene(path)
    assert scene.name == path.stem
    assert scene.audio


def test_three_scenes_are_shipped_when_listed() -> None:
    assert {"demo", "load", "silence"} <= {path.stem for path in SHIPPED}


def test_defaults_hold_when_only_a_duration_is_given() -> None:
    scene = parse_scene({"duration_s": 2.5})
    assert (scene.duration_ns, scene.start_ns, scene.seed) == (2_500_000_000, DEFAULT_START_NS, 0)
    assert (scene.rate_hz, scene.channels, scene.encoding) == (16_000, 1, "S16LE")
    assert (scene.audio, scene.reference, scene.video, scene.text) == ((), (), (), ())


def test_items_become_records_when_scene_is_good(tmp_path: Path) -> None:
    (tmp_path / "a.raw").write_bytes(b"\0\0")
    (tmp_path / "clip.mp4").touch()
    scene = parse_scene(
        {
            "duration_s": 9,
            "channels": 2,
            "audio": [
                {"at_s": 1, "until_s": 20, "file": "a.raw", "rate_hz": 8000, "encoding": "S16LE", "gain_db": -3},
                {"at_s": 0.5, "say": "stop", "voice": "kal", "channel": 1},
                {"at_s": 0, "noise": "pink"},
            ],
            "video": [
                {"at_s": 4, "file": "clip.mp4", "loop": True, "size": [32, 24]},
                {"at_s": 0, "render": "bench", "rate_hz": 5, "events": [{"at_s": 1, "until_s": 2, "what": "spill"}]},
            ],
        },
        folder=tmp_path,
    )
    file, speech, noise = scene.audio
    expected = SoundFile(10**9, 9 * 10**9, -3.0, None, tmp_path / "a.raw", rate_hz=8000, encoding="S16LE")
    assert file == expected
    assert speech == Speech(5 * 10**8, None, 0.0, 1, "stop", "kal")
    assert noise == Noise(0, None, -50.0, None, "pink")
    bench, film = scene.video
    assert isinstance(bench, RenderedVideo)
    assert (bench.at_ns, bench.until_ns, bench.rate_hz, bench.size) == (0, 4 * 10**9, 5.0, (640, 480))
    assert bench.events[0].what == "spill"
    assert film == VideoFile(4 * 10**9, 9 * 10**9, 10.0, (32, 24), tmp_path / "clip.mp4", loop=True)


def test_file_beside_the_scene_wins_when_both_places_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder in ("scenes", "work"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "both.wav").touch()
    (tmp_path / "work" / "here.wav").touch()
    monkeypatch.chdir(tmp_path / "work")
    files = [{"at_s": 0, "file": name} for name in ("both.wav", "here.wav")]
    path = tmp_path / "scenes" / "s.yaml"
    path.write_text(yaml.safe_dump({"duration_s": 1, "audio": files}))
    found = [item.path for item in load_scene(path).audio if isinstance(item, SoundFile)]
    assert found == [tmp_path / "scenes" / "both.wav", tmp_path / "work" / "here.wav"]


@pytest.mark.parametrize(
    ("namespace", "name", "expected"),
    [("tml", "audio/in", "/tml/audio/in"), ("", "image", "/image"), ("/a/b", "x", "/a/b/x"), ("tml", "/mic", "/mic")],
)
def test_topic_gets_namespace_when_relative(namespace: str, name: str, expected: str) -> None:
    assert Topics(namespace=namespace).resolve(name) == expected


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        (None, "top level: got None, expected a mapping"),
        ([1], "expected a mapping"),
        ({}, "expected the key 'duration_s'"),
        (changed("duration_s", value=0), "duration_s: got 0, expected more than 0"),
        (changed("duration_s", value="long"), "duration_s: got 'long', expected number"),
        (changed("duration_s", value=float("nan")), "duration_s: got nan, expected a finite number"),
        (changed("duration_s", value=float("inf")), "duration_s: got inf, expected a finite number"),
        (changed(True, value=1), "key True is no string"),
        (changed("audoi", value=[]), r"unknown key 'audoi' with value \[\]; did you mean 'audio'\?"),
        (changed("audio", 0, "voise", value="kal"), r"audio\[0\]: unknown key 'voise' .*did you mean 'voice'\?"),
        (changed("audio", value={}), r"audio: got {}, expected a list"),
        (changed("audio", 0, "noise", value="pink"), r"audio\[0\]: got \['say', 'noise'\], expected exactly one"),
        (changed("audio", 1, "noise", value="pinc"), r"audio\[1\]\.noise: got 'pinc'.*did you mean 'pink'\?"),
        (changed("audio", 1, "voice", value="slt"), r"audio\[1\]: 'voice' \('slt'\) goes with 'say' only"),
        (changed("audio", 0, "at_s", value=5), r"audio\[0\]\.at_s: got 5, expected less than duration_s \(5\)"),
        (changed("audio", 0, "until_s", value=1), r"audio\[0\]\.until_s: got 1, expected more than at_s \(1\)"),
        (changed("audio", 0, "channel", value=1), r"audio\[0\]\.channel: got 1, .*channels \(1\)"),
        (changed("audio", 0, "gain_db", value=99), r"audio\[0\]\.gain_db: got 99, expected at most 60"),
        (changed("audio", 0, value={"at_s": 0, "file": "no.wav"}), r"audio\[0\]\.file: got 'no\.wav', no such file"),
        (changed("video", 0, "size", value=[640]), r"video\[0\]\.size: got \[640\]"),
        (changed("video", 0, "loop", value=True), r"video\[0\]: 'loop' \(True\) goes with 'file' only"),
        (changed("video", 0, "events", 0, "what", value="hands"), r"events\[0\]\.what: .*did you mean 'hand'\?"),
        (changed("video", 0, "events", 0, "until_s", value=0.5), r"video\[0\]\.events\[0\]\.until_s: got 0\.5"),
        (changed("video", value=[{"at_s": 1, "render": "bench"}] * 2), r"video\[0\]\.at_s: got 1, another video"),
        (changed("text", 0, "text", value=""), r"text\[0\]\.text: got ''"),
        (changed("topics", "chunk_ms", value=0), r"topics\.chunk_ms: got 0, expected at least 1"),
        (changed("topics", "audio", value="a b"), r"topics\.audio: got 'a b', expected a ROS name"),
        (
            changed("topics", "reference", value="audio/in"),
            r"topics\.reference: got '/tml/audio/in', which topics\.audio",
        ),
        (changed("topics", "image_transport", value="theora"), "expected one of raw, compressed"),
    ],
)
def test_error_names_file_key_and_remedy_when_scene_is_wrong(document: Any, expected: str) -> None:
    with pytest.raises(SceneError, match=expected) as caught:
        parse_scene(document, source="my_scene.yaml")
    assert str(caught.value).startswith("my_scene.yaml: ")


@pytest.mark.parametrize("content", ["duration_s: [", "\tx", "a: b: c", "!!python/object:os.system {}"])
def test_error_names_file_when_it_is_no_yaml(content: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    with pytest.raises(SceneError, match=r"broken\.yaml is not valid YAML"):
        load_scene(path)


def test_error_names_path_when_scene_is_absent_or_binary(tmp_path: Path) -> None:
    with pytest.raises(SceneError, match=r"cannot read scene file .*no\.yaml"):
        load_scene(tmp_path / "no.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\xfa")
    with pytest.raises(SceneError, match=r"cannot read scene file .*binary\.yaml"):
        load_scene(tmp_path / "binary.yaml")
