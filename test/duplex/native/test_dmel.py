"""Sound as tokens: framing, levels, streaming against offline, rows, absent and broken sound."""

import numpy as np
import pytest
import torch
import yaml

from tml_ros.duplex.native.dmel import (
    AUDIO_TAIL,
    REFERENCE_TAIL,
    LogMel,
    MelTokens,
    denormalise,
    normalise,
    quantise,
    tail_shapes,
)
from tml_ros.duplex.native.shape import NativeShape
from tml_ros.resources import find

SHAPE = NativeShape.from_mapping(yaml.safe_load(find("models/tiny/config.yaml").read_text())["shape"])
LOG_MEL = LogMel(SHAPE.mel_channels)


def noise(rows: int, turns: int, seed: int = 0) -> torch.Tensor:
    loudness = torch.logspace(-4, 0, turns)[:, None]
    return torch.randn(rows, turns, 3200, generator=torch.Generator().manual_seed(seed)) * loudness


def every(*sizes: int) -> torch.Tensor:
    return torch.ones(sizes, dtype=torch.bool)


def fresh(rows: int) -> dict[str, torch.Tensor]:
    return {key: torch.zeros(rows, *sizes) for key, sizes in tail_shapes().items()}


def stream(audio: torch.Tensor, present: torch.Tensor, key: str = AUDIO_TAIL) -> torch.Tensor:
    tails, active = fresh(len(audio)), every(len(audio))
    turns = [LOG_MEL.step(audio[:, t], present[:, t], tails, active, key) for t in range(audio.shape[1])]
    return torch.stack(turns, 1)


@pytest.mark.parametrize("key", [AUDIO_TAIL, REFERENCE_TAIL])
def test_levels_are_the_same_bit_for_bit_when_streamed_and_when_offline(key) -> None:
    audio = noise(3, 12)
    present = torch.rand(3, 12, generator=torch.Generator().manual_seed(1)) > 0.3
    offline = quantise(LOG_MEL(audio, present), SHAPE)

    assert torch.equal(quantise(stream(audio, present, key), SHAPE), offline)
    assert offline.unique().numel() == SHAPE.mel_levels


def test_log_mel_agrees_with_a_plain_computation_when_a_frame_is_taken_out() -> None:
    audio = noise(1, 2)
    found = LOG_MEL(audio, every(1, 2))[0].flatten(0, 1)
    samples = np.concatenate([np.zeros(240), audio.flatten().clamp(-1, 1).numpy().astype(np.float64)])
    for frame in (0, 1, 19, 20, 39):
        window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
        power = np.abs(np.fft.rfft(samples[160 * frame : 160 * frame + 400] * window, 512)) ** 2
        expected = np.log(np.maximum(power @ LOG_MEL.bands.numpy(), 1e-7))
        np.testing.assert_allclose(found[frame].numpy(), expected, rtol=1e-9)


@pytest.mark.parametrize("hz", [200.0, 440.0, 1000.0, 3000.0, 7000.0])
def test_loudest_band_is_that_of_the_tone_when_a_tone_sounds(hz) -> None:
    tone = torch.sin(torch.arange(3200) * (2 * torch.pi * hz / 16_000)).view(1, 1, 3200)
    band = int(LOG_MEL(tone, every(1, 1))[0, 0, 10].argmax())
    mel_of = np.interp(hz, *_slaney())
    centre = (band + 1) * np.interp(8000.0, *_slaney()) / (SHAPE.mel_channels + 1)

    assert abs(centre - mel_of) < 0.6  # a little more than one band


def _slaney() -> tuple[np.ndarray, np.ndarray]:
    """Points of the mel scale as its author defines it: 200/3 Hz a step up to 1 kHz, then 27 steps per factor 6.4."""
    hz = [step * 200 / 3 for step in range(15)] + [1000 * 6.4 ** (step / 27) for step in range(40)]
    return np.array(hz), np.arange(len(hz), dtype=float)


