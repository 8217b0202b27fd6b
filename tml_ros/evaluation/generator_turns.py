"""Scenarios of the floor: turns, pauses, bids for it, sounds of listeners, talk to others and in the background."""

from collections.abc import Iterator
from typing import Any

from tml_ros.evaluation.generator_parts import Parts, may, monologue, say, scenario

__all__ = [
    "asides",
    "background_talk",
    "bids",
    "listener_sounds",
    "long_turns",
    "pauses",
    "talk_to_others",
    "turns",
]

_TURNS = (
    "what can you do",
    "what is your name",
    "can you hear me",
    "what do you see",
    "hey robot what can you do",
    "who are you",
    "what time is it",
    "put the bottle on the table",
    "take me to the kitchen",
    "show me the way to the office",
    "do you hear me",
    "how long has it been",
)
_PAUSES = (
    ("put it on the", "table"),
    ("go to the", "kitchen"),
    ("bring me the", "red cup"),
    ("take me to the", "office"),
    ("bring me the", "bottle"),
    ("put the cup on the", "bench"),
    ("what do i do if there is", "a fire"),
    ("show me the way to the", "door"),
)
_PAUSES_S = (0.4, 1.0, 0.7, 1.4, 0.55, 1.2)
_BIDS = (
    "stop talking please",
    "wait a minute",
    "hold on robot",
    "excuse me i have a question",
    "no that is wrong",
    "be quiet please",
    "hey robot listen to me",
    "what is your name",
    "can you hear me",
    "please stop it now",
    "turn left",
    "go to the kitchen",
)
_DOES = ("place_object", "guide", "move_to", "bring_object", "turn_by", "stop_activity", "answer")
_ANSWERED = {
    "what is your name": "robot",
    "can you hear me": "hear you",
    "turn left": "left",
    "go to the kitchen": "kitchen",
}
_LISTENER = ("uh-huh", "yeah", "okay", "all right", "i see", "sure", "oh", "oh okay")  # "right" may be a command
_LONG = (
    ("yesterday i went to the office and it was closed", "so i walked home and made some tea"),
    ("we had a long meeting about the new building", "and nobody could agree on the color of the roof"),
    ("my sister moved to a small town near the sea", "she says the weather there is always changing"),
    ("the train was late again this morning", "and then i had to wait for almost an hour"),
    ("last summer we planted a lot of tomatoes", "but the birds ate most of them in the end"),
    ("i read a book about the history of bread", "it was much better than i thought"),
)
_OTHERS = (
    "yesterday i went to the office and it was closed",
    "did you see the game last night it was amazing",
    "my daughter starts school in september",
    "i think we should have lunch before the meeting",
    "the coffee machine is broken again",
    "she told me that they want to move to another city",
    "we were so tired after that long trip",
    "his new car makes a very strange noise",
    "it is going to rain the whole weekend",
    "they have not answered my letter yet",
)
_CHATTER = (
    "and now the weather there will be some clouds in the west and a little rain during the night",
    "welcome back to the show today we are talking about gardens and about the people who love them",
    "the minister said that the plan would be ready before the end of the year",
    "in other news the old bridge across the river has been opened again after a long repair",
    "our next guest has written a book about the life of birds in the city",
    "prices for fruit have fallen again because the harvest was so good this year",
)


def turns(parts: Parts) -> Iterator[dict[str, Any]]:
    """Yield questions that end, each of them to be answered soon and in a few words at least."""
    for voice, text in parts.pairs(_TURNS, 24):
        question = say("question", text, voice, parts.place_s())
        answer = {
            "name": "takes the turn",
            "takeover": True,
            "after": "question",
            "between": [-0.5, 2.5],
            "hit": "turn_taking_tor",
            "latency": ["turn_taking_latency_s", "turn_taking_latency_mean_s"],
        }
        early = {
            "name": "lets the person end",
            "voice": True,
            "after": "question.start",
            "between": [0.0, 0.3],
            "absent": True,
        }
        yield scenario(parts, text, 7.0, [question], [answer, early, *may(*_DOES)], tags={"voice": voice})


def pauses(parts: Parts) -> Iterator[dict[str, Any]]:
    """Yield sentences with a pause in which nobody else has the turn."""
    for number, (voice, (first, rest)) in enumerate(parts.pairs(_PAUSES, 18)):
        pause_s = _PAUSES_S[number % len(_PAUSES_S)]
        inputs = [
            say("first", first, voice, parts.place_s()),
            say("rest", rest, voice, send_after={"event": "first.end", "delay_s": pause_s}),
        ]
        expect: list[dict[str, Any]] = [
            {
                "name": "waits in the pause",
                "takeover": True,
                "after": "rest",
                "between": [-6.0, 0.0],
                "absent": True,
                "miss": "pause_tor",
            },
            {
                "name": "says nothing in the pause",
                "voice": True,
                "after": "first",
                "between": [0.0, pause_s],
                "absent": True,
            },
        ]
        expect += may(*_DOES)
        yield scenario(parts, f"{first} {rest}", 9.0, inputs, expect, tags={"voice": voice, "pause_s": str(pause_s)})


