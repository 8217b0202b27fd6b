"""``tml checkpoint`` and the arguments of ``tml bench native``."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from tokenizers import Tokenizer, models

from tml_ros.cli import main as cli
from tml_ros.cli.main import main

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def preset(tmp_path: Path) -> Path:
    """The sizes of ``tiny`` with a tokenizer of that many tokens, whatever is shipped."""
    folder = tmp_path / "preset"
    folder.mkdir()
    text = (ROOT / "models" / "tiny" / "config.yaml").read_text()
    head, _, shape = text.partition("shape:")
    assert "name: tiny" in head
    (folder / "config.yaml").write_text(
        "format: 1\nname: tiny\nlicence: Apache-2.0\ntrained: false\nfiles: {}\nshape:" + shape
    )
    (vocabulary,) = (int(line.split()[1]) for line in shape.splitlines() if line.strip().startswith("vocabulary:"))
    words = Tokenizer(models.WordLevel({f"t{n}": n for n in range(vocabulary)}, unk_token="t0"))
    words.save(str(folder / "tokenizer.json"))
    (folder / "README.md").write_text("# tiny\n\nuntrained\n")
    return folder


def run(*arguments, capsys) -> dict:
    assert main([str(one) for one in arguments]) == 0
    return json.loads(capsys.readouterr().out.splitlines()[-1])


def test_checkpoint_is_made_and_described_when_a_preset_is_given(preset, tmp_path, capsys):
    made = run("checkpoint", "make", preset, tmp_path / "out", "--seed", 3, "--json", capsys=capsys)
    told = run("checkpoint", "info", tmp_path / "out", "--json", capsys=capsys)
    assert made == told
    assert told["has_weights"] and not told["trained"]
    assert set(told["files"]) == {"model.safetensors", "tokenizer.json"}
    weights = told["files"]["model.safetensors"]["bytes"]
    assert 4 * told["parameters"] < weights < 4 * told["parameters"] + 20_000
    assert told["active_parameters"] < told["parameters"] == sum(told["parameters_by_part"].values())
    assert told["kv_bytes_float32"] == 2 * told["kv_bytes_bfloat16"]
    assert (tmp_path / "out" / "README.md").read_text() == "# tiny\n\nuntrained\n"


def test_weights_are_the_same_when_the_seed_is(preset, tmp_path, capsys):
    def digest(name: str, seed: int) -> str:
        made = run("checkpoint", "make", preset, tmp_path / name, "--seed", seed, "--json", capsys=capsys)
        return made["files"]["model.safetensors"]["sha256"]

    assert digest("one", 1) == digest("two", 1) != digest("three", 2)


def test_weights_take_half_the_room_when_they_are_stored_as_bfloat16(preset, tmp_path, capsys):
    made = run("checkpoint", "make", preset, tmp_path / "out", "--dtype", "bfloat16", "--json", capsys=capsys)
    assert made["files"]["model.safetensors"]["bytes"] < 2 * made["parameters"] + 20_000
    assert run("checkpoint", "info", tmp_path / "out", "--json", capsys=capsys)["files"] == made["files"]


def test_checkpoint_is_replaced_only_when_that_is_asked(preset, tmp_path, capsys):
    run("checkpoint", "make", preset, tmp_path / "out", "--json", capsys=capsys)
    assert main(["checkpoint", "make", str(preset), str(tmp_path / "out")]) == 1
    assert "exists already; choose another name or replace it with --force" in capsys.readouterr().err
    run("checkpoint", "make", preset, tmp_path / "out", "--force", "--seed", 5, "--json", capsys=capsys)
    run("checkpoint", "make", tmp_path / "out", tmp_path / "out", "--force", "--json", capsys=capsys)


def test_weights_are_the_mean_of_two_when_they_fit(preset, tmp_path, capsys):
    for seed in (1, 2):
        run("checkpoint", "make", preset, tmp_path / f"{seed}", "--seed", seed, "--json", capsys=capsys)
    made = run("checkpoint", "mean", tmp_path / "out", tmp_path / "1", tmp_path / "2", "--json", capsys=capsys)
    assert not made["trained"]
    one, two, mean = (load_file(tmp_path / name / "model.safetensors") for name in ("1", "2", "out"))
    assert all(torch.equal(mean[name], (one[name] + two[name]) / 2) for name in one)
    assert not torch.equal(mean["embedding.weight"], one["embedding.weight"])


def test_error_says_so_when_there_is_nothing_to_average_or_tokenizers_differ(preset, tmp_path, capsys):
    run("checkpoint", "make", preset, tmp_path / "1", "--json", capsys=capsys)
    assert main(["checkpoint", "mean", str(tmp_path / "out"), str(tmp_path / "1")]) == 1
    assert "two checkpoints or more" in capsys.readouterr().err
    assert main(["checkpoint", "mean", str(tmp_path / "out"), str(tmp_path / "1"), "tiny"]) == 1
    assert "differ in shape or tokenizer" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_preset_is_described_when_it_has_no_weights(capsys):
    told = run("checkpoint", "info", "interaction-small", capsys=capsys)
    assert not told["has_weights"]
    assert told["parameters"] == pytest.approx(276e9, rel=0.005)


def test_table_is_shown_when_json_alone_is_not_asked(capsys):
    assert main(["checkpoint", "info", "base"]) == 0
    shown = capsys.readouterr().out
    assert "base, a preset without weights, Apache-2.0" in shown
    assert "operations of a token, windows full" in shown


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["info", "nowhere"], "no checkpoint 'nowhere': give a folder"),
        (["make", "interaction-small", "out"], "has 1106 GB of weights, at most 8 GB are made at random"),
        (["make", "base", "out"], "has no tokenizer.json; train one"),
    ],
)
def test_error_is_one_line_when_arguments_are_wrong(arguments, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["checkpoint", *arguments]) == 1
    error = capsys.readouterr().err
    assert said in error and len(error.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_error_says_what_does_not_fit_when_weights_are_of_another_shape(preset, tmp_path, capsys):
    made = run("checkpoint", "make", preset, tmp_path / "out", "--json", capsys=capsys)
    width, vocabulary = made["shape"]["width"], made["shape"]["vocabulary"]
    config = tmp_path / "out" / "config.yaml"
    text = config.read_text()
    config.write_text(text.replace(f"  width: {width}\n", f"  width: {width + 8}\n", 1))
    assert main(["checkpoint", "info", str(tmp_path / "out")]) == 1
    said = f"embedding.weight is [{vocabulary}, {width}], expected [{vocabulary}, {width + 8}]"
    error = capsys.readouterr().err
    assert "of another shape" in error and said in error


def test_bench_has_its_defaults_when_nothing_is_said():
    options = cli._parser().parse_args(["bench", "native"])
    assert (options.preset, options.turns, options.context_s, options.dtype) == ("micro", 500, 60.0, "float32")
    assert (options.threads, options.text_tokens, options.no_frame) == (1, None, False)
    assert (options.compile, options.skip_naive, options.json) == (False, False, False)


def test_bench_takes_what_it_is_told():
    line = "bench native --checkpoint tiny --turns 9 --context-s 2 --dtype int8 --threads 2 --text-tokens 3"
    options = cli._parser().parse_args([*line.split(), "--no-frame", "--compile", "--skip-naive", "--json"])
    assert (options.preset, options.turns, options.context_s, options.dtype) == ("tiny", 9, 2.0, "int8")
    assert (options.threads, options.text_tokens, options.no_frame) == (2, 3, True)
    assert (options.compile, options.skip_naive, options.json) == (True, True, True)
