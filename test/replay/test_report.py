"""The HTML report: well formed, self-contained, deterministic, safe against what it quotes, small for long runs."""

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pytest

from tml_ros.records import AlertState, IntentProposal, SafetyAlert, TranscriptEvent
from tml_ros.replay.report import render_report, write_report
from tml_ros.replay.report_data import MAX_PEAKS, MAX_PICTURES, MAX_TURNS, PICTURE_BUDGET_BYTES, timeline_data
from tml_ros.replay.runlog import RunLog, TurnRow, Utterance

VOID = {"meta", "link", "br", "img", "input", "hr", "area", "base", "col", "embed", "source", "track", "wbr"}
FACTS = {"bag": "kitchen", "digest": "sha256:00ff", "realtime factor": "12.0 x"}
HOSTILE = [
    "</script><script>alert(1)</script>",
    "</script x><!-- <script ",
    '"><img src=x onerror=alert(1)>',
    "<!-- <script> ]]> &lt;b&gt; &amp;",
    "${title} $data $$ %s {0}",
    "line\u2028break\u2029 \x00 \x1b[31m \u202e \ud800",
    "javascript:alert(1) https://example.org/x.js",
]


class Page(HTMLParser):
    """Collects elements and complains when they do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), f"attribute twice in <{tag}>: {names}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def handle_data(self, data):
        if self.open:
            self.texts.setdefault(self.open[-1], []).append(data)

    def count(self, tag: str) -> int:
        return sum(name == tag for name, _ in self.elements)


def turn(index: int, **values) -> TurnRow:
    row = {
        "index": index, "end_s": (index + 1) * 0.2, "floor": "listen", "agent_state": "LISTENING",
        "user_state": "SILENT", "overlap": False, "heard": "", "said": "", "intents": (), "frames": 1,
        "missing_samples": 0, "late_messages": 0, "inference_ms": 12.0, "ingest_age_ms": 30.0, "queue_depth": 0,
        "deadline_missed": False,
    }  # fmt: skip
    return TurnRow(**{**row, **values})


def make_log(texts=("bring me the cup",), turns: int = 50) -> RunLog:
    log = RunLog("scripted", start_ns=0)
    log.turns = [turn(n, floor="speak" if 10 <= n < 20 else "listen", overlap=n == 15) for n in range(turns)]
    log.turns[30] = turn(30, missing_samples=160, late_messages=1, inference_ms=230.0, deadline_missed=True)
    for n, text in enumerate(texts):
        at = n * 1_000_000_000
        log.transcripts.append(TranscriptEvent("user", text, True, 0.9, at, at + 800_000_000))
        log.utterances.append(Utterance(n + 1, "REPLY", text, n + 0.9, n + 1.4, interrupted=n == 0))
        data = json.dumps({"object": text})
        log.intents.append(IntentProposal(at, "i", "s", n, at, True, text, data, text, "speech", 1, 0.5))
        log.alerts.append(SafetyAlert(at, f"a{n}", AlertState.RAISED, 2, text, text, text, 0.7, at, at, text))
        log.counters[text] = n
    log.heard_peaks = [(-0.1, 0.2)] * (turns * 10)
    log.said_peaks = [(-0.3, 0.4)] * 100
    log.thumbnails = [(0.1, b"\xff\xd8jpeg\xff\xd9")]
    return log


def page_of(log: RunLog, title: str = "A run", facts=FACTS) -> tuple[str, Page]:
    text = render_report(log, title=title, facts=facts)
    return text, Page(text)


def data_of(text: str) -> dict:
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.S)[1])


def test_page_is_well_formed_when_the_run_is_ordinary():
    text, page = page_of(make_log())
    assert text.startswith("<!DOCTYPE html>\n<html lang=")
    idents = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(idents) == len(set(idents))
    named = [attrs["aria-labelledby"] for _, attrs in page.elements if "aria-labelledby" in attrs]
    assert named and set(named) <= set(idents)


def test_page_is_well_formed_when_nothing_happened():
    text, page = page_of(RunLog("scripted"), facts={})
    assert page.count("table") == 2
    assert data_of(text)["duration"] > 0


def test_page_refers_to_nothing_outside_when_written(tmp_path):
    write_report(make_log(), tmp_path / "new" / "report.html", title="A run", facts=FACTS)
    text = (tmp_path / "new" / "report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//[a-z]|@import|url\((?!#)", re.sub(r"(?m)^\s*// .*$|/\*\*.*?\*/", "", text))
    for tag, attrs in Page(text).elements:
        assert tag not in {"link", "iframe", "object", "embed", "img", "base"}
        assert "src" not in attrs
        assert attrs.get("href", "#").startswith("#")


def test_page_is_the_same_when_written_twice():
    assert page_of(make_log())[0] == page_of(make_log())[0]


def test_policy_allows_only_our_script_and_style_when_read_by_a_browser():
    text, page = page_of(make_log())
    policy = next(a["content"] for _, a in page.elements if a.get("http-equiv") == "Content-Security-Policy")
    for tag in ("script", "style"):
        inside = re.search(rf"<{tag}>(.*?)</{tag}>", text, re.S)[1]
        digest = base64.b64encode(hashlib.sha256(inside.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert "unsafe" not in policy


@pytest.mark.parametrize("hostile", HOSTILE)
def test_page_keeps_its_elements_when_texts_are_hostile(hostile):
    names = [
        element[0] for element in page_of(make_log(("harmless",)), "harmless", {"harmless": "harmless"})[1].elements
    ]
    log = make_log((hostile,))
    log.model = hostile
    text, page = page_of(log, hostile, {hostile: hostile})
    assert [element[0] for element in page.elements] == names
    assert not [name for _, attrs in page.elements for name in attrs if name.startswith("on")]
    assert text.encode("utf-8").decode("utf-8") == text
    assert not re.search("[<>&]", re.search(r'id="data">(.*)</script>\n<script>', text)[1])
    assert not re.search(r"[\x00-\x08\x0b-\x1f\u2028\u2029\u202e]", text)


def test_quoted_text_comes_back_when_it_is_hostile_but_printable():
    quoted = HOSTILE[0]
    text, page = page_of(make_log((quoted,)))
    assert quoted in page.texts["td"]
    assert data_of(text)["words"] == [[0.0, 0.8, quoted]]
    assert text.count("</script>") == 2


def test_tables_have_headers_with_scope_when_filled():
    _, page = page_of(make_log())
    assert page.count("table") == 6
    assert all(attrs.get("scope") == "col" for tag, attrs in page.elements if tag == "th")


def test_alerts_are_called_advisory_when_shown():
    text, _ = page_of(make_log())
    assert "Advisory, not a safety function." in text
    assert '"advisory, not a", "safety function"' in text


def test_tables_tell_latency_and_interruption_when_an_answer_was_cut():
    _, page = page_of(make_log())
    assert "100 ms" in page.texts["td"]
    assert "cut at 1.40 s" in page.texts["td"]


def test_problems_are_marked_when_the_run_had_some():
    text, _ = page_of(make_log())
    assert text.count('<div class="problem">') == 3
    calm = make_log()
    calm.turns = [turn(0)]
    assert '<div class="problem">' not in page_of(calm)[0]


def test_states_become_runs_when_they_do_not_change():
    bands = timeline_data(make_log())["bands"]
    assert bands["floor"] == [[0.0, 2.0, "listen"], [2.0, 4.0, "speak"], [4.0, 10.0, "listen"]]
    assert bands["overlap"] == [[3.0, 3.2, True]]
    assert bands["missing"] == [[6.0, 6.2, True]]


def test_runs_end_when_micro_turns_are_absent():
    log = RunLog("scripted", start_ns=0, turns=[turn(0), turn(1), turn(5)])
    assert timeline_data(log)["bands"]["floor"] == [[0.0, 0.4, "listen"], [1.0, 1.2, "listen"]]


def test_alert_spans_from_raised_to_cleared_when_it_ends():
    log = RunLog("scripted", start_ns=0)
    for at, state, name in [(1, 0, "a"), (2, 1, "a"), (3, 2, "a"), (4, 0, "b")]:
        args = (AlertState(state), 1 + at % 2, "rule", "", "text", 0.5, 0, 0)
        log.alerts.append(SafetyAlert(at * 10**9, name, *args))
    spans = [(row[0], row[1], row[4]) for row in timeline_data(log)["alerts"]]
    assert spans == [(1.0, 3.0, 2), (4.0, None, 1)]


def test_loudest_peak_fills_the_scale_when_sound_is_packed():
    log = RunLog("scripted", start_ns=0, heard_peaks=[(-0.25, 0.5), (float("nan"), 0.0)])
    sound = timeline_data(log)["heard"]
    assert np.frombuffer(base64.b64decode(sound["peaks"]), np.int8).tolist() == [-64, 127, 0, 0]
    assert (sound["step"], sound["loudest"]) == (0.02, 0.5)


def test_spike_survives_when_peaks_and_turns_are_merged():
    log = RunLog("scripted", start_ns=0)
    log.heard_peaks = [(0.0, 0.01)] * (MAX_PEAKS * 3 + 1)
    log.heard_peaks[12_345] = (-0.9, 0.9)
    log.turns = [turn(n) for n in range(MAX_TURNS + 1)]
    log.turns[7_000] = turn(7_000, inference_ms=999.0, deadline_missed=True)
    data = timeline_data(log)
    peaks = np.frombuffer(base64.b64decode(data["heard"]["peaks"]), np.int8).reshape(-1, 2)
    assert len(peaks) <= MAX_PEAKS
    assert np.argmax(peaks[:, 1]) == 12_345 // 4 and data["heard"]["step"] == 0.08
    assert len(data["latency"]["end"]) <= MAX_TURNS
    assert data["latency"]["inference"][3_500] == 999.0 and data["latency"]["missed"] == [3_500]


def test_pictures_are_thinned_to_the_budget_when_there_are_many():
    log = RunLog("scripted", start_ns=0, thumbnails=[(float(n), bytes(4_000)) for n in range(3_600)])
    rows = timeline_data(log)["pictures"]
    assert 100 < len(rows) <= MAX_PICTURES
    assert sum(len(base64.b64decode(row[1])) for row in rows) <= PICTURE_BUDGET_BYTES
    assert rows[0][0] == 0.0 and rows[-1][0] > 3_500


def test_picture_is_left_out_when_it_alone_breaks_the_budget():
    log = RunLog("scripted", start_ns=0, thumbnails=[(0.0, bytes(PICTURE_BUDGET_BYTES + 1))])
    data = timeline_data(log)
    assert (data["pictures"], data["pictures_taken"]) == ([], 1)


def test_file_stays_below_5_mb_when_the_run_is_an_hour_long():
    log = make_log(tuple(f"sentence number {n} of a long afternoon in the lab" for n in range(600)), turns=18_000)
    log.turns = [turn(n, inference_ms=10 + n % 97 / 7, floor=("listen", "speak")[n // 15 % 2]) for n in range(18_000)]
    waves = np.random.default_rng(0).uniform(0, 1, (2, 180_000))
    log.heard_peaks, log.said_peaks = ([(-float(v), float(v)) for v in wave] for wave in waves)
    log.thumbnails = [(float(n), bytes(4_000)) for n in range(3_600)]
    text = render_report(log, title="An hour", facts=FACTS)
    assert 1_000_000 < len(text.encode()) < 5_000_000


def test_timeline_is_drawn_when_a_browser_opens_the_page(tmp_path):
    browser = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if browser is None:
        pytest.skip("no chromium or google-chrome on this machine to open the report in")
    write_report(make_log(HOSTILE), tmp_path / "report.html", title="A run", facts=FACTS)
    flags = "--headless --no-sandbox --disable-gpu --disable-background-networking --disable-component-update"
    flags += " --disable-sync --no-first-run --virtual-time-budget=2000 --dump-dom"
    command = [browser, *flags.split(), f"--user-data-dir={tmp_path}/profile", (tmp_path / "report.html").as_uri()]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert 'class="person wave"' in done.stdout
    assert 'class="robot wave"' in done.stdout
    assert 'class="miss"' in done.stdout
