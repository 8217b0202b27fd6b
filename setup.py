"""Build and install tml_ros, for pip as well as for colcon (ament_python).

The message definitions of tml_interfaces are installed as data, so that the core can read bags that hold them where
there is no ROS. It knows nothing about the generated classes; tml_interfaces/CMakeLists.txt makes those.
"""

import re
from collections import defaultdict
from pathlib import Path

from setuptools import find_packages, setup

NAME = "tml_ros"
ROOT = Path(__file__).resolve().parent
SHARED = ("launch/*.launch.py", "config/**/*", "models/**/*")
INTERFACES = ("tml_interfaces/msg/*.msg", "tml_interfaces/srv/*.srv", "tml_interfaces/action/*.action")


def version() -> str:
    """Read the version without importing the package, which would need its dependencies."""
    found = re.search(r'^__version__ = "(.+)"$', (ROOT / NAME / "__init__.py").read_text(), re.MULTILINE)
    if not found:
        raise SystemExit(f'{NAME}/__init__.py has no line __version__ = "..."; add it')
    return found[1]


def data_files() -> list[tuple[str, list[str]]]:
    """List what is installed under share/, as (folder, files), paths relative to this file."""
    share = Path("share", NAME)
    folders = defaultdict(list)
    folders[Path("share/ament_index/resource_index/packages")].append(Path("resource", NAME))
    folders[share].append(Path("package.xml"))
    for base, patterns in ((share, SHARED), (share / "interfaces", INTERFACES)):
        for path in (path for pattern in patterns for path in sorted(ROOT.glob(pattern))):
            relative = path.relative_to(ROOT)
            if path.is_file() and "__pycache__" not in relative.parts:
                folders[base / relative.parent].append(relative)
    return [(str(folder), [str(path) for path in paths]) for folder, paths in folders.items()]


setup(
    name=NAME,
    version=version(),
    description="Full-duplex presence for robots: sound, sight and speech in 200 ms micro-turns.",
    license="Apache-2.0",
    packages=find_packages(str(ROOT), include=[NAME, f"{NAME}.*"]),
    package_data={"tml_ros.evaluation": ["report_assets/*"], "tml_ros.replay": ["report_assets/*"]},
    data_files=data_files(),
    python_requires=">=3.11",
    install_requires=[
        'backports.zstd>=1.0; python_version < "3.14"',
        "bm25s>=0.3",
        "httpx2>=2.16",
        "jsonschema>=4.18",
        "livekit>=1.2",
        "markdown-it-py>=3.0",
        "mcp>=2.3",
        "numpy>=1.26",
        "onnxruntime>=1.17",
        "openai>=3.50",
        "opencv-python-headless>=4.6,<5",
        "pint>=0.24",
        "pocketsphinx>=5.0",
        "pulsectl>=23.5",
        "pystemmer>=3.0",
        "pyyaml>=6.0",
        "referencing>=0.30",
        "rich>=13.0",
        "rosbags>=0.11",
        "sounddevice>=0.4",
        "soundfile>=0.12",
        "soxr>=0.3",
        "text2num>=3.1",
    ],
    extras_require={
        "moshi": ["sphn>=0.2.1", "websockets>=17.0"],
        "native": ["safetensors>=0.8", "tokenizers>=0.23", "torch>=2.13"],
        "ray": ["ray>=2.50"],
        "realtime": ["websockets>=17.0"],
        "sherpa": ["sherpa-onnx>=2.0"],
        "train": ["tensorboard>=2.20"],
        "whisper": ["faster-whisper>=1.2"],
    },
    zip_safe=False,
    entry_points={
        "console_scripts": [
            "tml = tml_ros.cli.main:main",
            "interaction = tml_ros.nodes.interaction:main",
            "background = tml_ros.nodes.background:main",
            "audio_capture = tml_ros.nodes.audio_capture:main",
            "speech_player = tml_ros.nodes.speech_player:main",
        ],
        "pytest11": ["tml_ros = tml_ros.pytest_plugin"],
        "tml_ros.background_models": [
            "offline = tml_ros.background.offline.model:OfflineModel",
            "openai = tml_ros.background.openai.model:OpenAIModel",
            "scripted = tml_ros.background.scripted:ScriptedModel",
        ],
        "tml_ros.duplex_models": [
            "always_talk = tml_ros.duplex.baselines:AlwaysTalkModel",
            "cascade = tml_ros.duplex.cascade.model:CascadeModel",
            "echo = tml_ros.duplex.baselines:EchoModel",
            "moshi = tml_ros.duplex.remote.moshi:MoshiModel",
            "native = tml_ros.duplex.native.model:NativeModel",
            "realtime = tml_ros.duplex.remote.realtime:RealtimeModel",
            "silence = tml_ros.duplex.baselines:SilenceModel",
        ],
    },
)
