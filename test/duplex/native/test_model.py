"""The native model behind the registry: micro-turns in, outputs out, the same through replay as through its steps."""

import json
import logging
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from tml_ros.duplex.native.checkpoint import locate_checkpoint, save_checkpoint
from tml_ros.duplex.native.dmel import AUDIO_TAIL
from tml_ros.duplex.native.model import NativeModel
from tml_ros.duplex.native.tokens import Marker
from tml_ros.duplex.native.vocoder import DELAY_SAMPLES
from tml_ros.duplex.protocol import SessionInfo
from tml_ros.duplex.registry import available_models, create_model
from tml_ros.errors import ConfigError, ModelError
from tml_ros.records import (
    MICRO_TURN_NS,
    Floor,
    Frame,
    MicroTurn,
    PlaybackReport,
    PlaybackState,
    SpeechKind,
    TextInput,
    TextSource,
    TimeAction,
    TimeRequest,
    UserState,
)
from tml_ros.replay import ReplayOptions, load_scene, make_bag
from tml_ros.replay import replay as play
from tml_ros.speech.synthesis import EspeakSynthesiser

T0 = 1_700_000_000_000_000_000


@pytest.fixture(scope="module")
def checkpoint(learned_model, tiny_shape, tmp_path_factory, repository) -> Path:
    """The model that knows the lesson, as a checkpoint."""
    folder = tmp_path_factory.mktemp("models") / "learned"
    save_checkpoint(
        folder,
        name="learned",
        shape=tiny_shape,
        state=learned_model.state_dict(),
        tokenizer=repository / "models" / "tiny" / "tokenizer.json",
        card="Made by a test.\n",
        trained=True,
    )
    return folder


def opened(checkpoint: Path, **values):
    names = {f"native.{name}": value for name, value in values.items()}
    model = create_model("native", {"native.checkpoint": str(checkpoint), **names})
    return model.open(SessionInfo("s1", T0, seed=5))


def turns(lesson, row: int, texts: dict[int, str] | None = None) -> list[MicroTurn]:
    """Return one stream of the lesson as micro-turns."""
    made, typed = [], texts or {}
    for index in range(lesson.inputs.audio.shape[1]):
        start = T0 + index * MICRO_TURN_NS
        end = start + MICRO_TURN_NS
        seen = lesson.inputs.frame_present[row, index]
        frames = (Frame(start, lesson.inputs.frames[row, index].numpy()),) if seen else ()
        lines = (TextInput(start, typed[index], TextSource.USER),) if index in typed else ()
        audio = lesson.inputs.audio[row, index].numpy()
        made.append(MicroTurn(index, start, end, audio, 1.0, frames=frames, texts=lines))
    return made


def outputs(checkpoint: Path, micro_turns: list[MicroTurn], **values):
    stream = opened(checkpoint, **values)
    return stream, [stream.step(turn) for turn in micro_turns]


# ----------------------------------------------------------------------------------------------------- what it puts out


def test_intent_comes_with_its_slots_when_the_sound_that_means_it_is_heard(checkpoint, lesson, kit):
    _, made = outputs(checkpoint, turns(lesson, 0))
    (intent,) = [intent for output in made for intent in output.intents]
    assert (intent.intent, dict(intent.data)) == (kit.INTENT.intent, dict(kit.INTENT.data))
    assert 0.8 < intent.confidence <= 1.0
    assert [output.user_state for output in made[1:4]] == [UserState.SILENT, UserState.SPEAKING, UserState.SPEAKING]


def test_words_come_piece_by_piece_when_the_floor_is_taken(checkpoint, lesson):
    stream, made = outputs(checkpoint, turns(lesson, 1))
    said = [speech for output in made for speech in output.speech]
    assert " ".join(speech.text for speech in said if speech.text) == "yes go on"
    assert [speech.last for speech in said][-1] and {speech.kind for speech in said} == {SpeechKind.REPLY}
    assert [output.floor for output in made][3:7] == [Floor.LISTEN, Floor.SPEAK, Floor.SPEAK, Floor.LISTEN]
    assert all(output.audio is None for output in made)
    assert stream.counters() == {"text_tokens": 6}


def test_backchannel_comes_when_a_picture_is_seen(checkpoint, lesson):
    _, made = outputs(checkpoint, turns(lesson, 2))
    said = [(output.floor, speech.text, speech.kind) for output in made for speech in output.speech]
    assert said == [(Floor.BACKCHANNEL, "red", SpeechKind.BACKCHANNEL)]


