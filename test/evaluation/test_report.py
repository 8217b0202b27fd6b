"""The report of an evaluation: well formed, without a network, safe against what it quotes, with sound and drawings."""

import base64
import hashlib
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from tml_ros.evaluation import report_failures
from tml_ros.evaluation.campaign import Campaign, execute
from tml_ros.evaluation.comparison import compare_runs
from tml_ros.evaluation.report import render_report
from tml_ros.evaluation.report_failures import timeline_svg
from tml_ros.evaluation.report_markdown import render_markdown
from tml_ros.evaluation.report_plots import axis_ticks
from tml_ros.evaluation.results import Check, Observation, ScenarioResult, Verdict
from tml_ros.evaluation.runner import ModelSpec, ScenarioRun
from tml_ros.evaluation.scenario import Scenario, Suite, Threshold
from tml_ros.evaluation.store import Store
from tml_ros.evaluation.workers import Finished

VOID = {"meta", "br", "hr", "img", "input", "link"}
HOSTILE = "</title><script>alert(1)</script>\"'><!-- ]]> \x1b[31m \u202e $title https://example.org/x.js"


class Page(HTMLParser):
    """Collects elements and complains when they do not nest."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)
        self.close()
        assert not self.open, f"never closed: {self.open}"

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> closes {self.open[-3:]}"
        self.open.pop()

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


class ScriptedEngine:
    """Gives a failure with sound for scenario ``bad``, an error for ``ill``, and passes the others."""

    def run(self, jobs):
        for job in jobs:
            name = job.scenario.name
            verdict = {"bad": Verdict.FAILED, "ill": Verdict.ERROR}.get(name, Verdict.PASSED)
            checks = (Check(HOSTILE, verdict is Verdict.PASSED, HOSTILE, 0.4), Check("intent", True, "ok", None))
            seen = (Observation("turn_taking_latency_s", 0.4), Observation("turn_taking_tor", 1.0))
            error = HOSTILE if verdict is Verdict.ERROR else ""
            result = ScenarioResult(*job.key, verdict, checks, seen, 1.0, "00", error)
            frames = [frame(place, heard=HOSTILE if place == 1 else "") for place in range(5)]
            sound = np.full(16_000 if verdict is Verdict.FAILED and job.keeps_sound else 0, 0.1, np.float32)
            yield Finished(job, ScenarioRun(result, tuple(frames), sound, sound), 0.1)


def frame(place: int, heard: str = "", said: str = "") -> dict:
    return {
        "index": place, "floor": "speak" if place == 3 else "listen", "user_state": "SPEAKING", "heard": heard,
        "said": said, "intents": [HOSTILE], "alerts": [HOSTILE], "wall_ns": 1, "inference_ms": 10.0 + place,
    }  # fmt: skip


@pytest.fixture
def run(tmp_path):
    """Return outcome and store of a run with one failure and one error."""
    (tmp_path / "suite.yaml").write_text("")
    scenarios = tuple(Scenario(name, HOSTILE, 0, 1.0, (), ()) for name in ("good", "bad", "ill"))
    thresholds = (Threshold("turn_taking_latency_s", at_most=0.1), Threshold("turn_taking_tor", at_least=0.5))
    suite = Suite(HOSTILE, HOSTILE, scenarios, thresholds, tmp_path / "suite.yaml")
    models, beside = (ModelSpec("cascade", "cascade", {"set": HOSTILE}),), (ModelSpec("silence", "silence"),)
    campaign = Campaign((suite,), models, beside)
    store = Store(tmp_path / "out", {})
    return execute(campaign, ScriptedEngine(), store), store


def test_page_is_well_formed_when_everything_is_hostile(run):
    outcome, store = run
    text = render_report(outcome, compare_runs(outcome.results[:2], outcome.results, ["cascade"]), store)
    page = Page(text)
    idents = [attrs["id"] for _, attrs in page.elements if "id" in attrs]
    assert len(idents) == len(set(idents))
    assert not page.named("script")
    assert not re.search(r"[\x00-\x08\x1b\u202e]", text)


def test_policy_allows_only_the_style_and_sound_inside_when_the_page_is_read(run):
    outcome, store = run
    text = render_report(outcome, None, store)
    style = re.search(r"<style>(.*?)</style>", text, re.S)[1]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = next(meta["content"] for meta in Page(text).named("meta") if "content" in meta and "http-equiv" in meta)
    assert policy == f"default-src 'none'; media-src data:; style-src 'sha256-{digest}'"
    assert not [attrs for _, attrs in Page(text).elements if "style" in attrs]


def test_failures_are_shown_with_time_line_and_sound_when_a_model_was_asked_for(run):
    outcome, store = run
    page = Page(render_report(outcome, None, store))
    assert len(page.named("details")) == 2  # the error and the failure of cascade, none of silence
    (audio,) = page.named("audio")
    kept = store.sound(next(one for one in outcome.judged if one.scenario == "bad"))
    assert base64.b64decode(audio["src"].removeprefix("data:audio/flac;base64,")) == kept.read_bytes()


def test_sound_is_named_and_not_inside_when_the_page_would_be_too_large(run, monkeypatch):
    outcome, store = run
    monkeypatch.setattr(report_failures, "SOUND_BUDGET_BYTES", 10)
    text = render_report(outcome, None, store)
    assert not Page(text).named("audio")
    assert re.search(r"<code>sound/[^<]+/bad/cascade\.flac</code>", text)


def test_missed_threshold_is_marked_when_a_figure_is_above_it(run):
    outcome, store = run
    text = render_report(outcome, None, store)
    assert text.count('<span class="missed">0.40 s</span>') == 1  # of cascade, not of the baseline beside it
    assert "at most 0.1" in text


def test_page_is_the_same_when_it_is_rendered_again(run):
    outcome, store = run
    assert render_report(outcome, None, store) == render_report(outcome, None, store)


def test_markdown_is_plain_tables_when_names_are_hostile(run):
    outcome, _ = run
    text = render_markdown(outcome, compare_runs(outcome.results, outcome.results, ["cascade"]), "tml eval x")
    assert "<script" not in text
    assert "| `turn_taking_tor`, high is better | 100.0 % (3 of 3) | 100.0 % (3 of 3) |" in text
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.count("|") - line.count("\\|") >= 4 for line in rows)
    assert "- `turn_taking_latency_s` at most 0.1: missed by cascade\n" in text
    assert "- `turn_taking_tor` at least 0.5: met by cascade\n" in text
    assert "No measure differs." in text


def test_model_is_named_and_in_no_table_when_it_could_not_be_run(tmp_path):
    (tmp_path / "suite.yaml").write_text("")
    suite = Suite("turns", "turns", (Scenario("ill", "turns", 0, 1.0, (), ()),), (), tmp_path / "suite.yaml")
    outcome = execute(Campaign((suite,), (ModelSpec("far", "far"),)), ScriptedEngine(), Store(tmp_path / "out", {}))
    text = render_markdown(outcome, None, "tml eval x")
    assert "- `far` could not be run here: &lt;/title&gt;" in text
    assert not [line for line in text.splitlines() if line.startswith("|") and "far" in line and "%" in line]


def test_both_sides_are_drawn_when_there_is_sound():
    frames = [frame(0, heard="go"), frame(1, heard="go left"), frame(2), frame(3, said="Going"), frame(4, said="left.")]
    sound = np.sin(np.arange(16_000) / 10).astype(np.float32)
    drawing = timeline_svg(frames, sound, sound * 0.1, [(0.4, "too late")], 1.0)
    assert drawing.count("<polygon") == 2
    assert "<title>go left</title>" in drawing and "<title>Going left.</title>" in drawing
    assert "<title>speak, 0.6 to 0.8 s</title>" in drawing
    assert "<title>too late</title>" in drawing
    Page(drawing)


@pytest.mark.parametrize("most", [1e-9, 0.03, 0.7, 1.0, 9.99, 250.0, 3600.0])
def test_axis_is_round_and_reaches_the_end_when_it_is_divided(most):
    ticks = axis_ticks(most)
    assert ticks[0] == 0.0 and 2 <= len(ticks) <= 9
    assert ticks[-1] >= most > 0.4 * ticks[-1] or most < 1e-6
