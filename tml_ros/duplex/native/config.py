"""Parameters of the native model: which checkpoint, and how it is run."""

from dataclasses import dataclass

from tml_ros.config import param

__all__ = ["NativeConfig"]


@dataclass(frozen=True, slots=True)
class NativeConfig:
    """How a checkpoint is run; what it is, its own config.yaml says."""

    checkpoint: str = param("tiny", "Checkpoint: a folder, or the name of one in models/; tiny is not trained")
    adapters: tuple[str, ...] = param(
        ("",), "What was taught by `tml train --bags`: files, merged into the weights one after the other"
    )
    intents_file: str = param(
        "", "Gives intents their priority, a path or a file of this package; empty: as intents_file"
    )
    device: str = param("auto", "Where it runs; auto takes CUDA where there is some", choices=("auto", "cpu", "cuda"))
    precision: str = param(
        "float32",
        "Of the weights: bfloat16 halves and int8 (on a CPU only) quarters their memory; docs/native.md has the times",
        choices=("float32", "bfloat16", "int8"),
    )
    threads: int = param(1, "CPU threads for tensors, of the whole process; 0 leaves them alone", minimum=0, maximum=64)
    compile: bool = param(
        False, "Compile the steps with torch.compile, which needs a C++ compiler and a minute at the start"
    )
    cuda_graphs: bool = param(
        False, "On CUDA, record the passes of a step once and replay them; not tried on a GPU yet"
    )
    voice: bool = param(False, "Speak with the model's own voice, not with speech.synthesiser")
    temperature: float = param(
        0.0, "Chance in choosing tokens, 0 takes the likeliest; the seed makes it repeatable", minimum=0.0, maximum=2.0
    )
    spelling: bool = param(
        True, "Weigh what a trained checkpoint puts out against the sentences of the intents file that it nearly spells"
    )
    keywords: str = param(
        "models/keywords",
        "Folder of a network that has a say in which single word was said, with native.spelling; "
        "tml_ros.training.keyword_net makes one; empty: none",
    )
    overlap: bool = param(
        True,
        "Let the network of cascade (models/overlap) have a say in whether a sound over the robot's voice stops it, "
        "where the checkpoint is trained",
    )
    sights: str = param(
        "models/sights",
        "Folder of a network that looks at the pictures and warns of what it sees, where the checkpoint was trained "
        "without pictures; tml_ros.training.sight_net makes one; empty: none",
    )
    speaking_threshold: float = param(
        0.5, "Probability from which the person is taken to speak", minimum=0.05, maximum=0.95
    )
    intent_threshold: float = param(
        0.2, "Least confidence of an intent; the model card says what each costs", minimum=0.0, maximum=1.0
    )
