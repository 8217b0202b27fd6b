"""Everything that can go wrong with an endpoint: each is a failure with words to speak, and the next task works."""

import logging
import socket
import threading
import time
from email.utils import formatdate

import pytest

from tml_ros.background import Cancel, ContextPackage, Failure, Outcome, Partial, Progress, Result


def garbage_lines(exchange):
    exchange.begin()
    exchange.chunk(b"data: {not json\n\n")
    exchange.end()


def garbage_bytes_in_the_stream(exchange):
    exchange.begin()
    exchange.chunk(bytes(range(128, 256)) * 20 + b"\n\n")
    exchange.end()


def chunks_of_another_kind(exchange):
    exchange.begin()
    exchange.chunk(b'data: [1, 2]\n\ndata: {"choices": "none"}\n\n')
    exchange.end()


def a_web_page(exchange):
    exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 13\r\n\r\n<html></html>")


def an_event_with_an_error(exchange):
    exchange.begin()
    exchange.chunk(b'data: {"error": {"message": "out of memory"}}\n\n')


def an_end_without_a_reason(exchange):
    exchange.begin()
    exchange.event({"content": "It is"})
    exchange.end()


def a_death(exchange):
    exchange.begin()
    exchange.event({"content": "It is"})


def a_hang_before_the_headers(exchange):
    exchange.hang()


def a_hang_in_the_stream(exchange):
    exchange.begin()
    exchange.event({"content": "It is"})
    exchange.hang()


def a_huge_reply(exchange):
    exchange.begin()
    while not exchange.wait(0):
        exchange.event({"content": "words and more words " * 50})


def a_line_without_an_end(exchange):
    exchange.begin()
    while not exchange.wait(0):
        exchange.chunk(b"x" * 1_000_000)


FAULTS = [  # script, in the words to be spoken, in the words for people
    (garbage_lines, "cannot read", "JSONDecodeError"),
    (garbage_bytes_in_the_stream, "cannot read", "UnicodeDecodeError"),
    (chunks_of_another_kind, "cannot read", "openai.base_url"),
    (a_web_page, "cannot read", "no chunk"),
    (an_event_with_an_error, "broke off", "out of memory"),
    (an_end_without_a_reason, "broke off", "finish reason"),
    (a_death, "broke off", "server's log"),
    (a_hang_before_the_headers, "does not answer", "openai.read_timeout_s"),
    (a_hang_in_the_stream, "does not answer", "openai.read_timeout_s"),
    (a_huge_reply, "too long", "openai.max_reply_chars"),
    (a_line_without_an_end, "too long", "bytes"),
]


@pytest.mark.parametrize(("wrong", "spoken", "written"), FAULTS, ids=[fault[0].__name__ for fault in FAULTS])
def test_fault_is_a_failure_and_not_retried_when_the_endpoint_sends(
    endpoint, make_model, script, wrong, spoken, written
):
    endpoint.play(wrong, script.say("Yes."))
    model = make_model(read_timeout_s=0.3)
    updates = script.ask(model)
    assert isinstance(updates[-1], Failure) and updates[-1].outcome == Outcome.FAILED
    assert spoken in updates[-1].report
    assert written in updates[-1].error and endpoint.url.split("/")[2] in updates[-1].error
    assert len(endpoint.exchanges) == 1
    assert script.ask(model)[-1] == Result("Yes.", {"tools": [], "model": "m"})


def test_words_are_kept_when_the_stream_dies_after_them(endpoint, make_model, script):
    endpoint.play(a_death)
    updates = script.ask(make_model())
    assert updates[0] == Partial("It is") and len(updates) == 2


def test_huge_reply_is_stopped_at_the_server_when_it_is_given_up(endpoint, make_model, script):
    endpoint.play(a_huge_reply)
    script.ask(make_model(read_timeout_s=5.0))
    assert endpoint.exchanges[0].left.wait(2.0)


def test_garbage_instead_of_http_is_a_failure_when_it_comes(endpoint, make_model, script):
    endpoint.play(script.raw(b"\x00\x01\x02 nonsense \xff\r\n\r\n"), script.say("Yes."))
    model = make_model()
    failure = script.ask(model)[-1]
    assert "cannot read" in failure.report and len(endpoint.exchanges) == 1
    assert script.ask(model)[-1].report == "Yes."


@pytest.mark.parametrize("code", [429, 500, 502, 503, 504])
def test_request_is_tried_again_when_the_endpoint_is_busy(endpoint, make_model, script, code):
    endpoint.play(script.status(code), script.say("Yes."))
    updates = script.ask(make_model())
    assert updates[-1].report == "Yes." and len(endpoint.exchanges) == 2
    assert [one.status_text for one in updates if isinstance(one, Progress)] == [
        "The model server is busy, I am trying again."
    ]


