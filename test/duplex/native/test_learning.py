"""A small model learns a handful of conversations by heart: floor, text, intent and mel, and only with every loss.

What is checked is what comes out of streaming steps after training, not the loss.
"""

from dataclasses import replace

import pytest
import torch

from tml_ros.duplex.native.inputs import StreamTargets
from tml_ros.duplex.native.losses import LossWeights, losses
from tml_ros.duplex.native.tokens import FLOOR_MARKERS
from tml_ros.duplex.native.transformer import InteractionTransformer
from tml_ros.records import Floor


@pytest.fixture(scope="module")
def learned(kit, learned_model, lesson, vocabulary):
    return kit.examine(learned_model, lesson, vocabulary)


def test_floor_text_and_intents_are_right_when_all_losses_are_there(kit, learned):
    assert (learned.floor, learned.text, learned.auxiliary) == (1.0, 1.0, 1.0)
    assert learned.outputs[0] == [(kit.INTENT.intent, dict(kit.INTENT.data))]
    assert " ".join(learned.outputs[1]) == "yes go on"
    assert learned.outputs[2:] == [["red"], []]


def test_voice_comes_back_when_all_losses_are_there(kit, learned):
    assert learned.mel < kit.MEL_ERROR


def test_nothing_is_right_when_nothing_was_learned(kit, tiny_shape, lesson, vocabulary):
    report = kit.examine(InteractionTransformer.created(tiny_shape, seed=3), lesson, vocabulary)
    assert report.floor < 0.8 and report.text < 0.5 and not any(report.outputs)


@pytest.mark.parametrize("absent", ["floor", "text", "flow"])
def test_what_is_not_taught_is_not_learned_when_a_loss_is_removed(kit, tiny_shape, lesson, vocabulary, absent, learned):
    weights = replace(LossWeights(), **{absent: 0.0})
    steps = kit.STEPS if absent == "flow" else kit.STEPS // 2  # what is not learned needs no time
    report = kit.examine(kit.train(tiny_shape, lesson, weights, steps), lesson, vocabulary)
    if absent == "floor":
        assert report.floor < 0.9
    elif absent == "text":
        assert report.text < 0.5 and not any(report.outputs)
    else:
        assert report.floor == report.text == 1.0  # the rest is learned all the same
        assert report.mel > 2 * kit.MEL_ERROR > 2 * learned.mel


def test_losses_ignore_what_is_unknown_when_there_are_no_targets_for_it(tiny_model, lesson):
    targets = replace(lesson.targets, auxiliary=None, speaking=None, mel=None)
    found = losses(tiny_model, lesson.inputs, targets)
    assert found["auxiliary"] == 0 and found["flow"] == 0
    expected = found["floor"] + found["text"] + 0.01 * found["balance"]
    assert torch.isclose(found["total"], expected)


def test_unknown_auxiliary_targets_do_not_count_when_some_are_nan(tiny_model, lesson):
    some = lesson.targets.auxiliary.clone()
    some[:, 4:] = float("nan")
    found = losses(tiny_model, lesson.inputs, replace(lesson.targets, auxiliary=some))["auxiliary"]
    first = losses(
        tiny_model,
        lesson.inputs.turns(0, 4),
        StreamTargets(lesson.targets.floor[:, :4], lesson.targets.text[:, :4], some[:, :4]),
    )["auxiliary"]
    assert torch.isfinite(found) and torch.isclose(found, first)


def test_loss_is_finite_when_no_auxiliary_target_is_known(tiny_model, lesson):
    unknown = torch.full_like(lesson.targets.auxiliary, float("nan"))
    found = losses(tiny_model, lesson.inputs, replace(lesson.targets, auxiliary=unknown))
    assert found["auxiliary"] == 0 and torch.isfinite(found["total"])


def test_floors_have_an_order_when_logits_are_read():
    assert [FLOOR_MARKERS[marker] for marker in sorted(FLOOR_MARKERS)] == list(Floor)
