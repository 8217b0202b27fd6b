"""What training takes in and asks for is what a session takes in and may put out, to rounding."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from tml_ros.duplex.native.checkpoint import load_checkpoint, locate_checkpoint
from tml_ros.duplex.native.config import NativeConfig
from tml_ros.duplex.native.inputs import ABSENT, StreamTargets
from tml_ros.duplex.native.losses import losses
from tml_ros.duplex.native.markup import encode
from tml_ros.duplex.native.model import NativeModel
from tml_ros.duplex.native.tokens import Marker
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.duplex.native.vocabulary import Vocabulary
from tml_ros.duplex.protocol import SessionInfo
from tml_ros.records import (
    MICRO_TURN_NS,
    MICRO_TURN_SAMPLES,
    Floor,
    Frame,
    IntentDraft,
    MicroTurn,
    PlaybackReport,
    PlaybackState,
    SpeechText,
    TextInput,
    TextSource,
    TranscriptEvent,
)
from tml_ros.training.conversation import Conversation, Target
from tml_ros.training.encoding import Batch, Encoder

TURNS = 10


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary.load(locate_checkpoint("tiny") / "tokenizer.json")


@pytest.fixture(scope="module")
def tiny() -> InteractionTransformer:
    torch.set_num_threads(1)
    manifest, weights = load_checkpoint(locate_checkpoint("tiny"))
    model = InteractionTransformer(manifest.shape)
    model.load_state_dict(weights)
    return model.eval()


@pytest.fixture
def encoder(tiny, vocabulary) -> Encoder:
    return Encoder(tiny.shape, vocabulary)


def scene(turns: int = TURNS, seed: int = 0, **changes) -> Conversation:
    """A scene in which everything comes and goes."""
    rng = np.random.default_rng(seed)

    def sound() -> np.ndarray:
        return (0.1 * rng.standard_normal(turns * MICRO_TURN_SAMPLES)).astype(np.float32)

    targets = [Target(Floor.LISTEN, (), float(turn % 2), 0.0) for turn in range(turns)]
    intent = IntentDraft("__intent_turn_by__", {"goal": "left", "other_data": {"angle_deg": 90}})
    targets[2] = Target(Floor.SPEAK, (SpeechText("turning left"), intent), 1.0, 1.0, 0.0)
    targets[3] = Target(Floor.SPEAK, (TranscriptEvent("user", "go left", True, 1.0, 0, 0),))
    parts = {
        "skill": "command",
        "audio": sound(),
        "targets": tuple(targets),
        "reference": sound(),
        "playing": np.arange(turns) % 3 == 1,
        "frames": {turn: rng.integers(0, 256, (90, 140, 3), np.uint8) for turn in (1, 3)},
        "texts": {
            2: ((TextSource.CUE, "a person came in"), (TextSource.USER, "please go to the left")),
            3: ((TextSource.TIMER, "stir"),),
        },
    }
    return Conversation(**(parts | changes))


def micro_turns(one: Conversation) -> list[MicroTurn]:
    """Return what a session gets of a scene."""
    made = []
    for turn in range(one.turns):
        start, part = turn * MICRO_TURN_NS, slice(turn * MICRO_TURN_SAMPLES, (turn + 1) * MICRO_TURN_SAMPLES)
        state = PlaybackState.PLAYING if one.playing is not None and one.playing[turn] else PlaybackState.IDLE
        made.append(
            MicroTurn(
                turn,
                start,
                start + MICRO_TURN_NS,
                one.audio[part],
                1.0,
                reference=None if one.reference is None else one.reference[part],
                frames=(Frame(start, one.frames[turn]),) if turn in one.frames else (),
                texts=tuple(TextInput(start, text, source) for source, text in one.texts.get(turn, ())),
                playback=PlaybackReport(start, 1, state, 0),
            )
        )
    return made


def streamed(one: Conversation, targets: StreamTargets) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return the floor, auxiliary and text logits of a session that is made to put out the targets."""
    model = NativeModel(NativeConfig(checkpoint="tiny", device="cpu", threads=0))
    stream = model.open(SessionInfo("test", 0))
    results = [
        model.stepper.step(stream.inputs(turn), stream.state, forced=targets.turn(turn.index))
        for turn in micro_turns(one)
    ]
    return tuple(
        torch.stack([getattr(result, name) for result in results], 1)
        for name in ("floor_logits", "auxiliary", "text_logits")
    )


