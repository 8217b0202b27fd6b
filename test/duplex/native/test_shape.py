"""Sizes that no model can have are refused, and what follows from sizes is right."""

from dataclasses import replace

import pytest
import torch

from tml_ros.duplex.native.sequence import SIGHT, STREAM, Layout
from tml_ros.duplex.native.shape import NativeShape
from tml_ros.errors import ConfigError


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("layers", 0, r"shape\.layers must be 1 to \d+, got 0"),
        ("sinks", 0, r"shape\.sinks must be 1 to \d+, got 0"),
        ("width", 50, "a multiple of 8, got 50"),
        ("heads", 5, r"a multiple of kv_heads \(2\), got 5"),
        ("rotary_width", 7, "even, got 7"),
        ("rotary_width", 16, r"less than head_width \(16\), got 16"),
        ("mel_group", 3, "a divisor of 20, got 3"),
        ("mel_high", -20.0, r"above mel_low"),
        ("stem_widths", (8,), "two widths"),
        ("patch_pixels", 16, "must be 40"),
        ("vocabulary", 200, "at least 280"),
        ("experts", 0, "at least 1 where moe_every is"),
        ("experts_per_token", 0, "at least 1 where moe_every is"),
        ("expert_width", 0, "at least 8 where moe_every is"),
        ("shared_expert_width", -8, r"must be 0 to"),
        ("moe_every", -1, r"must be 0 to"),
        ("mel_low", float("-inf"), "finite"),
        ("mel_levels", 1, "at least 2"),
        ("mel_channels", 400, "at most 128"),
        ("flow_steps", 10_000, "at most 100"),
        ("global_stream_tokens", 10**13, r"must be 1 to"),
        ("experts_per_token", 9, r"at most experts \(4\), got 9"),
        ("global_stream_tokens", 10, "at least local's"),
        ("global_sight_tokens", 10, "at least local's"),
    ],
)
def test_error_names_the_size_when_it_is_impossible(tiny_shape, name, value, message):
    with pytest.raises(ConfigError, match=message):
        replace(tiny_shape, **{name: value})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"widht": 64}, r"unknown size shape\.widht; did you mean 'width'"),
        ({"width": None}, r"shape\.width must be a whole number, got None"),
        ({"width": True}, "a whole number, got True"),
        ({"mel_low": "low"}, "a number, got 'low'"),
        ({"stem_widths": [8, 1.5]}, "a list of whole numbers"),
    ],
)
def test_error_names_the_size_when_a_file_has_it_wrong(tiny_shape, change, message):
    with pytest.raises(ConfigError, match=message):
        NativeShape.from_mapping(tiny_shape.as_mapping() | change)


def test_error_names_what_is_missing_when_a_file_lacks_sizes(tiny_shape):
    values = tiny_shape.as_mapping()
    del values["heads"], values["width"]
    with pytest.raises(ConfigError, match="lacks heads, width"):
        NativeShape.from_mapping(values)


def test_shape_is_the_same_when_written_and_read(tiny_shape):
    assert NativeShape.from_mapping(tiny_shape.as_mapping()) == tiny_shape


def test_every_slot_has_one_token_when_spans_are_laid_out(tiny_shape):
    layout = Layout(tiny_shape)
    spans = (layout.sight, layout.audio, layout.text, layout.clock, layout.out, layout.said, layout.voice)
    places = layout.places(tuple((span, span.count) for span in spans), torch.device("cpu"))
    assert places.slots.tolist() == list(range(tiny_shape.slots_per_turn))
    inputs = tiny_shape.slots_per_turn - layout.ranks_per_turn + 1
    assert places.ranks.tolist() == [0] * inputs + list(range(1, layout.ranks_per_turn))
    assert places.kinds.tolist() == [SIGHT] * tiny_shape.sight_tokens + [STREAM] * tiny_shape.most_stream_tokens
