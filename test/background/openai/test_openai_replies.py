"""Replies that go well, streamed by a real server to the real client."""

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from tml_ros.background import (
    Cancel,
    ContextPackage,
    Failure,
    Outcome,
    Partial,
    Progress,
    Result,
    Surroundings,
    create_background,
)
from tml_ros.errors import ConfigError


def partials(updates):
    return [update.text for update in updates if isinstance(update, Partial)]


def test_report_is_what_was_streamed_when_words_come_in_pieces(endpoint, make_model, script):
    endpoint.play(script.say("It is ", "four ", "degrees."))
    updates = script.ask(make_model())
    assert updates[-1] == Result("It is four degrees.", {"tools": [], "model": "m"})
    assert "".join(partials(updates)) == "It is four degrees."


def test_first_partial_comes_at_once_when_the_reply_is_slow(endpoint, make_model, script):
    endpoint.play(script.say("It ", "is ", "cold.", every_s=0.3))
    updates = make_model().run(ContextPackage("Is it cold?"), Cancel())
    assert next(updates) == Partial("It")
    first = time.monotonic()
    assert isinstance(list(updates)[-1], Result)
    assert time.monotonic() - first > 0.5  # the rest was still to come when the first words were there


def test_partials_are_few_when_pieces_are_many(endpoint, make_model, script):
    endpoint.play(script.say(*["word "] * 100, every_s=0.005))
    texts = partials(script.ask(make_model()))
    assert 3 <= len(texts) <= 25
    assert "".join(texts) == "word " * 99 + "word"


def test_words_are_not_kept_waiting_when_the_stream_pauses_after_them(endpoint, make_model, script):
    def play(exchange):
        exchange.begin()
        for piece in ("It ", "is ", "cold."):
            exchange.event({"content": piece})
        exchange.hang()

    endpoint.play(play)
    updates = make_model().run(ContextPackage("Is it cold?"), Cancel())
    words = ""
    while words != "It is cold.":
        words += next(updates).text
    updates.close()


def test_thoughts_are_progress_when_a_model_reasons(endpoint, make_model, script):
    pieces = ({"reasoning_content": "secret one"}, {"reasoning": "secret two"}, {"content": "<thi"})
    endpoint.play(script.stream(*pieces, {"content": "nk>secret three</think>\n\nIt **is** cold."}))
    updates = script.ask(make_model())
    assert updates[-1].report == "It is cold."
    assert Progress("thinking") in updates
    assert "secret" not in repr(updates)


def test_request_carries_the_parameters_when_they_are_set(endpoint, make_model, script):
    script.ask(make_model(temperature=0.5, seed=7, max_tokens=99, use_tools=False))
    exchange = endpoint.exchanges[0]
    assert {key: exchange.body[key] for key in ("model", "stream", "temperature", "seed", "max_tokens")} == {
        "model": "m",
        "stream": True,
        "temperature": 0.5,
        "seed": 7,
        "max_tokens": 99,
    }
    assert "tools" not in exchange.body
    assert exchange.headers["authorization"] == f"Bearer {script.key}"


def test_request_leaves_it_to_the_endpoint_when_parameters_are_off(endpoint, make_model, script):
    script.ask(make_model(temperature=-1.0, seed=-1, max_tokens=0))
    assert not {"temperature", "seed", "max_tokens"} & set(endpoint.exchanges[0].body)


def test_dummy_key_is_sent_when_the_variable_is_missing(endpoint, make_model, script):
    script.ask(make_model(api_key_env="NO_SUCH_VARIABLE_HERE"))
    assert endpoint.exchanges[0].headers["authorization"] == "Bearer none"


def test_reply_is_marked_when_it_was_cut(endpoint, make_model, script):
    endpoint.play(script.say("It is", finish="length"))
    assert "max_tokens" in script.ask(make_model())[-1].data["cut"]


def test_empty_reply_is_a_failure_when_nothing_else_came(endpoint, make_model, script):
    endpoint.play(script.say("  \n"), script.say("Yes."))
    model = make_model()
    failure = script.ask(model)[-1]
    assert isinstance(failure, Failure) and failure.report and "no words" in failure.error
    assert script.ask(model)[-1].report == "Yes."


def test_refusal_is_refused_when_the_model_says_so(endpoint, make_model, script):
    endpoint.play(script.stream({"refusal": "I must not."}))
    failure = script.ask(make_model())[-1]
    assert failure.outcome == Outcome.REFUSED and "I must not." in failure.error


def test_tasks_do_not_mix_when_several_run_at_once(endpoint, make_model, script):
    def play(exchange):
        task = exchange.body["messages"][1]["content"].split("\n")[0]
        script.say("I heard ", task, every_s=0.02)(exchange)

    endpoint.play(play)
    model = make_model()
    with ThreadPoolExecutor(6) as pool:
        reports = [updates[-1].report for updates in pool.map(lambda n: script.ask(model, f"number {n}"), range(6))]
    assert reports == [f"I heard Task: number {n}" for n in range(6)]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"base_url": ""}, "openai.base_url is empty"),
        ({"base_url": "localhost:8000"}, "http://"),
        ({"base_url": "http://me:secret@host/v1"}, "credentials"),
        ({"base_url": "http://[::1/v1"}, "no address"),
        ({"model": ""}, "openai.model"),
        ({"mcp_servers": ("x",)}, "mcp_servers"),
    ],
)
def test_configuration_is_refused_when_it_is_wrong(make_model, changes, named):
    with pytest.raises(ConfigError, match=named) as caught:
        make_model(**changes)
    assert "secret" not in str(caught.value)


def test_backend_is_found_by_name_when_it_is_configured(endpoint, allow_list, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"openai\.base_url"):
        create_background("openai", {}, Surroundings(allow_list))
    values = {"openai.base_url": endpoint.url, "openai.model": "m", "openai.mcp_servers": [""]}
    create_background("openai", values, Surroundings(allow_list)).close()


def test_run_is_a_failure_when_the_model_is_closed(make_model, script):
    model = make_model()
    model.close()
    assert isinstance(script.ask(model)[-1], Failure)
