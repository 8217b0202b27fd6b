"""An endpoint that fails in every way, behind a robot that talks: it says so, goes on, and asks again."""

import pytest

pytest.importorskip("rclpy", reason="rclpy is not installed: run `make setup`")

READ_TIMEOUT_S = 1.0
SETTINGS = (
    "openai.model:=m",
    f"openai.read_timeout_s:={READ_TIMEOUT_S}",
    "openai.max_retries:=1",
    "openai.backoff_s:=0.1",
    "openai.max_reply_chars:=2000",
    "openai.use_tools:=false",
)


def dies_midstream(exchange):
    exchange.begin()
    exchange.event({"content": "It is"})


def hangs(exchange):
    exchange.hang()


def hangs_midstream(exchange):
    exchange.begin()
    exchange.event({"content": "It is"})
    exchange.hang()


def sends_garbage(exchange):
    exchange.begin()
    exchange.chunk(b"data: {not json\n\n")
    exchange.end()


def never_ends(exchange):
    exchange.begin()
    while not exchange.left.is_set():
        exchange.event({"content": "word " * 100})


@pytest.mark.timeout(180)
def test_robot_says_so_and_goes_on_when_the_endpoint_fails(talk, scripted_endpoint, free_port):
    options = ("backend:=openai", f"openai.base_url:=http://127.0.0.1:{free_port}/v1", *SETTINGS)
    robot = talk(None, "delegation.filler_after_s:=60.0", "delegation.change_window_s:=0.0", background=options)

    def fails(words: str, known_after_s: float = 0.0) -> None:
        said = len(robot.said())
        robot.type("order some gloves")
        took_s = robot.hear(lambda: any(words in text for text in robot.said()[said:]), words)
        assert took_s < known_after_s + 2.0, words
        robot.type("go")
        robot.hear(lambda: "Going forward." in robot.said()[said:], "the robot to go on", timeout_s=4.0)
        robot.hear(lambda: not robot.open_tasks, "the end of the task", timeout_s=2.0)

    fails("cannot reach", known_after_s=0.1)
    endpoint = scripted_endpoint.Endpoint(free_port)
    try:
        busy, broken = (scripted_endpoint.status(code) for code in (429, 500))
        for script, words, known_after_s in [
            (dies_midstream, "broke off", 0.0),
            (hangs, "does not answer", READ_TIMEOUT_S),
            (hangs_midstream, "does not answer", READ_TIMEOUT_S),
            (sends_garbage, "cannot read", 0.0),
            (busy, "too busy", 0.1),
            (broken, "too busy", 0.1),
            (never_ends, "too long", 0.0),
        ]:
            endpoint.play(script)
            asked = len(endpoint.exchanges)
            fails(words, known_after_s)
            assert len(endpoint.exchanges) - asked == (2 if script in (busy, broken) else 1), words
            endpoint.play(scripted_endpoint.say("They are ", "ordered."))
            said = len(robot.said())
            robot.type("order some gloves")
            robot.hear(lambda before=said: "They are ordered." in robot.said()[before:], "the next answer")
    finally:
        endpoint.close()
