"""Parameters of the ``openai`` background model.

No endpoint is configured by default, so that nothing leaves the machine unless somebody names where to. The key itself
is never a parameter: only the name of the environment variable that holds it.
"""

from dataclasses import dataclass

from tml_ros.config import param

__all__ = ["OpenAIConfig"]


@dataclass(frozen=True, slots=True)
class OpenAIConfig:
    """Where the model is, how long it may take, and what it may use."""

    base_url: str = param(
        "", "Endpoint with the OpenAI chat completions interface, such as http://localhost:8000/v1; empty: none"
    )
    model: str = param("", "Name of the model, as the endpoint lists it under /models")
    api_key_env: str = param(
        "OPENAI_API_KEY", "NAME of the environment variable that holds the key; unset: none, as local servers want it"
    )
    connect_timeout_s: float = param(3.0, "Time to reach the endpoint", unit="s", minimum=0.05, maximum=60.0)
    read_timeout_s: float = param(
        20.0, "Silence of the endpoint after which it counts as dead", unit="s", minimum=0.05, maximum=600.0
    )
    max_retries: int = param(
        2, "Further attempts when the endpoint is busy or cannot be reached", minimum=0, maximum=10
    )
    backoff_s: float = param(
        0.3, "Pause before the first further attempt; it doubles with each", unit="s", minimum=0.01, maximum=30.0
    )
    backoff_limit_s: float = param(
        5.0, "Longest pause; an endpoint that asks for a longer one is given up", unit="s", minimum=0.01, maximum=60.0
    )
    max_tokens: int = param(1024, "Longest reply that is asked for, in tokens; 0: up to the endpoint", minimum=0)
    temperature: float = param(0.2, "Sampling temperature; -1: up to the endpoint", minimum=-1.0, maximum=2.0)
    seed: int = param(-1, "Seed of the sampling, where the endpoint takes one; -1: none", minimum=-1)
    max_images: int = param(4, "Pictures sent with a task, the newest ones; 0: none", minimum=0, maximum=16)
    image_max_pixels: int = param(786_432, "Larger pictures are shrunk to this many pixels", minimum=1024)
    image_max_bytes: int = param(400_000, "Larger pictures are shrunk to this many bytes", unit="B", minimum=2048)
    max_context_chars: int = param(
        48_000, "Longest context that is sent; the oldest lines of the conversation are left out first", minimum=500
    )
    max_reply_chars: int = param(
        8000, "Longest reply that is taken, words and tool arguments together; a longer one is a failure", minimum=100
    )
    use_tools: bool = param(True, "Offer tools to the model; some small models cannot deal with them")
    max_tool_rounds: int = param(6, "How often the model may call tools before it must answer", minimum=0, maximum=50)
    tool_timeout_s: float = param(8.0, "Time that a tool may take", unit="s", minimum=0.05, maximum=600.0)
    tool_result_chars: int = param(4000, "Longest result of a tool that is passed on; the rest is cut", minimum=100)
    mcp_servers: tuple[str, ...] = param(
        ("",), "MCP servers with more tools, each as NAME=stdio:COMMAND ARGUMENTS or NAME=http://HOST:PORT/PATH"
    )
    mcp_connect_timeout_s: float = param(
        5.0, "Time to start or reach an MCP server and to list its tools", unit="s", minimum=0.05, maximum=120.0
    )