def test_frame_is_untouched_when_a_later_sample_changes() -> None:
    audio = noise(1, 3)
    changed = audio.clone()
    changed[0, 1, 160 * 7] += 0.5  # the first sample of the hop of frame 7
    before, after = LOG_MEL(audio, every(1, 3))[0], LOG_MEL(changed, every(1, 3))[0]

    assert torch.equal(before[:1], after[:1]) and torch.equal(before[1, :7], after[1, :7])
    assert not torch.equal(before[1, 7], after[1, 7])


def test_absent_micro_turn_counts_as_silence_when_it_holds_samples() -> None:
    audio, present = noise(1, 3), torch.tensor([[True, False, True]])
    silent = audio.clone()
    silent[0, 1] = 0.0

    assert torch.equal(LOG_MEL(audio, present), LOG_MEL(silent, every(1, 3)))


def test_tail_stays_bit_for_bit_when_a_row_is_not_active() -> None:
    tails = fresh(2)
    for tail in tails.values():
        tail.copy_(torch.randn(tail.shape))
    kept, identity = tails[AUDIO_TAIL].clone(), tails[AUDIO_TAIL].data_ptr()
    LOG_MEL.step(noise(2, 1)[:, 0], every(2), tails, torch.tensor([True, False]), AUDIO_TAIL)

    assert torch.equal(tails[AUDIO_TAIL][1], kept[1]) and not torch.equal(tails[AUDIO_TAIL][0], kept[0])
    assert tails[AUDIO_TAIL].data_ptr() == identity


def test_row_is_the_same_when_its_neighbours_are_broken() -> None:
    quiet, wild = noise(3, 4), noise(3, 4)
    wild[0], wild[2] = float("nan"), 1e30

    assert torch.equal(stream(quiet, every(3, 4))[1], stream(wild, every(3, 4))[1])


def test_levels_are_finite_when_samples_are_not() -> None:
    audio = noise(1, 3)
    audio[0, 0, ::7] = float("nan")
    audio[0, 1, ::5], audio[0, 1, 1::5] = float("inf"), -float("inf")
    audio[0, 2] = 3e38
    found = stream(audio, every(1, 3))

    assert found.isfinite().all()
    assert torch.equal(quantise(found, SHAPE), quantise(LOG_MEL(audio, every(1, 3)), SHAPE))


def test_levels_are_the_nearest_when_values_lie_inside_and_outside_the_range() -> None:
    low, high, top = SHAPE.mel_low, SHAPE.mel_high, SHAPE.mel_levels - 1
    step = (high - low) / top
    values = torch.tensor([low - 9, low, low + 0.49 * step, low + 0.51 * step, high - 0.4 * step, high, high + 9])

    assert quantise(values.double(), SHAPE).tolist() == [0, 0, 0, 1, top, top, top]


def test_voice_scale_is_undone_when_denormalised() -> None:
    values = torch.linspace(-20, 10, 50, dtype=torch.float64)
    scaled = normalise(values, SHAPE)

    assert scaled.dtype == torch.float32
    assert normalise(torch.tensor([SHAPE.mel_low, SHAPE.mel_high]), SHAPE).tolist() == [-2.0, 2.0]
    torch.testing.assert_close(denormalise(scaled.double(), SHAPE), values, rtol=0, atol=1e-5)


def test_precision_stays_when_the_module_around_it_is_converted() -> None:
    module = LogMel(SHAPE.mel_channels).to(torch.bfloat16)

    assert module.window.dtype == module.bands.dtype == torch.float64
    assert torch.equal(module.bands, LOG_MEL.bands)


