"""Bags made of scenes: genuine, in order, complete, and the same on every run."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from tml_ros.bags import BagReader, message_to_tree, typestore
from tml_ros.cli import bag as command
from tml_ros.errors import BagError, SceneError
from tml_ros.replay.make_bag import BagSummary, make_bag, message_count, messages
from tml_ros.replay.scene import DEFAULT_START_NS, Scene, load_scene, parse_scene
from tml_ros.wire import audio_chunk, compressed_image, image

MS = 1_000_000
needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="flite is not installed: apt-get install flite")


def scene(**top: Any) -> Scene:
    document: dict[str, Any] = {
        "duration_s": 0.5,
        "audio": [{"at_s": 0, "noise": "white", "gain_db": -20}],
        "video": [{"at_s": 0, "render": "bench", "size": [64, 48], "rate_hz": 10}],
        "text": [{"at_s": 0.3, "text": "second"}, {"at_s": 0.1, "text": "what do you see?"}],
    }
    return parse_scene(document | top, name="small")


def digest(made: Scene) -> str:
    lines = hashlib.sha256()
    for message in messages(made):
        tree = json.dumps(message.tree, sort_keys=True, default=lambda data: hashlib.sha256(data).hexdigest())
        lines.update(f"{message.log_ns} {message.topic} {message.type_name} {tree}\n".encode())
    return lines.hexdigest()


@pytest.mark.parametrize("storage", ["mcap", "sqlite3"])
def test_bag_holds_the_messages_when_read_back(storage: Any, tmp_path: Path) -> None:
    summary = make_bag(scene(), tmp_path / "bag", storage)
    counts = {"/tml/audio/in": 25, "/tml/image": 5, "/tml/text/in": 2}
    assert summary == BagSummary(tmp_path / "bag", storage, DEFAULT_START_NS, 500 * MS, counts, 0, ())
    with BagReader(tmp_path / "bag") as reader:
        assert reader.info.storage == storage
        read = list(reader.messages())
    expected = list(messages(scene()))
    assert [(m.log_ns, m.topic, m.type) for m in read] == [(m.log_ns, m.topic, m.type_name) for m in expected]
    for found, made in zip(read, expected, strict=True):
        tree = message_to_tree(typestore(), found.message)
        assert {name: tree[name] for name in made.tree} == made.tree


def test_messages_are_in_order_of_log_time_when_streams_are_merged() -> None:
    times = [message.log_ns for message in messages(scene())]
    assert times == sorted(times)
    assert len(times) == message_count(scene())


def test_chunk_is_logged_at_its_end_when_stamped_with_its_start() -> None:
    chunks = [m for m in messages(scene(topics={"chunk_ms": 30})) if m.topic == "/tml/audio/in"]
    assert [m.tree["first_sample"] for m in chunks] == [480 * n for n in range(17)]
    assert [len(m.tree["data"]) for m in chunks] == [960] * 16 + [640]
    assert chunks[0].tree["header"]["stamp"] == {"sec": 1_700_000_000, "nanosec": 0}
    assert chunks[0].log_ns == DEFAULT_START_NS + 30 * MS
    assert chunks[-1].tree["header"]["stamp"]["nanosec"] == 480 * MS
    assert chunks[-1].log_ns == DEFAULT_START_NS + 500 * MS


def test_stamps_do_not_drift_when_chunks_are_no_whole_milliseconds() -> None:
    odd = scene(sample_rate_hz=11_025, topics={"chunk_ms": 10}, duration_s=4, video=[], channels=2, encoding="F32LE")
    chunks = [m for m in messages(odd) if m.topic == "/tml/audio/in"]
    for message in chunks:
        stamp = message.tree["header"]["stamp"]
        stamp_ns = stamp["sec"] * 10**9 + stamp["nanosec"] - DEFAULT_START_NS
        assert stamp_ns == message.tree["first_sample"] * 10**9 // 11_025
    assert sum(len(m.tree["data"]) for m in chunks) == 4 * 11_025 * 2 * 4


def test_names_and_start_are_those_of_the_scene_when_given() -> None:
    topics = {"namespace": "bot/head", "audio": "/mic", "image": "cam/image", "text": "chat"}
    made = list(messages(scene(topics=topics, start_time_ns=5_000_000_000)))
    assert {m.topic for m in made} == {"/mic", "/bot/head/cam/image", "/bot/head/chat"}
    assert made[0].log_ns == 5_000_000_000


def test_reference_has_its_own_noise_and_topic_when_given() -> None:
    noise = [{"at_s": 0, "noise": "white"}]
    made = list(messages(scene(audio=noise, reference=noise)))
    heard, played = ([m for m in made if m.topic == f"/tml/audio/{name}"] for name in ("in", "reference"))
    assert len(heard) == len(played) == 25
    assert heard[0].tree["data"] != played[0].tree["data"]
    assert heard[0].tree["stream_id"] != played[0].tree["stream_id"]


def test_records_come_back_when_bag_is_read_as_input(tmp_path: Path) -> None:
    make_bag(scene(topics={"image_transport": "compressed"}), tmp_path / "c")
    make_bag(scene(), tmp_path / "r")
    with BagReader(tmp_path / "r") as raw, BagReader(tmp_path / "c") as compressed:
        first_raw = next(m for m in raw.messages() if m.topic == "/tml/image")
        first_small = next(m for m in compressed.messages() if m.topic == "/tml/image/compressed")
        sound = next(m for m in raw.messages() if m.topic == "/tml/audio/in")
    picture = image(first_raw.message, 0)
    assert (picture.width, picture.height, picture.step, picture.encoding) == (64, 48, 192, "bgr8")
    pixels = np.frombuffer(picture.data, np.uint8).reshape(48, 64, 3)
    jpeg = cv2.imdecode(np.frombuffer(compressed_image(first_small.message, 0).data, np.uint8), cv2.IMREAD_COLOR)
    assert np.abs(pixels.astype(int) - jpeg).mean() < 6
    chunk = audio_chunk(sound.message, 0)
    assert (chunk.stamp_ns, chunk.rate_hz, chunk.channels, chunk.encoding) == (DEFAULT_START_NS, 16_000, 1, "S16LE")
    assert 20 * np.log10(np.frombuffer(chunk.data, "<i2").std() / 32768) == pytest.approx(-20, abs=1.5)


@needs_flite
def test_messages_are_identical_when_made_again_anywhere(repository: Path, tmp_path: Path) -> None:
    path = tmp_path / "s.yaml"
    sounds = [{"at_s": 0.1, "say": "stop"}, {"at_s": 0, "noise": "pink"}, {"at_s": 0, "noise": "hum"}]
    events = [{"at_s": 0.1, "until_s": 1, "what": what} for what in ("hand", "person", "flame")]
    video = [{"at_s": 0, "render": "bench", "size": [160, 120], "events": events}]
    path.write_text(json.dumps({"duration_s": 1, "seed": 3, "audio": sounds, "video": video}))
    here = digest(load_scene(path))
    assert digest(load_scene(path)) == here
    script = f"import test_make_bag as t; from pathlib import Path; print(t.digest(t.load_scene(Path({str(path)!r}))))"
    folders = f"{repository}:{Path(__file__).parent}"
    environment = {"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "7", "PYTHONPATH": folders}
    there = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert there.stdout.strip() == here, there.stderr


def test_messages_differ_when_seed_differs() -> None:
    assert digest(scene(seed=1)) != digest(scene(seed=2))


@pytest.mark.parametrize("name", ["demo", "load", "silence"])
def test_first_messages_are_made_when_scene_is_shipped(name: str, repository: Path) -> None:
    made = load_scene(repository / "config" / "scenes" / f"{name}.yaml")
    if made.video and shutil.which("flite") is None:
        pytest.skip("flite is not installed: apt-get install flite")
    first = [message for _, message in zip(range(60), messages(made), strict=False)]
    picture = "/tml/image/compressed" if made.topics.image_transport == "compressed" else "/tml/image"
    assert {m.topic for m in first} == {"/tml/audio/in"} | ({picture} if made.video else set())


def test_clipping_is_counted_and_warned_of_when_it_is_too_loud(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    loud = scene(audio=[{"at_s": 0, "noise": "white", "gain_db": 10}], video=[])
    summary = make_bag(loud, tmp_path / "bag")
    assert summary.clipped_samples > 1000
    assert f"{summary.clipped_samples} samples were too loud" in caplog.text


def test_nothing_is_left_when_making_fails(tmp_path: Path) -> None:
    (tmp_path / "broken.mp4").write_bytes(b"no film")
    document = {
        "duration_s": 1,
        "audio": [{"at_s": 0, "noise": "white"}],
        "video": [{"at_s": 0.5, "file": "broken.mp4"}],
    }
    with pytest.raises(SceneError, match=r"broken\.mp4"):
        make_bag(parse_scene(document, folder=tmp_path), tmp_path / "bag")
    assert not (tmp_path / "bag").exists()


def test_existing_bag_is_kept_when_the_folder_is_there(tmp_path: Path) -> None:
    make_bag(scene(), tmp_path / "bag")
    with pytest.raises(BagError, match="exists already"):
        make_bag(scene(), tmp_path / "bag")
    assert (tmp_path / "bag" / "metadata.yaml").exists()


def test_progress_ends_at_the_total_when_bag_is_made(tmp_path: Path) -> None:
    steps: list[tuple[int, int]] = []
    make_bag(scene(), tmp_path / "bag", progress=lambda done, total: steps.append((done, total)))
    assert steps == [(n, 32) for n in range(1, 33)]


# ------------------------------------------------------------------------------------------------------ tml bag ...


def write_scene(folder: Path) -> Path:
    path = folder / "tiny.yaml"
    path.write_text(json.dumps({"duration_s": 0.2, "audio": [{"at_s": 0, "noise": "white"}]}))
    return path


def test_json_comes_last_when_bag_is_made_and_inspected(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out = write_scene(tmp_path), tmp_path / "bag"
    assert command.make(path, out, storage="mcap", force=False, as_json=False) == 0
    made = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert made["messages"] == {"/tml/audio/in": 10}
    assert command.info(out, as_json=False) == 0
    shown = capsys.readouterr().out
    assert "10 messages" in shown
    found = json.loads(shown.splitlines()[-1])
    assert found["topics"]["/tml/audio/in"]["messages"] == 10
    assert found["bytes"] == made["bytes"] > 6400


def test_only_json_is_printed_when_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.make(write_scene(tmp_path), tmp_path / "bag", storage="sqlite3", force=False, as_json=True)
    command.info(tmp_path / "bag", as_json=True)
    made, found = (json.loads(line) for line in capsys.readouterr().out.splitlines())
    assert (made["storage"], found["storage"]) == ("sqlite3", "sqlite3")


def test_old_bag_is_replaced_only_when_forced(tmp_path: Path) -> None:
    path, out = write_scene(tmp_path), tmp_path / "bag"
    command.make(path, out, storage="mcap", force=False, as_json=True)
    with pytest.raises(BagError, match="--force"):
        command.make(path, out, storage="mcap", force=False, as_json=True)
    assert command.make(path, out, storage="sqlite3", force=True, as_json=True) == 0
    assert (out / "bag.db3").exists()


def test_folder_is_kept_when_it_is_no_bag_though_forced(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").touch()
    with pytest.raises(BagError, match="no bag folder"):
        command.make(write_scene(tmp_path), precious, storage="mcap", force=True, as_json=True)
    assert (precious / "thesis.txt").exists()
