"""Jobs on a local Ray cluster: the same results as on processes, and a worker that is lost."""

import sys

import pytest

from tml_ros.errors import MissingDependencyError
from tml_ros.evaluation.ray_engine import RayEngine
from tml_ros.evaluation.results import Verdict
from tml_ros.evaluation.runner import ModelSpec
from tml_ros.evaluation.scenario import load_suite
from tml_ros.evaluation.workers import Job, Workbench
from tml_ros.replay import ReplayOptions, load_scene, make_bag
from tml_ros.replay.golden import make_golden


def test_results_are_those_of_one_process_when_an_actor_is_lost(tmp_path, monkeypatch, helpers):
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'tml_ros[ray]'")
    faulty = helpers("test/evaluation/faulty_models.py")
    monkeypatch.syspath_prepend(faulty.install(tmp_path))
    texts = {"unlucky": "die once", "bad": "crash", "last": "good bye"}
    path = faulty.write_suite(tmp_path / "typed.yaml", texts)
    (tmp_path / "scene.yaml").write_text("duration_s: 1\naudio: [{at_s: 0, noise: white, until_s: 1}]\n")
    make_bag(load_scene(tmp_path / "scene.yaml"), tmp_path / "bag")
    make_golden(tmp_path / "bag", ReplayOptions(values={"model": "parrot"}))[0].write(tmp_path / "golden.jsonl")
    path.write_text(path.read_text() + "bags: [{bag: bag, golden: golden.jsonl}]\n")
    suite = load_suite(path)
    spec = ModelSpec("parrot", "parrot", {"parrot.marker": str(tmp_path / "killed")})
    jobs = {one.name: Job(spec, one) for one in suite.scenarios}
    results = {one.job.scenario.name: one.run.result for one in RayEngine(2).run(list(jobs.values()))}
    assert results.keys() == {*texts, "bag"}
    bench = Workbench()
    assert {name: bench.run(jobs[name]).run.result.to_json() for name in results} == {
        name: result.to_json() for name, result in results.items()
    }
    assert {name for name, one in results.items() if one.verdict is Verdict.PASSED} == {"unlucky", "last", "bag"}


def test_extra_is_named_when_ray_is_not_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'tml_ros\[ray\]'"):
        RayEngine(2)
