"""Jobs of an evaluation on a Ray cluster: actors instead of processes, the same results to the byte.

Without an address a cluster of this machine is started and ended again. On another one the package, the models' files
and the data have to be on every node; what was heard and said comes back to where the command runs. Ray's reports on
how it is used are off. An actor that is lost, or its node, costs its scenario one attempt.
"""

import importlib
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from tml_ros.errors import MissingDependencyError
from tml_ros.evaluation.workers import Attempts, Finished, Job, Workbench

__all__ = ["RayEngine"]


class RayEngine:
    """Actors of one core each. address: of a running cluster, ``auto`` for that of this machine; None starts one."""

    def __init__(self, workers: int, address: str | None = None) -> None:
        """Find the library.

        Raises:
            MissingDependencyError: Ray is not installed.
        """
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
        try:
            self._ray: Any = importlib.import_module("ray")
        except ImportError as err:
            raise MissingDependencyError(f"{err}; run: pip install 'tml_ros[ray]'") from err
        self._workers = workers
        self._address = address

    def run(self, jobs: Sequence[Job]) -> Iterator[Finished]:
        """Yield every job once, as it is ready. Closing the iterator ends the actors."""
        with self._cluster():
            attempts = Attempts(jobs)
            actor = self._ray.remote(num_cpus=1, max_restarts=0)(Workbench)
            idle = [actor.remote() for _ in range(min(self._workers, len(jobs)))]
            at_work: dict[Any, tuple[Any, Job]] = {}
            while attempts or at_work:
                while attempts and idle:
                    worker, job = idle.pop(), attempts.next()
                    at_work[worker.run.remote(job)] = worker, job
                ready, _ = self._ray.wait(list(at_work), num_returns=1)
                for one in ready:
                    worker, job = at_work.pop(one)
                    finished: Finished | None
                    try:
                        finished = self._ray.get(one)
                    except self._ray.exceptions.RayError as err:
                        worker = actor.remote()
                        finished = attempts.lost(job, f"was lost ({type(err).__name__})")
                    idle.append(worker)
                    if finished is not None:
                        yield finished

    @contextmanager
    def _cluster(self) -> Iterator[None]:
        """Connect, unless whoever calls has; leave things as they were."""
        if self._ray.is_initialized():
            yield
            return
        quiet = {"log_to_driver": False, "configure_logging": False}
        if self._address is None:
            paths = os.pathsep.join(path for path in sys.path if path)
            environment = {"env_vars": {"PYTHONPATH": paths}}
            self._ray.init(num_cpus=self._workers, include_dashboard=False, runtime_env=environment, **quiet)
        else:
            self._ray.init(address=self._address, **quiet)
        try:
            yield
        finally:
            self._ray.shutdown()
