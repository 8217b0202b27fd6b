"""The folder: whole or not there, within quota, reserve and days, whatever happens to process and disk."""

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from tml_ros.bags import BagReader
from tml_ros.errors import ConfigError
from tml_ros.records import AlertState
from tml_ros.safety.incidents import DiskConfig, IncidentStore, read_summary
from tml_ros.safety.incidents import store as store_module
from tml_ros.safety.incidents.disk import size_of

S = 1_000_000_000
ROOT = Path(__file__).resolve().parents[3]


def reopen(bench, **disk) -> None:
    bench.config = replace(bench.config, disk=replace(bench.config.disk, **disk))
    bench.crash()
    bench.open()


def incident(bench, ident: str) -> None:
    bench.alert(ident)
    bench.run(3.5)


# ------------------------------------------------------------------------------------------------------------ room


def test_oldest_incidents_give_way_when_the_quota_is_used_up(bench):
    reopen(bench, quota_mb=1.0)
    for number in range(8):
        incident(bench, f"a{number}")
        assert size_of(bench.folder) < 1_000_000 + 20_000  # folders and lock
    kept = [read_summary(bench.folder / name)["alerts"][0]["alert_id"] for name in bench.names]
    assert kept == [f"a{number}" for number in range(8 - len(kept), 8)] and 3 <= len(kept) < 8
    assert bench.store.removed == 8 - len(kept)


def test_order_is_that_of_the_incidents_when_the_clock_goes_back(bench):
    reopen(bench, quota_mb=1.0)
    for number in range(6):
        bench.wall_s -= 86_400.0
        incident(bench, f"a{number}")
    kept = [read_summary(bench.folder / name)["alerts"][0]["alert_id"] for name in bench.names]
    assert kept[-1] == "a5" and kept == sorted(kept)


