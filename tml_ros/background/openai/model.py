"""The ``openai`` background model: tasks on any endpoint with the OpenAI chat completions interface.

Threads on one side, one asyncio loop on the other: ``run`` hands a task to the loop and passes on what comes back. All
that can go wrong ends as a Failure. The conversation leaves the machine only for the endpoint that is configured.

Source of the contract: ``tml_ros.background.protocol.BackgroundModel``.
"""

import logging
import queue
import threading
from collections.abc import Iterator

from tml_ros.background.openai.config import OpenAIConfig
from tml_ros.background.openai.endpoint import Endpoint
from tml_ros.background.openai.faults import Fault
from tml_ros.background.openai.loop import Job, LoopThread
from tml_ros.background.openai.pictures import Picture, prepare
from tml_ros.background.openai.prompt import messages
from tml_ros.background.openai.task import Task
from tml_ros.background.protocol import Cancel, ContextPackage, Failure, Outcome, Result, Surroundings, Update
from tml_ros.background.tools import Effects, Threads, Tool, builtin_tools, robot_utterances
from tml_ros.background.tools.builtin import Documents
from tml_ros.background.tools.mcp import McpServers

__all__ = ["OpenAIModel"]

_GRACE_S = 0.15  # what the loop has to close a stream after a cancel; the whole must take less than 0.2 s
_CLOSE_S = 6.0
_log = logging.getLogger(__name__)


class OpenAIModel:
    """See the module.

    Thread: ``run`` any, several at once.
    """

    name = "openai"
    config_type = OpenAIConfig

    def __init__(self, config: OpenAIConfig, surroundings: Surroundings) -> None:
        """Check the configuration and start the loop. Nothing is connected before the first task.

        Raises:
            ConfigError: no endpoint is configured, a parameter is wrong, or the documents cannot be read.
        """
        self._config = config
        self._surroundings = surroundings
        self._endpoint = Endpoint(config)
        self._documents = _open_documents(surroundings)
        self._servers = McpServers(
            config.mcp_servers,
            connect_timeout_s=config.mcp_connect_timeout_s,
            call_timeout_s=config.tool_timeout_s,
            max_chars=config.tool_result_chars,
        )
        self._threads = Threads()
        self._jobs: set[Job] = set()
        self._lock = threading.Lock()
        self._is_closed = False
        self._loop = LoopThread("tml-openai")

    def run(self, package: ContextPackage, cancel: Cancel) -> Iterator[Update]:
        """Work on a task; see the protocol."""
        updates: queue.SimpleQueue[Update | None] = queue.SimpleQueue()
        pictures = self._pictures(package, cancel)
        job = self._loop.job(lambda: self._work(package, pictures, updates))
        if not self._begin(job, updates):
            yield Failure(Outcome.FAILED, "I cannot look into that any more.", "the model is closed; make a new one")
            return
        cancel.on_set(job.cancel)
        cancel.on_set(lambda: updates.put(None))
        try:
            while (update := updates.get()) is not None and not cancel.is_set:
                yield update
        finally:
            self._end(job)

    def close(self) -> None:
        """Withdraw every task, close streams and MCP servers, and end the loop."""
        with self._lock:
            self._is_closed = True
            jobs = list(self._jobs)
        for job in jobs:
            job.cancel()
        self._loop.close(self._free, _CLOSE_S)

    def _begin(self, job: Job, updates: "queue.SimpleQueue[Update | None]") -> bool:
        with self._lock:
            if not self._is_closed:
                self._jobs.add(job)
                job.start(lambda: updates.put(None))
            return not self._is_closed

    def _end(self, job: Job) -> None:
        job.cancel()
        job.done.wait(_GRACE_S)
        with self._lock:
            self._jobs.discard(job)

    def _pictures(self, package: ContextPackage, cancel: Cancel) -> list[Picture]:
        newest = package.images[-self._config.max_images :] if self._config.max_images else ()
        limits = self._config.image_max_pixels, self._config.image_max_bytes
        return [prepare(stream, *limits) for stream in newest if not cancel.is_set]

    async def _work(
        self, package: ContextPackage, pictures: list[Picture], updates: "queue.SimpleQueue[Update | None]"
    ) -> None:
        updates.put(await self._outcome(package, pictures, updates))

    async def _outcome(
        self, package: ContextPackage, pictures: list[Picture], updates: "queue.SimpleQueue[Update | None]"
    ) -> Result | Failure:
        try:
            effects = Effects()
            tools, notes = await self._tools(package, effects)
            task = Task(self._config, self._endpoint, self._threads, effects, updates.put)
            start = messages(package, pictures, self._config.max_context_chars, bool(tools))
            return await task.run(start, tools, package.budget_s, notes)
        except Fault as fault:
            _log.warning("a task failed: %s", fault.error)
            return fault.failure
        except Exception as err:
            error = f"unexpected {type(err).__name__}: {self._endpoint.where.said(err)}; please report this"
            _log.error("a task failed: %s", error)
            return Failure(Outcome.FAILED, "Sorry, something went wrong while I was thinking about that.", error)

    async def _tools(self, package: ContextPackage, effects: Effects) -> tuple[list[Tool], list[str]]:
        if not self._config.use_tools:
            return [], []
        others, notes = await self._servers.tools()
        own = builtin_tools(
            self._surroundings,
            effects,
            documents=self._documents,
            utterances=robot_utterances(package.context),
            can_see=self._config.max_images > 0,
            timeout_s=self._config.tool_timeout_s,
            max_chars=self._config.tool_result_chars,
        )
        return [*own, *others], notes

    async def _free(self) -> None:
        await self._servers.close()
        await self._endpoint.close()


def _open_documents(surroundings: Surroundings) -> Documents | None:
    if surroundings.documents is None:
        return None
    from tml_ros.background.documents import DocumentIndex

    return DocumentIndex(surroundings.documents)
