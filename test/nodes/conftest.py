"""A real graph for a test: a domain of its own on this machine, the node in a process, a client in this one."""

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

try:
    import rclpy
except ImportError:
    rclpy = None

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT_S = 60.0


def pytest_collection_modifyitems(items):
    if rclpy is None:
        for item in items:
            if "nodes" in Path(item.path).parts:
                item.add_marker(pytest.mark.skip(reason="rclpy is not installed: run `make setup`"))


def _join_empty_domain() -> tuple[Any, Any, int]:
    """Return context, client node and number of a domain on which nobody else is."""
    from rclpy.context import Context
    from rclpy.node import Node

    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 2  # two never try the same domain
    for domain in random.sample(range(1 + 50 * worker, 51 + 50 * worker), 20):
        context = Context()
        rclpy.init(context=context, domain_id=domain)
        client = Node("test_client", namespace="tml", context=context)
        time.sleep(0.3)  # discovery on this machine takes about 0.1 s
        if client.get_node_names() == ["test_client"]:
            return context, client, domain
        client.destroy_node()
        rclpy.shutdown(context=context)
    raise RuntimeError("no empty ROS domain found in 20 tries; stop other ROS programs on this machine")


class Graph:
    """Processes and a client node on a domain of their own."""

    def __init__(self, folder: Path) -> None:
        from rclpy.executors import SingleThreadedExecutor

        from tml_ros.nodes import environment

        self.folder = folder
        os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
        environment.prepare()
        self._context, self.client, domain = _join_empty_domain()
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
        self.environment = environment.child_environment() | {"ROS_DOMAIN_ID": str(domain), "PYTHONPATH": path}
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self.client)
        self._processes: list[subprocess.Popen] = []

    def start(self, *command: str, log: str = "node.log") -> subprocess.Popen:
        with (self.folder / log).open("wb") as stream:
            process = subprocess.Popen(
                [sys.executable, *command],
                env=self.environment,
                stdout=stream,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self._processes.append(process)
        return process

    def start_interaction(self, *parameters: str, active: bool = True) -> subprocess.Popen:
        given = [word for parameter in parameters for word in ("-p", parameter)]
        process = self.start("-m", "tml_ros.nodes.interaction", "--ros-args", "-r", "__ns:=/tml", *given)
        wanted = "active" if active else "unconfigured"
        self.wait(lambda: process.poll() is not None or self.state() == wanted, f"interaction to be {wanted}")
        assert process.poll() is None, self.log_text()
        return process

    def start_background(self, *parameters: str, active: bool = True, log: str = "background.log") -> subprocess.Popen:
        nothing_else = ("backend:=scripted", "documents:=''", "skills_file:=''")
        given = [word for parameter in (*nothing_else, *parameters) for word in ("-p", parameter)]
        process = self.start("-m", "tml_ros.nodes.background", "--ros-args", "-r", "__ns:=/tml", *given, log=log)
        wanted = "active" if active else "unconfigured"
        self.wait(lambda: process.poll() is not None or self.state("background") == wanted, f"background: {wanted}")
        assert process.poll() is None, self.log_text(log)
        return process

    def log_text(self, log: str = "node.log") -> str:
        path = self.folder / log
        return path.read_text(errors="replace") if path.exists() else ""

    @property
    def context(self) -> Any:
        return self._context

    def state(self, node: str = "interaction") -> str:
        from lifecycle_msgs.srv import GetState

        answer = self.call(GetState, f"{node}/get_state", GetState.Request(), timeout_s=2.0)
        return answer.current_state.label if answer else ""

    def change_state(self, transition: int, node: str = "interaction") -> bool:
        from lifecycle_msgs.srv import ChangeState

        request = ChangeState.Request()
        request.transition.id = transition
        return self.call(ChangeState, f"{node}/change_state", request).success

    def call(self, kind: Any, name: str, request: Any, timeout_s: float = 10.0) -> Any:
        client = self.client.create_client(kind, name)
        try:
            if not client.wait_for_service(timeout_sec=timeout_s):
                return None
            future = client.call_async(request)
            self._executor.spin_until_future_complete(future, timeout_sec=timeout_s)
            return future.result()
        finally:
            self.client.destroy_client(client)

    def collect(self, kind: Any, topic: str, qos: Any = 50) -> list:
        received: list = []
        self.client.create_subscription(kind, topic, received.append, qos)
        return received

    def spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self._executor.spin_once(timeout_sec=0.05)

    def wait(self, condition: Callable[[], bool], what: str, timeout_s: float = START_TIMEOUT_S) -> None:
        end = time.monotonic() + timeout_s
        while not condition():
            assert time.monotonic() < end, f"waited {timeout_s} s in vain for {what}\n{self.log_text()}"
            self._executor.spin_once(timeout_sec=0.05)

    def stop(self, process: subprocess.Popen, how: int = signal.SIGINT) -> int:
        if process.poll() is None:
            os.killpg(process.pid, how)
        return process.wait(20.0)

    def close(self) -> None:
        for process in self._processes:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5.0)
        self.client.destroy_node()
        rclpy.shutdown(context=self._context)


@pytest.fixture
def graph(tmp_path):
    """A graph that is taken down after the test."""
    made = Graph(tmp_path)
    yield made
    made.close()


@pytest.fixture
def talk(graph, helpers):
    """Start both nodes and somebody who talks to them; see person.Talk."""
    person = helpers("test/nodes/person.py")
    made = []

    def start(*args, **options):
        made.append(person.Talk(graph, *args, **options))
        return made[-1]

    yield start
    for one in made:
        one.microphone.close()


@pytest.fixture
def scripted_endpoint(helpers):
    """The scripted HTTP endpoint of the tests of the openai model."""
    return helpers("test/background/openai/conftest.py")