@pytest.mark.parametrize("code", [429, 500])
def test_attempts_end_when_the_endpoint_stays_busy(endpoint, make_model, script, code):
    endpoint.play(script.status(code))
    failure = script.ask(make_model(max_retries=3))[-1]
    assert "too busy" in failure.report and str(code) in failure.error
    assert len(endpoint.exchanges) == 4
    endpoint.play(script.say("Yes."))


@pytest.mark.parametrize("code", [400, 401, 403, 404, 422])
def test_request_is_not_tried_again_when_it_is_refused(endpoint, make_model, script, code):
    endpoint.play(script.status(code), script.say("Yes."))
    model = make_model()
    failure = script.ask(model)[-1]
    assert "refused" in failure.report and str(code) in failure.error and "openai." in failure.error
    assert len(endpoint.exchanges) == 1
    assert script.ask(model)[-1].report == "Yes."


def test_redirect_is_not_followed_when_an_endpoint_sends_one(endpoint, make_model, script):
    endpoint.play(script.status(307, Location=f"{endpoint.url}/chat/completions"), script.say("Yes."))
    assert "redirects are not followed" in script.ask(make_model())[-1].error
    assert len(endpoint.exchanges) == 1


def test_pause_is_what_the_endpoint_asks_for_when_that_is_short(endpoint, make_model, script):
    endpoint.play(script.status(429, Retry_After="0.2"), script.say("Yes."))
    began = time.monotonic()
    assert script.ask(make_model())[-1].report == "Yes."
    assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("form", ["seconds", "date"])
def test_failure_comes_at_once_when_the_endpoint_asks_for_a_long_pause(endpoint, make_model, script, form):
    value = "60" if form == "seconds" else formatdate(time.time() + 60, usegmt=True)
    endpoint.play(script.status(429, Retry_After=value), script.say("Yes."))
    model = make_model()
    assert "too busy" in script.ask(model)[-1].report and len(endpoint.exchanges) == 1
    assert script.ask(model)[-1].report == "Yes."


def test_failure_comes_at_once_when_the_pause_exceeds_the_budget(endpoint, make_model, script):
    endpoint.play(script.status(429, Retry_After="0.25"))
    assert "too busy" in script.ask(make_model(), budget_s=0.1)[-1].report
    assert len(endpoint.exchanges) == 1


def test_task_fails_and_the_next_works_when_the_endpoint_is_down_at_first(endpoint, make_model, script, allow_list):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: connections are refused
        model = make_model(base_url=f"http://127.0.0.1:{taken.getsockname()[1]}/v1", max_retries=1)
        updates = script.ask(model)
        assert "cannot reach" in updates[-1].report and "openai.base_url" in updates[-1].error
        assert len([one for one in updates if isinstance(one, Progress)]) == 1
        taken.listen()
        taken.settimeout(10.0)
        answered = threading.Thread(target=serve_once, args=(taken,))
        answered.start()
        assert script.ask(model)[-1].report == "Yes."
        answered.join(10.0)


def serve_once(listening):
    connection, _ = listening.accept()
    with connection:
        connection.recv(65536)
        body = b'data: {"choices":[{"index":0,"delta":{"content":"Yes."},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
        head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(body)
        connection.sendall(head + body)


def test_connection_is_tried_again_when_the_server_drops_it(endpoint, make_model, script):
    endpoint.play(script.raw(b""), script.say("Yes."))
    assert script.ask(make_model())[-1].report == "Yes."
    assert len(endpoint.exchanges) == 2


# ------------------------------------------------------------------------------------------------------------ cancel