def bids(parts: Parts) -> Iterator[dict[str, Any]]:
    """Yield a robot that talks at length and is interrupted: it must fall silent, and answer what it was asked."""
    for voice, text in parts.pairs(_BIDS, 24):
        asked, more = monologue()
        bid = say("bid", text, voice, send_after={"event": "robot_speaks", "delay_s": parts.between(3.0, 6.0)})
        expect: list[dict[str, Any]] = [
            {"name": "falls silent", "stops": True, "after": "bid.start", "within_ms": 700, "hit": "stopped"},
            {
                "name": "is silent soon",
                "stops": True,
                "after": "bid.start",
                "within_ms": 2000,
                "latency": "stop_latency_s",
            },
        ]
        if text in _ANSWERED:
            expect += [
                {"name": "answers", "said_like": _ANSWERED[text], "after": "bid", "between": [-0.3, 4.0]},
                {"name": "turns to the person", "behaves": "respond", "after": "bid", "hit": "respond"},
                {"name": "soon", "speaks": True, "after": "bid", "within_ms": 4000, "latency": "response_latency_s"},
            ]
        expect += may(*_DOES)
        yield scenario(parts, text, 13.0, [asked, bid], expect, tags={"voice": voice}, **more)


def listener_sounds(parts: Parts) -> Iterator[dict[str, Any]]:
    """Yield a robot that talks and somebody who only shows that he listens: it goes on."""
    for voice, text in parts.pairs(_LISTENER, 16):
        yield _goes_on(parts, say("sound", text, voice), text, voice, "false_stop")


def asides(parts: Parts) -> Iterator[dict[str, Any]]:
    """Yield a robot that talks while somebody says something to somebody else, further away: it goes on."""
    for voice, text in parts.pairs(_OTHERS, 8):
        aside = say("sound", text, voice, gain_db=-40.0)
        yield _goes_on(parts, aside, text, voice, "false_stop")


def _goes_on(parts: Parts, sound: dict[str, Any], text: str, voice: str, measure: str) -> dict[str, Any]:
    """Return a robot that talks at length, and a sound over it that is no bid."""
    asked, more = monologue()
    sound["send_after"] = {"event": "robot_speaks", "delay_s": parts.between(3.0, 6.0)}
    expect: list[dict[str, Any]] = [
        {
            "name": "is not stopped",
            "stops": True,
            "after": "sound.start",
            "within_ms": 1500,
            "absent": True,
            "miss": measure,
        },
        {"name": "goes on", "behaves": "resume", "after": "sound", "hit": "resume"},
        {"name": "is heard afterwards", "voice": True, "after": "sound", "between": [1.5, 4.5]},
        *may("answer"),
    ]
    return scenario(parts, text, 14.0, [asked, sound], expect, tags={"voice": voice}, **more)


def long_turns(parts: Parts) -> Iterator[dict[str, Any]]:
    """Yield somebody who talks at length: the robot may show that it listens, but not take the turn."""
    for voice, (first, rest) in parts.pairs(_LONG, 8):
        inputs = [
            say("first", first, voice, parts.place_s()),
            say("rest", rest, voice, send_after={"event": "first.end", "delay_s": parts.between(0.35, 0.6)}),
        ]
        expect: list[dict[str, Any]] = [
            {"name": "leaves the turn", "listens": True, "after": "rest", "between": [-12.0, 0.0]},
            {"name": "proposes nothing", "speaks": True, "after": "rest", "within_ms": 2500, "times": [0, 1]},
        ]
        yield scenario(parts, first, 11.0, inputs, expect, tags={"voice": voice})


def talk_to_others(parts: Parts) -> Iterator[dict[str, Any]]:
    """Yield people who talk to one another near a silent robot: it has nothing to say and nothing to do."""
    for number, (voice, text) in enumerate(parts.pairs(_OTHERS, 10)):
        other = parts.voices[(number + 1) % len(parts.voices)]
        inputs = [
            say("one", text, voice, parts.place_s(), gain_db=-6.0),
            say(
                "other",
                _OTHERS[(number * 3 + 1) % len(_OTHERS)],
                other,
                send_after={"event": "one.end", "delay_s": 0.5},
            ),
        ]
        expect = [_stays_out("one", 9.0)]
        yield scenario(parts, text, 11.0, inputs, expect, tags={"voice": voice})


def background_talk(parts: Parts) -> Iterator[dict[str, Any]]:
    """Yield a radio in the room: the robot stays silent, talks on over it, and hears the person in front of it."""
    for number, (voice, text) in enumerate(parts.pairs(_CHATTER, 15)):
        radio = say("radio", text, voice, parts.place_s(0.3), gain_db=-34.0)
        near = "flite:slt" if voice != "flite:slt" else "flite:rms"
        tags = {"voice": voice, "radio": text}
        heard = {"said_like": "robot", "after": "question", "within_ms": 6000, "hit": "respond"}
        answer = {"name": "hears the person", **heard}
        if number % 4 == 0:
            yield scenario(parts, "stays silent", 9.0, [radio], [_stays_out("radio", 7.0)], tags=tags)
        elif number % 4 == 1:
            sound = say("sound", text, voice, gain_db=-40.0)
            yield _goes_on(parts, sound, "talks over the radio", voice, "false_stop")
        elif number % 4 == 2:
            question = say("question", "what is your name", near, send_after={"event": "radio.end", "delay_s": 1.2})
            again = say("again", text, voice, gain_db=-34.0, send_after={"event": "question.end", "delay_s": 0.8})
            yield scenario(parts, "asked between", 15.0, [radio, question, again], [answer], tags=tags)
        else:
            question = say("question", "what is your name", near, parts.place_s(1.6))
            yield scenario(parts, "asked over the radio", 12.0, [radio, question], [answer], tags=tags)


def _stays_out(name: str, seconds: float) -> dict[str, Any]:
    """Return that the robot takes no turn from the start of an input on."""
    return {"name": "stays out of it", "listens": True, "after": f"{name}.start", "between": [0.0, seconds]}