@pytest.mark.parametrize("has_reference", [True, False])
def test_predictions_are_those_of_a_session_when_a_scene_is_encoded(tiny, encoder, has_reference):
    one = scene() if has_reference else scene(reference=None, frames={}, texts={})
    batch = encoder.batch([[one]], TURNS)
    with torch.no_grad():
        hidden, tokens, _ = tiny.hidden(batch.inputs, batch.targets, packs=True)
        out = tokens.of(hidden, tiny.layout.out)[..., 0, :]
        said = tiny.text_logits(tokens.of(hidden, tiny.layout.said))[..., : tiny.shape.text_out_tokens, :]
        floor, auxiliary = tiny.floor_logits(out), tiny.auxiliary(out)
    wanted_floor, wanted_auxiliary, wanted_said = streamed(one, batch.targets)
    asked = batch.targets.next_tokens(Marker.END) != ABSENT
    assert torch.allclose(floor, wanted_floor, atol=1e-4)
    assert torch.allclose(auxiliary, wanted_auxiliary, atol=1e-4)
    assert torch.allclose(said[asked], wanted_said[asked], atol=1e-4)


def test_text_goes_on_in_the_next_micro_turns_when_one_does_not_hold_it(encoder, vocabulary):
    one = scene()
    text = encoder.batch([[one]], TURNS).targets.text[0]
    laid = text[text != ABSENT].tolist()
    records = [record for target in one.targets for record in target.records]
    assert laid == [token for record in records for token in encode(vocabulary, record)]
    counts = (text != ABSENT).sum(1).tolist()
    last = max(turn for turn, count in enumerate(counts) if count)
    assert counts[:2] == [0, 0] and set(counts[2:last]) == {text.shape[1]}


def test_unknown_is_nan_when_a_target_does_not_say(encoder):
    auxiliary = encoder.batch([[scene()]], TURNS).targets.auxiliary[0]
    assert auxiliary[:2].isnan().tolist() == [[False, False, True]] * 2
    assert auxiliary[3].isnan().all()


def test_scenes_follow_each_other_and_are_cut_or_filled_up_when_rows_have_a_length(encoder):
    one, two = scene(4, seed=1), scene(5, seed=2, skill="other", reference=None)
    batch = encoder.batch([[one, two], [two]], 7)
    joined = replace(
        one,
        audio=np.concatenate((one.audio, two.audio))[: 7 * MICRO_TURN_SAMPLES],
        targets=(one.targets + two.targets)[:7],
        reference=None,
        playing=None,
        frames={},
        texts={},
    )
    alone = encoder.batch([[joined]], 7)
    assert torch.equal(batch.inputs.levels[0], alone.inputs.levels[0])
    assert torch.equal(batch.targets.floor[0], alone.targets.floor[0])
    assert batch.skill.tolist() == [[0] * 4 + [1] * 3, [1] * 5 + [0] * 2]
    assert batch.inputs.audio_present.tolist() == [[True] * 7, [True] * 5 + [False] * 2]
    assert batch.inputs.reference_present.tolist() == [[True] * 4 + [False] * 3, [False] * 7]
    assert (batch.targets.floor[1, 5:] == ABSENT).all() and batch.audio_s == pytest.approx(12 * 0.2)


def test_losses_are_the_same_when_rows_are_filled_up(tiny, encoder):
    rows = [[scene(6, seed=3)], [scene(6, seed=4)]]
    exact, longer = (encoder.batch(rows, turns) for turns in (6, 9))
    with torch.no_grad():
        one = losses(tiny, exact.inputs, exact.targets)
        two = losses(tiny, longer.inputs, longer.targets)
    for name in ("floor", "text", "auxiliary"):
        assert torch.isclose(one[name], two[name], atol=1e-5)


def test_hidden_states_are_the_same_when_only_what_is_there_is_run(tiny, encoder):
    batch = encoder.batch([[scene(6, seed=5)], [scene(4, seed=6, reference=None, frames={})]], 6)
    with torch.no_grad():
        whole, tokens, _ = tiny.hidden(batch.inputs, batch.targets)
        packed, _, _ = tiny.hidden(batch.inputs, batch.targets, packs=True)
    assert torch.allclose(whole[tokens.present], packed[tokens.present], atol=1e-5)
    assert not packed[~tokens.present].any()


def test_batch_is_the_same_when_it_was_carried_as_arrays(encoder):
    rows = [[scene(5, seed=7)]]
    one, two = encoder.batch(rows, 5), Batch.of(encoder.arrays(rows, 5, ["command"]), ["command"])
    for name in ("levels", "reference_levels", "frames", "text", "playing"):
        assert torch.equal(getattr(one.inputs, name), getattr(two.inputs, name))
    assert two.skills == ("command",)