def a_busy_answer(exchange):
    exchange.send(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\nRetry-After: 5\r\n\r\n")


def words_without_an_end(exchange):
    exchange.begin()
    while not exchange.wait(0.01):
        exchange.event({"content": "more "})


def run_until_cancel(model, cancel, when):
    """Start a task, set ``cancel`` after ``when`` returns; give the seconds from then to the end, and that time."""
    ended = []

    def work():
        list(model.run(ContextPackage("Is it cold?"), cancel))
        ended.append(time.monotonic())

    thread = threading.Thread(target=work)
    thread.start()
    when()
    began = time.monotonic()
    cancel.set()
    thread.join(10.0)
    return ended[0] - began, began


@pytest.mark.parametrize("hang", [a_hang_before_the_headers, a_hang_in_the_stream, words_without_an_end])
def test_stream_is_closed_within_a_micro_turn_when_the_task_is_cancelled(endpoint, make_model, script, hang):
    endpoint.play(hang, script.say("Yes."))
    model = make_model()
    took_s, began = run_until_cancel(model, Cancel(), lambda: endpoint.wait_for(1))
    assert took_s < 0.2
    assert endpoint.exchanges[0].left.wait(1.0)
    assert endpoint.exchanges[0].left_at - began < 0.4  # the server's thread may be late to see it
    assert script.ask(model)[-1].report == "Yes."


def test_task_ends_within_a_micro_turn_when_it_is_cancelled_between_attempts(endpoint, make_model, script):
    endpoint.play(a_busy_answer, script.say("Yes."))
    model = make_model(backoff_limit_s=10.0)
    took_s, _ = run_until_cancel(model, Cancel(), lambda: endpoint.wait_for(1))
    assert took_s < 0.2 and len(endpoint.exchanges) == 1


@pytest.fixture
def hanging_url():
    """An address where a connection is neither taken nor refused: the queue of its listening socket is full."""
    with socket.socket() as full, socket.socket() as first, socket.socket() as second:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(full.getsockname())
        yield f"http://127.0.0.1:{full.getsockname()[1]}/v1"


def test_task_ends_within_a_micro_turn_when_the_connection_is_never_taken(make_model, hanging_url):
    model = make_model(base_url=hanging_url, connect_timeout_s=8.0)
    moment = threading.Event()  # nobody can tell when the client is inside connect
    took_s, _ = run_until_cancel(model, Cancel(), lambda: moment.wait(0.1))
    assert took_s < 0.2


def test_endpoint_cannot_be_reached_when_the_connection_is_never_taken(make_model, script, hanging_url):
    updates = script.ask(make_model(base_url=hanging_url, connect_timeout_s=0.1, max_retries=1))
    assert "cannot reach" in updates[-1].report and "openai.connect_timeout_s" in updates[-1].error
    assert len([one for one in updates if isinstance(one, Progress)]) == 1


def test_nothing_is_sent_when_the_task_was_cancelled_before(endpoint, make_model):
    cancel = Cancel()
    cancel.set()
    assert list(make_model().run(ContextPackage("Is it cold?"), cancel)) == []
    assert endpoint.exchanges == []


def test_stream_is_closed_when_whoever_cancels_takes_no_updates(endpoint, make_model):
    endpoint.play(words_without_an_end)
    cancel = Cancel()
    updates = make_model().run(ContextPackage("Is it cold?"), cancel)
    assert next(updates) == Partial("more")
    cancel.set()
    assert endpoint.exchanges[0].left.wait(1.0)
    assert list(updates) == []


def test_stream_is_closed_when_nobody_takes_the_updates_any_more(endpoint, make_model):
    endpoint.play(words_without_an_end)
    updates = make_model().run(ContextPackage("Is it cold?"), Cancel())
    assert next(updates) == Partial("more")
    updates.close()
    assert endpoint.exchanges[0].left.wait(1.0)


def test_task_ends_when_the_model_is_closed_meanwhile(endpoint, make_model):
    endpoint.play(a_hang_in_the_stream)
    model = make_model()
    updates = model.run(ContextPackage("Is it cold?"), Cancel())
    assert next(updates) == Partial("It is")
    began = time.monotonic()
    model.close()
    assert list(updates) == []
    assert time.monotonic() - began < 2.0 and endpoint.exchanges[0].left.wait(1.0)


# --------------------------------------------------------------------------------------------------------------- key


def test_key_is_nowhere_when_everything_goes_wrong(endpoint, make_model, script, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    told = []
    for wrong in (
        script.status(401, {"error": {"message": f"wrong key {script.key}, go away"}}),
        script.status(500, f"Authorization: Bearer {script.key}"),
        lambda exchange: (exchange.begin(), exchange.chunk(f'data: {{"error": "{script.key}"}}\n\n'.encode())),
        lambda exchange: (exchange.begin(), exchange.chunk(f"data: {script.key}\n\n".encode()), exchange.end()),
        script.raw(f"HTTP/9.9 {script.key}\r\n\r\n".encode()),
        script.say("Yes."),
    ):
        endpoint.play(wrong)
        model = make_model(max_retries=1)
        told += [repr(script.ask(model)), repr(model), repr(vars(model)), repr(model._endpoint.where)]
    model = make_model(base_url="http://127.0.0.1:1/v1", max_retries=0)
    told.append(repr(script.ask(model)))
    assert endpoint.exchanges[0].headers["authorization"].endswith(script.key)
    written = "".join(told) + caplog.text + "".join(capfd.readouterr())
    assert "a task failed" in written and script.key not in written