def test_constants_are_filled_when_a_module_was_built_without_memory() -> None:
    with torch.device("meta"):
        mel, tokens = LogMel(SHAPE.mel_channels), MelTokens(SHAPE)

    assert torch.equal(mel.to_empty(device="cpu").bands, LOG_MEL.bands)
    assert torch.equal(tokens.to_empty(device="cpu").first_rows, MelTokens(SHAPE).first_rows)
    assert not LogMel(SHAPE.mel_channels).state_dict() and "first_rows" not in MelTokens(SHAPE).state_dict()


# ---------------------------------------------------------------------------------------------------------- tokens


@pytest.fixture
def tokens() -> MelTokens:
    torch.manual_seed(0)
    return MelTokens(SHAPE)


def levels(*lead: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, SHAPE.mel_levels, (*lead, 20, SHAPE.mel_channels), generator=generator)


def test_tokens_are_grouped_sums_when_computed_by_hand(tokens) -> None:
    audio, reference = levels(2), levels(2, seed=1)
    found = tokens(audio, every(2), reference, every(2))

    def bag(table: torch.Tensor, frame: torch.Tensor) -> torch.Tensor:
        return sum(table[channel * SHAPE.mel_levels + int(level)] for channel, level in enumerate(frame))

    group = range(SHAPE.mel_group, 2 * SHAPE.mel_group)
    frames = [bag(tokens.audio, audio[1, f]) + bag(tokens.reference, reference[1, f]) for f in group]
    assert found.shape == (2, SHAPE.audio_tokens, SHAPE.width)
    torch.testing.assert_close(found[1, 1], tokens.project(torch.cat(frames)))


def test_absent_stream_adds_nothing_when_the_other_is_there(tokens) -> None:
    audio, other = levels(1), levels(1, seed=2)
    here, absent = every(1), ~every(1)

    first = tokens(audio, here, other, absent)
    assert torch.equal(first, tokens(audio, here, levels(1, seed=3), absent))
    assert not torch.equal(first, tokens(audio, here, other, here))
    assert torch.equal(tokens(audio, absent, other, here), tokens(other, absent, other, here))
    assert not tokens(audio, absent, other, absent).any()


def test_every_table_gets_gradients_when_trained(tokens) -> None:
    found = tokens(levels(2, 3), every(2, 3), levels(2, 3, seed=1), every(2, 3))
    found.square().mean().backward()

    assert found.shape == (2, 3, SHAPE.audio_tokens, SHAPE.width)
    assert all(parameter.grad.abs().sum() > 0 for parameter in tokens.parameters())


def test_row_of_tokens_is_the_same_when_its_neighbour_changes(tokens) -> None:
    audio = levels(2)
    changed = torch.stack((levels(1, seed=9)[0], audio[1]))

    assert torch.equal(tokens(audio, every(2), audio, every(2))[1], tokens(changed, every(2), changed, every(2))[1])


def test_step_compiles_to_one_graph_when_traced() -> None:
    def step(audio: torch.Tensor, tail: torch.Tensor, active: torch.Tensor) -> torch.Tensor:
        return quantise(LOG_MEL.step(audio, active, {AUDIO_TAIL: tail}, active, AUDIO_TAIL), SHAPE)

    audio, active = noise(2, 1)[:, 0], torch.tensor([True, False])
    traced = torch.compile(step, backend="eager", fullgraph=True)

    assert torch.equal(traced(audio, torch.zeros(2, 240), active), step(audio, torch.zeros(2, 240), active))


def test_range_of_levels_fits_when_real_speech_is_measured(shared_data) -> None:
    import soundfile

    paths = sorted((shared_data / "speech" / "librispeech_snips").rglob("*.opus"))[:12]
    clips = [soundfile.read(path, dtype="float32")[0][: 3200 * 15].reshape(1, 15, 3200) for path in paths]
    found = quantise(LOG_MEL(torch.tensor(np.concatenate(clips)), every(len(clips), 15)), SHAPE)
    share = torch.bincount(found.flatten(), minlength=SHAPE.mel_levels) / found.numel()

    assert share[0] < 0.1 and share[-1] < 0.03
    assert (share > 0.001).all()
