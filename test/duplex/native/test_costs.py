"""What shapes cost, against models that are really built and operations that are really counted."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from torch.utils.flop_counter import FlopCounterMode

from tml_ros.duplex.native.costs import (
    Machine,
    cache_slots,
    flops_per_token,
    flops_per_turn,
    kv_bytes_per_session,
    parameter_count,
    turn_seconds,
    visible_tokens,
)
from tml_ros.duplex.native.inputs import StreamInputs
from tml_ros.duplex.native.shape import NativeShape
from tml_ros.duplex.native.transformer import InteractionTransformer

ROOT = Path(__file__).resolve().parents[3]
NAMES = ("tiny", "micro", "base", "interaction-small")
FULL = 1 << 40  # a context that fills every window


def shape_of(name: str) -> NativeShape:
    return NativeShape.from_mapping(yaml.safe_load((ROOT / f"models/{name}/config.yaml").read_text())["shape"])


SHAPES = {name: shape_of(name) for name in NAMES} | {
    "with a shared expert": replace(shape_of("tiny"), shared_expert_width=16, moe_every=1),
    "without experts": replace(shape_of("tiny"), moe_every=0),
}


def on_meta(shape: NativeShape) -> InteractionTransformer:
    with torch.device("meta"):
        return InteractionTransformer(shape)


# ------------------------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize("name", SHAPES)
def test_count_is_that_of_the_model_when_it_is_built_without_memory(name):
    shape, counted = SHAPES[name], parameter_count(SHAPES[name])
    weights = dict(on_meta(shape).named_parameters())
    assert counted.total == sum(one.numel() for one in weights.values()) == sum(counted.by_part.values())
    assert counted.embedding == weights["embedding.weight"].numel()
    stacked = sum(one.numel() for name, one in weights.items() if ".feed_forward." in name and one.dim() == 3)
    assert (stacked > 0) == (shape.moe_every > 0)
    used = stacked * shape.experts_per_token // shape.experts if shape.experts else 0
    assert counted.active == counted.total - stacked + used


def test_large_model_has_the_published_size_when_it_is_built_without_memory():
    model = on_meta(SHAPES["interaction-small"])
    counted = parameter_count(model.shape)
    assert all(tensor.is_meta for tensor in model.parameters())
    assert counted.total == sum(one.numel() for one in model.parameters()) == pytest.approx(276e9, rel=0.005)
    assert counted.active == pytest.approx(12e9, rel=0.02)
    banks = [tuple(one.shape) for one in model.parameters() if one.dim() == 3 and one.shape[0] == 256]
    assert banks.count((256, 2 * 1536, 4096)) == banks.count((256, 4096, 1536)) == len(model.blocks) == 56


@pytest.mark.parametrize(("name", "least", "most"), [("tiny", 1e5, 3.7e5), ("micro", 5e6, 12e6), ("base", 3e8, 5e8)])
def test_preset_has_a_size_for_its_purpose_when_it_is_counted(name, least, most):
    assert least < parameter_count(SHAPES[name]).total < most


# ------------------------------------------------------------------------------------------------------- operations


def cpu_attention(query, key, _value, *_, out_shape=None, **__) -> int:
    """Count what the counter does not know: attention on the CPU."""
    return 4 * query[0] * query[1] * query[2] * key[2] * query[3]


@pytest.mark.parametrize("name", ["tiny", "with a shared expert", "without experts", "micro"])
def test_operations_are_those_that_run_when_a_micro_turn_is_taken_in(name):
    shape = SHAPES[name]
    model = InteractionTransformer.created(shape, 0)
    yes, no = torch.ones(1, dtype=torch.bool), torch.zeros(1, dtype=torch.bool)
    pictures = torch.zeros(1, *shape.picture_size, 3, dtype=torch.uint8)
    inputs = StreamInputs(torch.zeros(1, 3200), yes, no, frames=pictures, frame_present=yes)
    known = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: cpu_attention}
    with torch.no_grad(), FlopCounterMode(display=False, custom_mapping=known) as counter:
        model.begin(inputs, model.new_state([0]), yes, "gather")
    cost = flops_per_turn(shape, FULL, FULL)
    tokens = cost.tokens - 1  # the floor comes later
    # a step multiplies with every slot of a ring, seen or not; the count has what is seen
    hidden = sum(cache_slots(shape, n) - visible_tokens(shape, n, FULL, FULL) for n in range(shape.layers))
    all_slots = tokens * (cost.blocks // cost.tokens + 4 * shape.heads * shape.head_width * hidden)
    assert counter.get_total_flops() == all_slots + cost.inputs


def test_operations_of_a_token_are_asserted_when_the_large_model_is_empty_and_full():
    shape = SHAPES["interaction-small"]
    assert flops_per_token(shape, 1, 0) == 23_916_707_840
    assert flops_per_token(shape, FULL, FULL) == 53_128_200_192
    assert flops_per_token(shape, FULL, FULL, logits=False) == 53_128_200_192 - 2 * 65536 * 4096


def test_operations_are_twice_the_active_weights_when_there_is_no_context():
    shape = SHAPES["interaction-small"]
    active = parameter_count(shape).active
    assert flops_per_token(shape, 1, 0) == pytest.approx(2 * active, rel=0.02)


def test_operations_stop_growing_when_the_windows_are_full():
    shape = SHAPES["micro"]
    stream, sight = shape.global_stream_tokens, shape.global_sight_tokens
    costs = [flops_per_token(shape, n, 0) for n in (1, 2, shape.local_stream_tokens, stream)]
    assert costs == sorted(set(costs))
    assert flops_per_token(shape, stream, sight) == flops_per_token(shape, FULL, FULL)
    assert flops_per_token(shape, stream - 1, sight) < flops_per_token(shape, FULL, FULL)
    assert flops_per_token(shape, stream, sight - 1) < flops_per_token(shape, FULL, FULL)


def test_micro_turn_costs_more_when_more_happens_in_it():
    shape = SHAPES["micro"]
    least = flops_per_turn(shape, 100, 0, sees=False)
    assert least.tokens == 5 + 3
    assert least.voice == 0
    more = flops_per_turn(shape, 100, 48, text_in=2, text_out=3, sees=True, speaks=True)
    assert more.tokens == 48 + 5 + 2 + 3 + 3 + 5
    assert more.voice > 0 and more.logits == 2 * shape.width * (4 * shape.vocabulary + 8)
    assert more.total > least.total


def test_logits_are_asked_for_as_often_as_there_are_places_when_text_fills_them():
    shape = SHAPES["micro"]
    full = flops_per_turn(shape, 1, 0, text_out=shape.text_out_tokens)
    assert full.logits == flops_per_turn(shape, 1, 0, text_out=shape.text_out_tokens - 1).logits


# ------------------------------------------------------------------------------------------------------------- time


WORK = {"bytes_per_weight": 2, "bytes_per_value": 2, "text_out": 3}


def test_time_is_that_of_computing_when_memory_is_fast():
    shape = SHAPES["micro"]
    machine = Machine(1e12, 1e30, 0.0)
    cost = flops_per_turn(shape, FULL, FULL, text_out=3, speaks=True)
    assert turn_seconds(shape, machine, 4, pictures=1.0, **WORK) == pytest.approx(4 * cost.total / 1e12)


def test_time_is_that_of_reading_when_computing_is_fast():
    shape = SHAPES["without experts"]
    machine = Machine(1e30, 1e12, 0.0)
    slots = sum(visible_tokens(shape, layer, FULL, FULL) for layer in range(shape.layers))
    read = 2 * parameter_count(shape).total + 3 * 2 * 2 * slots * shape.kv_heads * shape.head_width
    passes = 1 + 1 + 3 + 1
    assert turn_seconds(shape, machine, 3, pictures=1.0, **WORK) == pytest.approx(passes * read / 1e12)


def test_time_is_that_of_the_layers_when_all_else_is_fast():
    shape = SHAPES["tiny"]
    assert turn_seconds(shape, Machine(1e30, 1e30, 1e-3), 3, pictures=0.0, **WORK) == pytest.approx(6 * 3 * 1e-3)


def test_fewer_weights_are_read_when_few_experts_are_asked():
    shape = SHAPES["interaction-small"]
    machine = Machine(1e30, 1e12, 0.0)
    one, many = (turn_seconds(shape, machine, count, pictures=0.0, **WORK) for count in (1, 200))
    assert 2 * parameter_count(shape).active * 6 / 1e12 < one < many / 5


# ----------------------------------------------------------------------------------------------------------- memory


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_memory_is_that_of_the_caches_when_a_session_is_opened(name, dtype):
    shape = SHAPES[name]
    with torch.device("meta"):
        state = InteractionTransformer(shape).to(dtype).new_state([0])
    caches = sum(tensor.nbytes for tensor in state.caches)
    assert caches == kv_bytes_per_session(shape, dtype.itemsize)


# ------------------------------------------------------------------------------------------------------ the document


PAGE = (ROOT / "docs" / "serving.md").read_text(encoding="utf-8")
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]


def told(label: str) -> list[float]:
    """The numbers of a row of the page."""
    (row,) = [row for row in ROWS if row[0] == label]
    return [float(cell) for cell in row[1:]]


def test_page_gives_the_parameters_that_are_counted():
    counted = parameter_count(SHAPES["interaction-small"])
    named = {
        "routed experts": counted.by_part["experts"],
        "attention": counted.by_part["attention"],
        "shared experts": counted.by_part["shared experts"],
        "embedding, also the output matrix": counted.embedding,
    }
    named["sound and sight in, voice out, routers, the rest"] = counted.total - sum(named.values())
    for label, number in {**named, "all": counted.total, "active for a token": counted.active}.items():
        assert told(label) == [float(f"{number / 1e9:.2f}")], label
    assert (
        f"**Sound, sight and voice** ({(counted.by_part['sound and sight'] + counted.by_part['voice']) / 1e9:.1f}B)"
        in PAGE
    )


def test_page_gives_the_operations_that_are_counted():
    shape = SHAPES["interaction-small"]
    turn = {sees: flops_per_turn(shape, FULL, FULL, text_out=3, sees=sees, speaks=True) for sees in (True, False)}
    figures = {
        "a token, no context": f"{flops_per_token(shape, 1, 0) / 1e12:.3f}",
        "a token, windows full": f"{flops_per_token(shape, FULL, FULL) / 1e12:.3f}",
        f"a micro-turn with a picture ({turn[True].tokens} tokens)": f"{turn[True].total / 1e12:.2f}",
        f"a micro-turn without ({turn[False].tokens} tokens)": f"{turn[False].total / 1e12:.2f}",
        "a second of life, five pictures": f"{5 * turn[True].total / 1e12:.1f}",
        "a second of life, one picture": f"{(turn[True].total + 4 * turn[False].total) / 1e12:.1f}",
    }
    for label, number in figures.items():
        assert told(label) == [float(number)], label


def test_page_gives_the_memory_that_is_computed():
    shape = SHAPES["interaction-small"]
    total, cache = parameter_count(shape).total, kv_bytes_per_session(shape, 2)
    figures = {
        "weights, BF16": f"{2 * total / 1e9:.1f}",
        "weights, BF16, per GPU": f"{2 * total / 8e9:.1f}",
        "weights, FP8": f"{total / 1e9:.1f}",
        "keys and values of a session, BF16": f"{cache / 1e9:.2f}",
        "keys and values of a session, BF16, per GPU": f"{cache / 8e9:.2f}",
        "weights BF16, cache BF16": f"{(0.9 * 8 * 141e9 - 2 * total) // cache}",
        "weights FP8, cache BF16": f"{(0.9 * 8 * 141e9 - total) // cache}",
        "weights FP8, cache FP8": f"{(0.9 * 8 * 141e9 - total) // (cache / 2)}",
    }
    for label, number in figures.items():
        assert told(label) == [float(number)], label


def test_page_gives_the_times_that_are_computed():
    shape = SHAPES["interaction-small"]
    cases = [
        (Machine(0.4 * 8 * peak, 0.7 * 8 * 4.8e12, 30e-6), size, pictures)
        for peak, size in ((989e12, 2), (1979e12, 1))
        for pictures in (1.0, 0.2, 0.0)
    ]

    def time_ms(sessions: int, machine: Machine, size: int, pictures: float) -> float:
        work = {"bytes_per_weight": size, "bytes_per_value": 2, "text_out": 3, "pictures": pictures}
        return 1e3 * turn_seconds(shape, machine, sessions, **work)

    for sessions in (1, 8, 16, 32, 64):
        assert told(str(sessions)) == [round(time_ms(sessions, *case)) for case in cases]
    for most, case in zip(told("most in 100 ms"), cases, strict=True):
        assert time_ms(int(most), *case) <= 100 < time_ms(int(most) + 1, *case)


def test_page_gives_the_bytes_that_the_shape_asks_for():
    shape = SHAPES["interaction-small"]
    level_bits = (shape.mel_levels - 1).bit_length()
    for label, size in {
        "sound, 16-bit": 2 * 3200,
        f"sound as dMel levels, {level_bits} bits": 20 * shape.mel_channels * level_bits // 8,
        "speech back, 16-bit": 2 * 3200,
        "speech back as mel, 16-bit": 2 * 20 * shape.mel_channels,
    }.items():
        assert told(label) == [size, size * 8 * 5 / 1000]


def test_page_says_that_nothing_was_measured():
    assert "This is a design. Every figure is computed" in PAGE and "nothing here was run" in PAGE
    assert "unless an endpoint is configured" in PAGE
