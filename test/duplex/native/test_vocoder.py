"""The vocoder: perfect overlap-add, streaming without a look ahead, rows that stay apart, and it learns."""

import dataclasses
import math

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tml_ros.duplex.native.dmel import LogMel, normalise
from tml_ros.duplex.native.shape import HOP_SAMPLES, NativeShape
from tml_ros.duplex.native.vocoder import DELAY_SAMPLES, Vocoder, delayed, spectral_loss
from tml_ros.resources import find

TINY = NativeShape.from_mapping(yaml.safe_load(find("models/tiny/config.yaml").read_text())["shape"])
SHAPE = dataclasses.replace(TINY, vocoder_width=64, vocoder_layers=2)
M = SHAPE.mel_channels
ALL = torch.ones(4, dtype=torch.bool)


def make_vocoder() -> Vocoder:
    torch.manual_seed(0)
    return Vocoder(SHAPE)


def numbers(*size: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(size, generator=torch.Generator().manual_seed(seed))


def fresh(vocoder: Vocoder, rows: int) -> dict[str, torch.Tensor]:
    return {name: torch.zeros(rows, *size) for name, size in vocoder.tail_shapes().items()}


@pytest.fixture(scope="module")
def vocoder() -> Vocoder:
    return make_vocoder()


class Given(torch.nn.Module):
    """Stands where the head's last layer is and says what it was given."""

    def __init__(self, value: torch.Tensor) -> None:
        super().__init__()
        self.value = value

    def forward(self, hidden: torch.Tensor) -> torch.Tensor:
        return self.value


# ---------------------------------------------------------------------------------------------------------- sound


def test_sound_is_the_delayed_original_when_the_head_gives_its_spectrogram() -> None:
    vocoder, frames = make_vocoder(), 40
    sound = 0.3 * numbers(2, frames * HOP_SAMPLES).clamp(-3, 3)
    sound[:, :HOP_SAMPLES] = 0.0  # what a frame before the first would share
    ahead = 640 - HOP_SAMPLES - DELAY_SAMPLES
    pieces = torch.nn.functional.pad(sound, (DELAY_SAMPLES, ahead)).unfold(1, 640, HOP_SAMPLES)
    spectrum = torch.fft.rfft(pieces * torch.hann_window(640))
    vocoder.magnitude, vocoder.phase = Given(spectrum.abs().log()), Given(spectrum.angle())
    made = vocoder(numbers(2, frames, M))
    torch.testing.assert_close(made, delayed(sound), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("scale", [0.0, 1.0, 1e3, -1e3])
def test_sound_is_finite_and_bounded_when_weights_are_random(vocoder, scale) -> None:
    sound = vocoder(scale * numbers(2, 60, M).abs())
    assert sound.shape == (2, 60 * HOP_SAMPLES) and sound.dtype == torch.float32
    assert sound.isfinite().all() and sound.abs().max() <= 1.0


def test_sound_is_finite_and_bounded_when_the_head_asks_for_far_too_much() -> None:
    vocoder = make_vocoder()
    vocoder.magnitude, vocoder.phase = Given(torch.full((2, 40, 321), 1e4)), Given(numbers(2, 40, 321))
    sound = vocoder(numbers(2, 40, M))
    assert sound.isfinite().all() and sound.abs().max() == 1.0


def test_sound_is_quiet_when_weights_are_random(vocoder) -> None:
    assert vocoder(numbers(2, 60, M)).abs().max() < 0.1


def test_gradient_reaches_everything_when_the_loss_is_taken() -> None:
    vocoder = make_vocoder()
    mel = numbers(2, 40, M).requires_grad_()
    spectral_loss(vocoder(mel), 0.1 * numbers(2, 40 * HOP_SAMPLES)).backward()
    gradients = {"mel": mel.grad} | {name: part.grad for name, part in vocoder.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None or not gradient.any()] == []
    assert all(gradient.isfinite().all() for gradient in gradients.values())


# ------------------------------------------------------------------------------------------------------ streaming


@given(st.integers(0, 1000), st.integers(1, 5))
@settings(max_examples=10, deadline=None)
def test_steps_equal_the_offline_form_when_streamed(vocoder, seed, turns) -> None:
    mel, tails = numbers(4, turns, 20, M, seed=seed), fresh(vocoder, 4)
    steps = torch.cat([vocoder.step(mel[:, turn], tails, ALL) for turn in range(turns)], 1)
    offline = vocoder(mel.flatten(1, 2))
    assert steps.shape == (4, turns * 3200)
    assert (steps - offline).abs().max() <= 1e-5 * offline.abs().max()


@given(st.integers(0, 39))
@settings(max_examples=15, deadline=None)
def test_earlier_sound_stays_when_later_mel_changes(vocoder, frame) -> None:
    mel = numbers(2, 40, M)
    before = vocoder(mel)
    mel[:, frame:] += 1.0
    after, changed = vocoder(mel), frame * HOP_SAMPLES
    assert torch.equal(after[:, :changed], before[:, :changed])
    assert not torch.equal(after[:, changed : changed + HOP_SAMPLES], before[:, changed : changed + HOP_SAMPLES])


def test_rows_stay_the_same_to_the_bit_when_their_neighbours_change(vocoder) -> None:
    mel, others = numbers(4, 3, 20, M), torch.tensor([True, False, True, True])
    results = []
    for strange in (False, True):
        tails, made = fresh(vocoder, 4), []
        for turn in range(3):
            given = torch.where(others[:, None, None], 30.0, 1.0) * mel[:, turn] if strange else mel[:, turn]
            made.append(vocoder.step(given, tails, ~others if strange and turn == 1 else ALL)[1])
            if strange:
                for tail in tails.values():
                    tail[2].zero_()
        results.append(torch.cat([*made, *(tail[1].flatten() for tail in tails.values())]))
    assert torch.equal(*results)


def test_state_stays_to_the_bit_when_a_row_is_not_active(vocoder) -> None:
    tails = {name: numbers(4, *size) for name, size in vocoder.tail_shapes().items()}
    kept = dict(tails)
    before, active = {name: tail.clone() for name, tail in tails.items()}, torch.tensor([True, False, True, False])
    vocoder.step(numbers(4, 20, M), tails, active)
    for name, tail in tails.items():
        assert tail is kept[name]
        assert torch.equal(tail[~active], before[name][~active])
        assert (tail[active] != before[name][active]).flatten(1).any(1).all(), name


def test_row_equals_a_fresh_one_when_it_was_reset(vocoder) -> None:
    mel, tails = numbers(4, 2, 20, M), fresh(vocoder, 4)
    vocoder.step(mel[:, 0], tails, ALL)
    for tail in tails.values():
        tail[3].zero_()
    assert torch.equal(vocoder.step(mel[:, 1], tails, ALL)[3], vocoder.step(mel[:, 1], fresh(vocoder, 4), ALL)[3])


def test_step_is_one_graph_when_it_is_compiled(vocoder) -> None:
    step = torch.compile(vocoder.step, backend="eager", fullgraph=True)
    ours, theirs, active = fresh(vocoder, 4), fresh(vocoder, 4), torch.tensor([True, False, True, True])
    for seed in range(3):
        mel = numbers(4, 20, M, seed=seed)
        assert torch.equal(step(mel, ours, active), vocoder.step(mel, theirs, active))
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


# ----------------------------------------------------------------------------------------------- loss and learning


def test_spectral_loss_is_zero_when_the_sounds_are_the_same() -> None:
    sound = 0.1 * numbers(2, 3200)
    assert spectral_loss(sound, sound).item() == 0.0
    assert spectral_loss(sound, 0.1 * numbers(2, 3200, seed=1)) > spectral_loss(sound, 1.1 * sound) > 0.05


@pytest.mark.parametrize("quiet", [(True, False), (False, True), (True, True)])
def test_spectral_loss_has_a_finite_gradient_when_a_sound_is_silent(quiet) -> None:
    made, wanted = (0.1 * numbers(1, 3200, seed=seed) * (not silent) for seed, silent in enumerate(quiet))
    loss = spectral_loss(made.requires_grad_(), wanted)
    loss.backward()
    assert loss.isfinite() and made.grad.isfinite().all()


GATE = 1.0  # spectral loss; silence in place of the chirp has 2.4


def chirp() -> torch.Tensor:
    """A voice-like sweep of seven harmonics, 0.6 s, [1, 9600]."""
    time = torch.arange(9600) / 16000
    phase = 2 * math.pi * (150 * time + 100 * time**2)
    tremble = 0.15 * (1 + 0.5 * torch.sin(2 * math.pi * 3 * time))
    return (tremble * sum(torch.sin(k * phase) / k for k in range(1, 8)))[None]


def test_vocoder_learns_a_chirp_when_trained() -> None:
    sound, vocoder, steps = chirp(), make_vocoder(), 240
    mel = normalise(LogMel(SHAPE.mel_channels)(sound.view(1, 3, 3200), ALL[None, :3]), SHAPE).flatten(1, 2)
    wanted = delayed(sound)
    untrained = spectral_loss(vocoder(mel), wanted).item()
    optimizer = torch.optim.Adam(vocoder.parameters(), betas=(0.8, 0.99))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 5e-3, total_steps=steps)
    for _ in range(steps):
        optimizer.zero_grad()
        spectral_loss(vocoder(mel), wanted).backward()
        optimizer.step()
        schedule.step()
    assert untrained > 3 * GATE, "the gate must not let an untrained vocoder pass"
    assert spectral_loss(torch.zeros_like(wanted), wanted) > 2 * GATE, "nor silence"
    assert spectral_loss(vocoder(mel), wanted) < GATE