def test_floor_is_yielded_when_it_is_typed(checkpoint, lesson):
    # the lesson ends its typed text without DONE, which a live one has: the model was not taught to mind
    _, made = outputs(checkpoint, turns(lesson, 3, {2: "stop"}))
    assert [output.floor for output in made][2:4] == [Floor.HOLD, Floor.YIELD]


@pytest.mark.parametrize("spelling", [True, False])
def test_a_sentence_is_understood_by_what_is_spelled_when_the_shipped_model_hears_it(spelling):
    rng = np.random.default_rng(0)
    spoken = EspeakSynthesiser("en-us+f3").synthesise("go forward ten meters")
    sound = np.concatenate([np.zeros(8000, np.float32), spoken, np.zeros(24_000, np.float32)])
    sound = 0.5 * sound[: len(sound) // 3200 * 3200] + 0.001 * rng.standard_normal(len(sound) // 3200 * 3200)
    stream, found = opened(locate_checkpoint("micro"), spelling=spelling, intent_threshold=0.5), []
    for number, audio in enumerate(sound.astype(np.float32).reshape(-1, 3200)):
        begin = T0 + number * MICRO_TURN_NS
        found += stream.step(MicroTurn(number, begin, begin + MICRO_TURN_NS, audio, 1.0)).intents
    wanted = {"goal": "forward", "other_data": {"distance_m": 10}}
    assert ([dict(one.data) for one in found] == [wanted]) is spelling


def test_own_voice_lasts_as_long_as_the_floor_when_it_is_switched_on(checkpoint, lesson):
    _, made = outputs(checkpoint, turns(lesson, 1), voice=True)
    sizes = [None if output.audio is None else len(output.audio) for output in made]
    assert sizes == [None] * 4 + [3200, 3200, DELAY_SAMPLES, None]
    assert all(output.audio.dtype == np.float32 and np.abs(output.audio).max() <= 1 for output in made[4:7])
    said = [(speech.text, speech.kind, speech.last) for output in made for speech in output.speech]
    words = " ".join(text for text, _, _ in said if text)
    assert words == "yes go on" and {kind for _, kind, _ in said} == {SpeechKind.REPLY}
    assert [last for _, _, last in said] == [False, False, True]
    assert np.abs(made[6].audio).max() > 0  # the vocoder is 20 ms behind


def test_own_voice_becomes_one_utterance_that_ends_when_it_is_published(checkpoint, lesson, tmp_path, audio_bag):
    bag = audio_bag(tmp_path / "bag", sound(lesson.inputs.audio[1]))
    values = {"model": "native", "native.checkpoint": str(checkpoint), "native.voice": True}
    (utterance,) = play(bag, ReplayOptions(values=values)).log.utterances
    assert utterance.text == "yes go on" and not utterance.interrupted


def test_outputs_are_the_same_when_a_session_is_opened_again(checkpoint, lesson):
    options = {"temperature": 1.0, "voice": True}
    one, two = (outputs(checkpoint, turns(lesson, 1), **options)[1] for _ in range(2))
    for a, b in zip(one, two, strict=True):
        assert replace(a, audio=None) == replace(b, audio=None)
        assert (a.audio is None) == (b.audio is None)
        assert a.audio is None or np.array_equal(a.audio, b.audio)


def test_sessions_do_not_touch_each_other_when_they_take_turns(checkpoint, lesson):
    model = create_model("native", {"native.checkpoint": str(checkpoint)})
    alone = [output.floor for output in outputs(checkpoint, turns(lesson, 1))[1]]
    one, two = model.open(SessionInfo("a", T0)), model.open(SessionInfo("b", T0))
    mixed = []
    for first, second in zip(turns(lesson, 1), turns(lesson, 3, {2: "stop"}), strict=True):
        mixed.append(one.step(first).floor)
        two.step(second)
    assert mixed == alone


@pytest.mark.parametrize("precision", ["bfloat16", "int8"])
def test_lesson_is_still_known_when_weights_are_rounded(checkpoint, lesson, precision, kit):
    _, made = outputs(checkpoint, turns(lesson, 0), precision=precision)
    assert [intent.intent for output in made for intent in output.intents] == [kit.INTENT.intent]
    _, made = outputs(checkpoint, turns(lesson, 1), precision=precision)
    words = [speech.text for output in made for speech in output.speech if speech.text]
    assert " ".join(words) == "yes go on"


# ------------------------------------------------------------------------------------------------------ what goes in


def texts(*lines: tuple[str, TextSource]) -> MicroTurn:
    """Return a micro-turn with text and silence."""
    made = tuple(TextInput(T0, text, source) for text, source in lines)
    return MicroTurn(0, T0, T0 + MICRO_TURN_NS, np.zeros(3200, np.float32), 1.0, texts=made)


def taken_in(stream, turn: MicroTurn) -> list[int]:
    """Return all text tokens that go in from a micro-turn on."""
    ids, row = [], stream.inputs(turn).text
    while row is not None:
        ids += [token for token in row[0].tolist() if token >= 0]
        row = stream.inputs(replace(turn, texts=())).text
    return ids


def test_typed_line_is_for_the_clock_when_it_asks_for_a_count_a_time_or_a_reminder(checkpoint):
    stream = opened(checkpoint)
    line = "remind me to stretch every four minutes"
    counting, reminder = texts(("count my push ups", TextSource.USER)), texts((line, TextSource.USER))
    assert taken_in(stream, counting) == taken_in(stream, reminder) == []
    end_ns, asked = counting.end_ns, stream.step(counting).times + stream.step(reminder).times
    assert asked == (
        TimeRequest(TimeAction.COUNT, "push ups", end_ns, otherwise="count my push ups"),
        TimeRequest(TimeAction.REMIND, "stretch", end_ns, 240.0, "Remember to stretch.", repeats=True, otherwise=line),
    )
    news = texts(("count my push ups", TextSource.BACKGROUND))
    assert taken_in(stream, news) and stream.step(news).times == ()


def test_long_text_waits_for_later_micro_turns_when_it_does_not_fit(checkpoint, tiny_shape, vocabulary):
    line = "bring me the blue beaker from the table please"
    stream, turn = opened(checkpoint), texts((line, TextSource.BACKGROUND))
    assert stream.inputs(replace(turn, texts=())).text is None
    ids = taken_in(stream, turn)
    assert len(ids) > tiny_shape.text_in_tokens
    assert (ids[0], vocabulary.decode(ids[1:-1]), ids[-1]) == (Marker.BACKGROUND, line, Marker.DONE)


def test_person_is_heard_first_when_much_text_waits(checkpoint, vocabulary):
    report = ("a long report that takes many micro-turns to tell " * 8, TextSource.BACKGROUND)
    timers = [("tea is ready", TextSource.TIMER)] * 50
    stream = opened(checkpoint)
    stream.inputs(texts(report, *timers))  # the report has begun
    ids = taken_in(stream, texts(("stop", TextSource.USER)))
    order = [token for token in ids if token in (Marker.BACKGROUND, Marker.USER, Marker.TIMER_DUE)]
    assert order == [Marker.USER, Marker.TIMER_DUE]  # what has begun is finished first, and a timer waits once
    assert stream.step(texts()).floor in Floor and stream.counters()["repeated_texts"] == 49


def test_text_is_dropped_and_counted_when_too_much_of_it_waits_but_not_that_of_the_person(checkpoint):
    stream = opened(checkpoint)
    many = [(f"{n} one two three " * 100, TextSource.BACKGROUND) for n in range(9)]
    stream.inputs(texts(*many))
    assert stream.counters()["dropped_texts"] > 0
    ids = taken_in(stream, texts(("stop", TextSource.USER)))
    assert ids.index(Marker.USER) < ids.index(Marker.BACKGROUND)


def test_newest_picture_is_seen_and_the_others_counted_when_several_come(checkpoint):
    stream = opened(checkpoint)
    pictures = tuple(Frame(T0 + n, np.full((48, 64, 3), 50 * n, np.uint8)) for n in range(3))
    turn = MicroTurn(0, T0, T0 + MICRO_TURN_NS, np.zeros(3200, np.float32), 1.0, frames=pictures)
    inputs = stream.inputs(turn)
    assert inputs.frames.shape == (1, 120, 160, 3) and (inputs.frames == 100).all()
    assert stream.counters()["skipped_frames"] == 2


def test_weights_that_were_learned_without_pictures_are_shown_none(checkpoint, tmp_path):
    folder = shutil.copytree(checkpoint, tmp_path / "blind")
    config = folder / "config.yaml"
    config.write_text(config.read_text().replace("sees: true", "sees: false"))
    turn = MicroTurn(
        0, T0, T0 + MICRO_TURN_NS, np.zeros(3200, np.float32), 1.0, frames=(Frame(T0, np.zeros((48, 64, 3), np.uint8)),)
    )
    assert [opened(one).inputs(turn).frames is None for one in (checkpoint, folder)] == [False, True]


def test_silence_and_playback_are_known_when_sound_is_missing(checkpoint):
    stream = opened(checkpoint)
    playing = PlaybackReport(T0, 1, PlaybackState.PLAYING, 100)
    silent = np.zeros(3200, np.float32)
    turn = MicroTurn(0, T0, T0 + MICRO_TURN_NS, silent, 0.0, reference=silent + 0.1, playback=playing)
    inputs = stream.inputs(turn)
    assert (inputs.audio_present.item(), inputs.playing.item()) == (False, True)
    assert inputs.reference_present.item() and inputs.frames is None and inputs.text is None
    assert stream.step(turn).user_state is UserState.UNKNOWN
    assert (stream.state.tails[AUDIO_TAIL] == 0).all()


# ------------------------------------------------------------------------------------------------- making and choosing


def test_model_is_found_by_name_when_it_is_asked_for():
    assert available_models()["native"] == "tml_ros.duplex.native.model:NativeModel"
    assert isinstance(create_model("native"), NativeModel)


def test_warning_names_the_parameter_when_a_checkpoint_is_not_trained(caplog):
    with caplog.at_level(logging.WARNING):
        create_model("native")
    assert "tiny is not trained" in caplog.text and "native.checkpoint" in caplog.text


@pytest.mark.parametrize(
    ("name", "error", "message"),
    [
        ("micr", ModelError, r"no checkpoint 'micr'.*tiny"),
        ("interaction-small", ModelError, "preset without weights"),
    ],
)
def test_error_says_what_there_is_when_a_checkpoint_cannot_be_used(name, error, message):
    with pytest.raises(error, match=message):
        create_model("native", {"native.checkpoint": name})


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is CUDA here")
def test_error_names_the_parameter_when_cuda_is_wanted_and_absent():
    with pytest.raises(ConfigError, match=r"native\.device is cuda"):
        create_model("native", {"native.device": "cuda"})


# ------------------------------------------------------------------------------------------------------------ replay

SCENE = """\
duration_s: 3
seed: 5
audio:
  - {at_s: 0.5, say: "turn left", voice: slt}
  - {at_s: 0.0, noise: white, gain_db: -50, until_s: 3}
video:
  - {at_s: 0.0, render: bench, rate_hz: 5}
text:
  - {at_s: 1.0, text: "what do you see?"}
"""


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("bag")
    (folder / "scene.yaml").write_text(SCENE)
    make_bag(load_scene(folder / "scene.yaml"), folder / "bag")
    return folder / "bag"


def test_same_digest_comes_when_the_command_replays_a_bag_in_two_processes(bag, repository):
    command = [sys.executable, "-m", "tml_ros.cli.main", "replay", str(bag), "--model", "native", "--json"]
    made = [
        json.loads(subprocess.run(command, capture_output=True, text=True, check=True, cwd=repository).stdout)
        for _ in range(2)
    ]
    assert made[0]["digest"] == made[1]["digest"]
    assert (made[0]["model"], made[0]["windows"], made[0]["missing_samples"]) == ("native", 15, 0)


def test_digest_differs_when_the_seed_does(bag):
    values = {"model": "native", "native.temperature": 1.0}
    digests = {play(bag, ReplayOptions(values=values | {"seed": seed})).digest for seed in (0, 0, 1)}
    assert len(digests) == 2


def sound(samples: torch.Tensor) -> list[dict]:
    """Return sound [..., N] as the chunks of a bag."""
    whole = (samples.numpy() * 32767).astype("<i2")
    return [{"data": chunk.tobytes()} for chunk in whole.reshape(-1, 320)]


@pytest.mark.parametrize("row", [0, 1], ids=["intent", "words"])
def test_what_was_learned_is_published_when_a_bag_with_the_sound_is_replayed(
    checkpoint, lesson, tmp_path, audio_bag, row
):
    bag = audio_bag(tmp_path / "bag", sound(lesson.inputs.audio[row]))
    result = play(bag, ReplayOptions(values={"model": "native", "native.checkpoint": str(checkpoint)}))
    intents = [(intent.intent, json.loads(intent.data)) for intent in result.log.intents]
    words = [utterance.text for utterance in result.log.utterances]
    assert intents == ([("__intent_turn_by__", {"goal": "left"})] if row == 0 else [])
    assert words == ([] if row == 0 else ["yes go on"])
