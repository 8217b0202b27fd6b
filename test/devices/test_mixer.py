"""The mixer: who speaks, what is cut, what is counted, and that nothing clicks."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_ros.devices.mixer import Mixer, MixerConfig
from tml_ros.records import PlaybackState, SpeechCommand, SpeechControl, SpeechKind, SpeechPiece

RATE = 16_000
BLOCK = 160
FADE = 128
TURN = 3_200
PITCH_HZ, ALERT_HZ = 140.0, 233.0
LEVEL = 0.2
REPLY, ALERT = 128, 220
IDLE, PLAYING, PAUSED, FLUSHED, FINISHED = PlaybackState


def voiced(samples, first=0, pitch_hz=PITCH_HZ):
    """Something like a vowel: harmonics that fall by 12 dB an octave, up to 3 kHz."""
    t = (first + np.arange(samples)) / RATE
    return sum(0.25 / k**2 * np.sin(2 * np.pi * pitch_hz * k * t + k) for k in range(1, 21)).astype(np.float32)


def piece(utterance_id=1, seq=0, samples=TURN, last=False, **fields):
    audio = fields.pop("audio", None)
    if audio is None:
        audio = voiced(samples, seq * TURN)
    own = {"session_id": "s", "kind": SpeechKind.REPLY, "text": ""}
    return SpeechPiece(0, window_seq=0, utterance_id=utterance_id, seq=seq, audio=audio, last=last, **(own | fields))


def alert(utterance_id=9, **fields):
    own = {"kind": SpeechKind.ALERT, "priority": ALERT, "interruptible": False, "last": True}
    return piece(utterance_id, **(own | fields))


def command(what, utterance_id=0):
    return SpeechControl(0, utterance_id, what)


class Listener:
    """Renders a mixer and keeps what came out."""

    def __init__(self, block=BLOCK, **config):
        self.mixer = Mixer(MixerConfig(**config))
        self.block = block
        self.sound = np.zeros(0, np.float32)
        self.marks = []

    def hear(self, samples):
        end = len(self.sound) + samples
        while len(self.sound) < end:
            at = len(self.sound)
            rendered = self.mixer.render(min(self.block, end - at))
            self.sound = np.concatenate([self.sound, rendered.samples])
            self.marks += [(at + m.offset, m.utterance_id, m.state, m.samples_played) for m in rendered.marks]
        return self.sound[end - samples :]

    def states(self, utterance_id=1):
        seen = [state for _, known, state, _ in self.marks if known == utterance_id]
        return [state for n, state in enumerate(seen) if n == 0 or state is not seen[n - 1]]

    def played(self, utterance_id=1):
        return next(played for _, known, _, played in reversed(self.marks) if known == utterance_id)

    def counted(self):
        return {name: count for name, count in self.mixer.counters.items() if count}


def roughness(sound):
    """Largest energy above 4 kHz in 4 ms: what makes a click."""
    spectrum = np.fft.rfft(np.lib.stride_tricks.sliding_window_view(sound, 64)[::8] * np.hanning(64), axis=1)
    return float((np.abs(spectrum[:, 17:]) ** 2).sum(axis=1).max())


def assert_no_click(sound, *pitches_hz):
    """Compare with the speech itself; with the sum of two where one is faded into the other."""
    speech = [voiced(2 * TURN, pitch_hz=pitch_hz) for pitch_hz in pitches_hz or (PITCH_HZ,)]
    assert np.abs(np.diff(sound)).max() <= 1.05 * sum(np.abs(np.diff(one)).max() for one in speech)
    assert roughness(sound) <= 4 * sum(roughness(one) for one in speech)


# ------------------------------------------------------------------------------------------------------------ playing


def test_utterance_sounds_from_the_next_sample_when_its_first_piece_comes():
    listener = Listener()
    listener.hear(1_000)
    listener.mixer.add(piece())
    heard = listener.hear(TURN)
    assert np.abs(heard[:FADE]).max() > 0.01
    assert np.array_equal(heard[FADE:-FADE], voiced(TURN)[FADE:-FADE])


def test_pieces_join_without_a_seam_when_each_comes_before_the_one_before_ends():
    listener = Listener()
    listener.mixer.add(piece(seq=0))
    for seq in range(1, 5):
        listener.hear(2_400 if seq == 1 else TURN)
        listener.mixer.add(piece(seq=seq, last=seq == 4))
    listener.hear(2 * TURN)
    assert np.array_equal(listener.sound[FADE : 5 * TURN - FADE], voiced(5 * TURN)[FADE:-FADE])
    assert listener.states() == [PLAYING, FINISHED]
    assert listener.played() == 5 * TURN
    assert listener.counted() == {}


def test_second_waits_when_two_are_equally_urgent():
    listener = Listener()
    listener.mixer.add(piece(1, last=True))
    listener.mixer.add(piece(2, last=True))
    listener.hear(3 * TURN)
    ends = [(at, known) for at, known, state, _ in listener.marks if state is FINISHED]
    assert ends == [(TURN, 1), (2 * TURN, 2)]


def test_second_waits_when_the_first_lacks_its_next_piece_for_a_moment():
    listener = Listener()
    listener.mixer.add(piece(1))
    listener.mixer.add(piece(2, last=True))
    listener.hear(TURN + 2_000)
    listener.mixer.add(piece(1, seq=1, last=True))
    listener.hear(4 * TURN)
    assert [known for _, known, state, _ in listener.marks if state is FINISHED] == [1, 2]


def test_second_speaks_when_the_first_lacks_its_next_piece_for_long():
    listener = Listener()
    listener.mixer.add(piece(1))
    listener.mixer.add(piece(2, last=True))
    listener.hear(TURN + RATE)
    assert listener.states(2) == [PLAYING, FINISHED]
    listener.hear(11 * RATE)
    assert listener.states(1) == [PLAYING, FINISHED]
    assert listener.counted() == {"underruns": 1, "unfinished_utterances": 1}


def test_words_without_sound_are_finished_at_once():
    listener = Listener()
    listener.mixer.add(piece(samples=0, text="hello", last=True))
    listener.hear(BLOCK)
    assert [mark[1:] for mark in listener.marks if mark[1]] == [(1, FINISHED, 0)]


def test_idle_is_told_at_the_start_and_half_a_second_after_the_end():
    listener = Listener()
    listener.hear(BLOCK)
    listener.mixer.add(piece(last=True))
    listener.hear(2 * RATE)
    idle = [at for at, _, state, _ in listener.marks if state is IDLE]
    assert idle[0] == BLOCK
    assert TURN + RATE // 2 <= idle[1] <= BLOCK + TURN + RATE // 2 + BLOCK
    assert len(idle) == 2


def test_sound_is_limited_when_it_is_too_loud():
    listener = Listener()
    listener.mixer.add(piece(audio=np.full(TURN, 3.0, np.float32), last=True))
    assert listener.hear(TURN).max() == 1.0


# ------------------------------------------------------------------------------------------------------------ urgency


def interrupted(on_alert):
    listener = Listener(on_alert=on_alert)
    for seq in range(5):
        listener.mixer.add(piece(1, seq=seq, last=seq == 4))
    listener.hear(4_000)
    listener.mixer.add(alert(audio=voiced(TURN, pitch_hz=ALERT_HZ)))
    listener.hear(6 * TURN)
    return listener


def test_speech_goes_on_after_an_alert_when_it_is_held():
    listener = interrupted("hold")
    assert listener.states(9) == [PLAYING, FINISHED]
    assert next(at for at, known, *_ in listener.marks if known == 9) == 4_000
    assert listener.states(1) == [PLAYING, PAUSED, PLAYING, FINISHED]
    assert listener.played(1) == 5 * TURN
    alone = listener.sound[4_000 + FADE : 4_000 + TURN - FADE]
    assert np.array_equal(alone, voiced(TURN, pitch_hz=ALERT_HZ)[FADE:-FADE])
    assert_no_click(listener.sound, PITCH_HZ, ALERT_HZ)


def test_speech_goes_on_below_an_alert_when_it_is_ducked():
    listener = interrupted("duck")
    assert listener.states(1) == [PLAYING, FINISHED]
    at = slice(4_000 + 800, 4_000 + TURN - FADE)
    below = listener.sound[at] - voiced(TURN, pitch_hz=ALERT_HZ)[800:-FADE]
    assert np.allclose(below, voiced(5 * TURN)[at] * 10 ** (-12 / 20), atol=1e-5)
    assert_no_click(listener.sound, PITCH_HZ, ALERT_HZ)


def test_speech_is_dropped_when_an_alert_flushes_it():
    listener = interrupted("flush")
    assert listener.states(1) == [PLAYING, FLUSHED]
    assert listener.played(1) == 4_000 + FADE
    assert listener.counted() == {"flushed_utterances": 1}
    assert_no_click(listener.sound, PITCH_HZ, ALERT_HZ)


# ----------------------------------------------------------------------------------------------------------- commands


def test_sound_ends_within_a_fade_when_it_is_flushed():
    listener = Listener()
    listener.mixer.add(piece(1))
    listener.mixer.add(piece(2, last=True))
    listener.hear(2_000)
    listener.mixer.control(command(SpeechCommand.FLUSH))
    heard = listener.hear(TURN)
    assert np.abs(heard[: FADE // 2]).max() > 0.01
    assert not heard[FADE - 1 :].any()
    assert [mark for mark in listener.marks if mark[2] is FLUSHED] == [
        (2_000, 2, FLUSHED, 0),
        (2_128, 1, FLUSHED, 2_128),
    ]
    assert_no_click(listener.sound)


def test_late_pieces_of_a_flushed_utterance_are_dropped():
    listener = Listener()
    listener.mixer.add(piece(1))
    listener.hear(2_000)
    listener.mixer.control(command(SpeechCommand.FLUSH))
    listener.mixer.add(piece(1, seq=1))
    listener.hear(TURN)
    listener.mixer.add(piece(1, seq=2, last=True))
    listener.mixer.add(piece(2, last=True))
    listener.hear(2 * TURN)
    assert listener.counted() == {"flushed_utterances": 1, "late_pieces": 2}
    assert listener.states(2) == [PLAYING, FINISHED]


def test_what_must_not_be_interrupted_goes_on_when_everything_is_flushed():
    listener = Listener()
    listener.mixer.add(piece(1, interruptible=False, last=True))
    listener.hear(1_000)
    for what in (SpeechCommand.DUCK, SpeechCommand.PAUSE, SpeechCommand.FLUSH):
        listener.mixer.control(command(what))
    listener.hear(TURN)
    assert np.array_equal(listener.sound[FADE : TURN - FADE], voiced(TURN)[FADE:-FADE])


def test_what_must_not_be_interrupted_stops_when_it_is_flushed_by_name():
    listener = Listener()
    listener.mixer.add(piece(1, interruptible=False, last=True))
    listener.hear(1_000)
    listener.mixer.control(command(SpeechCommand.FLUSH, 1))
    listener.hear(TURN)
    assert listener.states() == [PLAYING, FLUSHED]


def test_utterance_is_never_heard_when_it_is_flushed_before_its_first_piece():
    listener = Listener()
    listener.mixer.add(piece(1, last=True))
    listener.mixer.control(command(SpeechCommand.FLUSH, 2))
    listener.mixer.add(piece(2, last=True))
    listener.hear(3 * TURN)
    assert listener.states(2) == []
    assert listener.counted() == {"late_pieces": 1}


@pytest.mark.parametrize("utterance_id", [0, 1])
def test_every_sample_is_heard_when_speech_is_paused_and_resumed(utterance_id):
    listener = Listener()
    listener.mixer.add(piece(1, last=True))
    listener.hear(1_000)
    listener.mixer.control(command(SpeechCommand.PAUSE, utterance_id))
    pause = listener.hear(RATE)
    assert not pause[FADE:].any()
    listener.mixer.control(command(SpeechCommand.RESUME, utterance_id))
    listener.hear(TURN)
    assert listener.states() == [PLAYING, PAUSED, PLAYING, FINISHED]
    assert listener.played() == TURN
    assert_no_click(listener.sound)


def test_speech_waits_when_it_comes_in_a_pause():
    listener = Listener()
    listener.mixer.control(command(SpeechCommand.PAUSE))
    listener.mixer.add(piece(1, last=True))
    listener.mixer.add(alert(audio=voiced(TURN)))
    listener.hear(3 * TURN)
    assert (listener.states(1), listener.states(9)) == ([], [PLAYING, FINISHED])
    listener.mixer.control(command(SpeechCommand.RESUME))
    listener.hear(2 * TURN)
    assert listener.states(1) == [PLAYING, FINISHED]


@pytest.mark.parametrize("utterance_id", [0, 1])
def test_speech_is_lower_by_the_parameter_when_it_is_ducked(utterance_id):
    listener = Listener(duck_db=-20.0)
    for seq in range(5):
        listener.mixer.add(piece(1, seq=seq, last=seq == 4))
    listener.hear(TURN)
    listener.mixer.control(command(SpeechCommand.DUCK, utterance_id))
    listener.hear(TURN)
    listener.mixer.control(command(SpeechCommand.RESUME, utterance_id))
    listener.hear(3 * TURN)
    ducked = slice(TURN + 640, 2 * TURN)
    assert np.allclose(listener.sound[ducked], voiced(5 * TURN)[ducked] * 0.1, atol=1e-6)
    loud = slice(2 * TURN + 640, 5 * TURN - FADE)
    assert np.array_equal(listener.sound[loud], voiced(5 * TURN)[loud])
    assert_no_click(listener.sound)


def test_next_utterance_is_loud_when_a_ducked_one_was_flushed():
    listener = Listener()
    listener.mixer.add(piece(1, last=True))
    listener.mixer.control(command(SpeechCommand.DUCK))
    listener.hear(1_000)
    listener.mixer.control(command(SpeechCommand.FLUSH))
    listener.hear(1_000)
    listener.mixer.add(piece(2, last=True))
    assert np.array_equal(listener.hear(TURN)[FADE:-FADE], voiced(TURN)[FADE:-FADE])


def test_command_is_counted_when_its_utterance_is_unknown():
    listener = Listener()
    for what in (SpeechCommand.PAUSE, SpeechCommand.DUCK, SpeechCommand.RESUME):
        listener.mixer.control(command(what, 7))
    assert listener.counted() == {"unknown_controls": 3}


# ------------------------------------------------------------------------------------------------ lost and late pieces


def test_speech_goes_on_behind_the_gap_when_a_piece_is_missing():
    listener = Listener()
    listener.mixer.add(piece(1, seq=0))
    listener.mixer.add(piece(1, seq=2, last=True))
    listener.hear(3 * TURN)
    assert listener.states() == [PLAYING, FINISHED]
    assert listener.played() == 2 * TURN
    assert listener.counted() == {"missing_pieces": 1}
    assert_no_click(listener.sound)


def test_speech_begins_with_what_is_there_when_its_first_piece_is_missing():
    listener = Listener()
    listener.mixer.add(piece(1, seq=3, last=True))
    heard = listener.hear(2 * TURN)
    assert np.flatnonzero(heard)[0] < 0.03 * RATE
    assert listener.counted() == {"missing_pieces": 3}


def test_pieces_are_played_in_order_when_they_come_out_of_order_and_twice():
    listener = Listener()
    for seq in (0, 2, 1, 1, 2, 0):
        listener.mixer.add(piece(1, seq=seq, last=seq == 2))
    listener.hear(4 * TURN)
    assert np.array_equal(listener.sound[FADE : 3 * TURN - FADE], voiced(3 * TURN)[FADE:-FADE])
    assert listener.counted() == {"duplicate_pieces": 3, "reordered_pieces": 1}
    listener.mixer.add(piece(1, seq=0))
    assert listener.counted()["duplicate_pieces"] == 4


def test_late_piece_is_faded_and_counted_when_the_sound_has_run_out():
    listener = Listener()
    listener.mixer.add(piece(1, seq=0))
    listener.hear(TURN + 500)
    listener.mixer.add(piece(1, seq=1, last=True))
    listener.hear(2 * TURN)
    assert listener.counted() == {"underruns": 1}
    assert listener.played() == 2 * TURN
    assert_no_click(listener.sound)


def start_delay(listener, utterance_id):
    at = len(listener.sound)
    listener.mixer.add(piece(utterance_id))
    listener.mixer.add(piece(utterance_id, seq=1, last=True))
    listener.hear(3 * TURN)
    return next(mark[0] for mark in listener.marks if mark[1] == utterance_id) - at


def test_next_starts_wait_a_bounded_and_shrinking_moment_after_late_pieces():
    listener = Listener(max_prebuffer_ms=20)
    for seq in range(6):
        listener.mixer.add(piece(1, seq=seq, last=seq == 5))
        listener.hear(TURN + 1_000)
    listener.hear(TURN)
    assert listener.counted() == {"underruns": 5}
    assert [start_delay(listener, known) for known in (2, 3, 4)] == [320, 160, 80]


def test_old_conversation_ends_when_a_new_one_begins():
    listener = Listener()
    listener.mixer.add(piece(1, seq=0))
    listener.mixer.control(command(SpeechCommand.DUCK))
    listener.hear(1_000)
    listener.mixer.add(piece(1, session_id="t", last=True))
    listener.mixer.add(piece(1, seq=1, session_id="s"))
    heard = listener.hear(2 * TURN)
    assert np.array_equal(heard[FADE : TURN - FADE], voiced(TURN)[FADE:-FADE])
    assert [state for _, known, state, _ in listener.marks if known == 1][-1] is FINISHED
    assert listener.counted() == {"flushed_utterances": 1, "old_session_pieces": 1}


def test_alert_of_the_old_conversation_is_heard_to_the_end_of_what_is_there():
    listener = Listener()
    listener.mixer.add(alert(1, last=False))
    listener.hear(1_000)
    listener.mixer.add(piece(1, session_id="t", last=True))
    listener.hear(3 * TURN)
    assert [mark[3] for mark in listener.marks if mark[2] is FINISHED] == [TURN, TURN]


# --------------------------------------------------------------------------------------------------- without a device


def test_utterances_are_dropped_when_no_loudspeaker_comes_in_time():
    mixer = Mixer(MixerConfig(stale_s=1.0, stale_alert_s=3.0))
    mixer.add(piece(1, last=True))
    mixer.add(alert(2))
    ends = {}
    for n in range(400):
        ends |= {mark.utterance_id: (n, mark.state) for mark in mixer.skip(BLOCK) if mark.utterance_id}
    assert ends == {1: (100, FLUSHED), 2: (300, FLUSHED)}
    assert mixer.counters["stale_utterances"] == 2


def test_rest_is_played_when_the_loudspeaker_comes_back_soon():
    listener = Listener()
    listener.mixer.add(piece(1, last=True))
    listener.hear(1_000)
    for _ in range(50):
        listener.mixer.skip(BLOCK)
    listener.mixer.take_back(1, 800)
    heard = listener.hear(TURN)
    assert np.flatnonzero(heard)[-1] < TURN - 1_000
    assert listener.played() == TURN - 200
    assert listener.counted() == {"unplayed_samples": 200}


# ----------------------------------------------------------------------------------------------------------- properties

EVENTS = st.lists(
    st.one_of(
        st.tuples(st.just("piece"), st.integers(1, 4), st.integers(0, 5), st.integers(0, 700), st.booleans()),
        st.tuples(st.just("command"), st.sampled_from(SpeechCommand), st.integers(0, 4)),
        st.tuples(st.just("hear"), st.integers(1, 900)),
    ),
    max_size=30,
)


def act(listener, events):
    for what, *given_ in events:
        if what == "piece":
            known, seq, samples, last = given_
            listener.mixer.add(
                piece(
                    known,
                    seq=seq,
                    audio=np.full(samples, LEVEL, np.float32),  # every step in what is heard is a step of the volume
                    last=last,
                    priority=(REPLY, REPLY, ALERT, 255)[known - 1],
                    interruptible=known != 3,
                )
            )
        elif what == "command":
            listener.mixer.control(command(*given_))
        else:
            listener.hear(*given_)


@given(EVENTS, st.sampled_from(["hold", "duck", "flush"]))
@settings(max_examples=60, deadline=None)
def test_sound_is_the_same_whatever_the_blocks(events, on_alert):
    coarse, fine = Listener(block=4_000, on_alert=on_alert), Listener(block=97, on_alert=on_alert)
    for listener in (coarse, fine):
        act(listener, [*events, ("hear", 2_000)])
    assert np.array_equal(coarse.sound, fine.sound)
    assert coarse.counted() == fine.counted()


@given(EVENTS, st.sampled_from(["hold", "duck", "flush"]))
@settings(max_examples=60, deadline=None)
def test_everything_ends_once_and_nothing_jumps_whatever_happens(events, on_alert):
    listener = Listener(block=4_000, on_alert=on_alert)
    act(listener, [*events, ("command", SpeechCommand.RESUME, 0), ("hear", 14 * RATE)])
    ends = [known for _, known, state, _ in listener.marks if state in (FLUSHED, FINISHED)]
    begun = {known for _, known, state, _ in listener.marks if state is PLAYING}
    assert len(ends) == len(set(ends))
    assert begun <= set(ends)
    assert sum(listener.played(known) for known in begun) >= np.count_nonzero(listener.sound) * 0.5
    steepest = LEVEL * np.pi / 2 / FADE
    assert np.abs(np.diff(listener.sound)).max(initial=0.0) < 2.5 * steepest  # one comes, one goes, one is ducked


def test_click_is_found_when_there_is_one():
    sound = voiced(TURN)
    sound[1_500:] = 0.0
    with pytest.raises(AssertionError):
        assert_no_click(np.concatenate([sound, np.zeros(100, np.float32)]))