def test_incident_is_cut_short_and_every_alert_kept_when_it_alone_fills_the_quota(bench, tools):
    reopen(bench, quota_mb=1.0)
    bench.alert("a1")
    noise = os.urandom(100_000)
    for number in range(20):
        bench.feed(
            ("/tml/text/in", "std_msgs/msg/String", tools.cdr("std_msgs/msg/String", {"data": noise.hex()[:99_000]}))
        )
        bench.clock.advance_ns(S // 20)
        if number == 15:
            bench.alert("a2")
    bench.run(5.0)
    (name,) = bench.names
    summary = read_summary(bench.folder / name)
    assert summary["has_bag"] and summary["end"].startswith("cut short: quota_mb 1 is used up")
    assert [one["alert_id"] for one in summary["alerts"]] == ["a1", "a2"]
    assert 5 <= sum(one.topic == "/tml/text/in" for one in bench.messages(name)) < 12
    assert size_of(bench.folder / name) < 1_000_000


def test_reserve_is_kept_and_recovered_from_when_others_fill_the_disk(bench, monkeypatch, caplog):
    free = [10_000_000_000]
    usage = type("Usage", (), {"free": property(lambda self: free[0])})
    monkeypatch.setattr(store_module.shutil, "disk_usage", lambda path: usage())
    reopen(bench, reserve_mb=500.0)
    incident(bench, "a1")
    free[0] = 400_000_000
    incident(bench, "a2")
    assert caplog.text.count("incidents cannot be recorded") == 1 and "400 MB free" in caplog.text
    assert "Alerts go on" in caplog.text
    free[0] = 10_000_000_000
    bench.run(6.0)
    assert "recorded again" in caplog.text and not bench.recorder.trouble
    incident(bench, "a3")
    summaries = [read_summary(bench.folder / name) for name in bench.names]
    assert [(one["alerts"][0]["alert_id"], one["has_bag"]) for one in summaries] == [
        ("a1", True), ("a2", False), ("a3", True),
    ]  # fmt: skip


@pytest.mark.parametrize("failing", ["begin", "write", "complete", "everything"])
def test_alerts_are_kept_when_the_disk_is_full(bench, monkeypatch, caplog, failing):
    """The disk refuses at every place where it can; the summary follows when it takes things again."""
    from tml_ros.bags import writer
    from tml_ros.safety.incidents import disk

    full = OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def refuse(*args, **options):
        raise full

    with monkeypatch.context() as patch:
        if failing == "begin":
            patch.setattr(writer.Writer, "open", refuse)
        elif failing == "write":
            patch.setattr(writer.Writer, "write", refuse)
        else:
            patch.setattr(writer.Writer, "close", refuse)
        if failing == "everything":
            patch.setattr(disk, "sync", refuse)
            patch.setattr(Path, "mkdir", refuse)
        incident(bench, "a1")
        bench.alert("a1", AlertState.CLEARED)
        assert [read_summary(bench.folder / name)["has_bag"] for name in bench.names] == (
            [] if failing == "everything" else [False]
        )
    bench.run(6.0)
    incident(bench, "a2")
    first, second = (read_summary(bench.folder / name) for name in bench.names)
    assert [one["state"] for one in first["alerts"]] == ["RAISED", "CLEARED"]
    assert "No space left on device" in first["why_no_bag"] and second["has_bag"]
    assert caplog.text.count("incidents cannot be recorded") == 1 and "recorded again" in caplog.text
    assert list((bench.folder / ".open").iterdir()) == []


def test_recorder_goes_on_when_a_small_disk_is_filled_and_cleared(bench, tools, tmp_path):
    mount = tmp_path / "disk"
    mount.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", "size=6m", "tmpfs", str(mount))
    if os.geteuid() or subprocess.run(command, capture_output=True).returncode:
        pytest.skip("mounting a tmpfs needs root and a system that allows it")
    try:
        small = tools.Bench(mount / "incidents")
        incident(small, "a1")
        ballast = mount / "ballast"
        with pytest.raises(OSError, match="No space"), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        incident(small, "a2")
        assert small.recorder.trouble
        ballast.unlink()
        small.run(6.0)
        assert not small.recorder.trouble
        incident(small, "a3")
        summaries = [read_summary(small.folder / name) for name in small.names]
        assert [(one["alerts"][0]["alert_id"], one["has_bag"]) for one in summaries] == [
            ("a1", True), ("a2", False), ("a3", True),
        ]  # fmt: skip
        assert len(small.messages(small.names[-1])) > 40
        small.store.close()
    finally:
        subprocess.run(("umount", "-l", str(mount)), check=True)


# ----------------------------------------------------------------------------------------------------------- crash

WRITER = """
import sys, time
sys.path.insert(0, sys.argv[2])
from importlib.util import spec_from_file_location, module_from_spec
spec = spec_from_file_location("bench", sys.argv[2] + "/test/safety/incidents/bench.py")
tools = module_from_spec(spec); spec.loader.exec_module(tools)
from pathlib import Path
bench = tools.Bench(Path(sys.argv[1]))
bench.alert("whole"); bench.run(3.5)
bench.alert("open")
print("open", flush=True)
while True:
    bench.clock.set_ns(bench.clock.now_ns() + 1000)
    bench.feed(tools.audio(bench.ros_ns, 16_000))
"""


def test_only_the_open_bag_is_lost_when_the_process_is_killed(bench, tmp_path, caplog):
    folder = tmp_path / "killed"
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(folder), str(ROOT)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "open\n"
    staged = folder / ".open"
    while not any(file.stat().st_size > 2_000_000 for file in staged.rglob("*.mcap")):
        time.sleep(0.02)
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait(10)
    before = sorted(path.name for path in folder.iterdir() if path.name[0] != ".")
    assert len(before) == 1  # nothing that looks whole but the one that is
    with BagReader(folder / before[0]) as bag:
        assert len(list(bag.messages())) > 10
    store = IncidentStore(folder, DiskConfig())
    whole, interrupted = (read_summary(folder / name) for name in store.names)
    assert whole["has_bag"] and not interrupted["has_bag"]
    assert (interrupted["end"], interrupted["alerts"][0]["alert_id"]) == ("interrupted", "open")
    assert list(staged.iterdir()) == [] and "its summary is kept" in caplog.text
    store.close()
    size = size_of(folder / store.names[1])
    assert size < 20_000


def test_latched_alert_is_no_second_incident_when_the_recorder_starts_again(bench, tools):
    bench.alert("a1")
    message = tools.alert_message(replace(tools.ALERT, stamp_ns=bench.ros_ns))
    bench.run(3.5)
    reopen(bench)
    bench.feed(message)
    bench.run(3.5)
    assert len(bench.names) == 1
    bench.alert("a1", AlertState.ACKNOWLEDGED)
    assert [one["state"] for one in read_summary(bench.folder / bench.names[0])["alerts"]] == [
        "RAISED", "ACKNOWLEDGED",
    ]  # fmt: skip


def test_rest_of_a_removal_is_gone_when_the_folder_is_opened(bench):
    incident(bench, "a1")
    (bench.folder / bench.names[0]).rename(bench.folder / ".trash" / bench.names[0])
    reopen(bench)
    assert bench.names == [] and list((bench.folder / ".trash").iterdir()) == []


@pytest.mark.parametrize("note", ["{", '{"alerts": [5]}', ""])
def test_folder_opens_when_a_note_in_it_is_damaged(bench, note):
    (bench.folder / ".open" / "000007_20250101T000000Z_x.json").write_text(note)
    reopen(bench)
    incident(bench, "a1")
    assert len(bench.names) == 1


def test_folder_is_refused_when_another_recorder_has_it(bench):
    with pytest.raises(ConfigError, match="another recorder writes into"):
        IncidentStore(bench.folder, DiskConfig())


def test_folder_is_refused_when_it_cannot_be_made(bench, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be used"):
        IncidentStore(tmp_path / "file" / "incidents", DiskConfig())


def test_numbers_go_on_when_incidents_were_removed_by_hand(bench):
    incident(bench, "a1")
    incident(bench, "a2")
    store_module.remove(bench.folder / bench.names[0])
    incident(bench, "a3")
    assert [name[:6] for name in bench.names] == ["000002", "000003"]


# ------------------------------------------------------------------------------------------------------- retention


def age(bench, name: str, days: float) -> None:
    then = bench.wall_s + bench.clock.now_ns() / S - days * 86_400
    os.utime(bench.folder / name / "incident.json", (then, then))


def test_incidents_are_removed_when_their_days_are_over(bench):
    for number in range(3):
        incident(bench, f"a{number}")
    for name, days in zip(bench.names, (31.0, 29.0, -5.0), strict=True):
        age(bench, name, days)
    bench.run(61.0, fps=0, chunks=2)
    assert [name[:6] for name in bench.names] == ["000002", "000003"]


def test_nothing_is_removed_when_the_clock_has_jumped_ahead(bench):
    incident(bench, "a1")
    age(bench, bench.names[0], 1.0)
    bench.wall_s += 10 * 365 * 86_400.0
    bench.run(61.0, fps=0, chunks=2)
    assert len(bench.names) == 1
