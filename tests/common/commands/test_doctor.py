import subprocess
import sys
from pathlib import Path

import pytest

from common.commands import doctor

ROOT = Path(__file__).resolve().parents[3]


def test_a_sound_environment_is_all_well() -> None:
    done = subprocess.run([sys.executable, "-m", "common", "doctor"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "all is well" in done.stdout
    for part in ("python", "torch", "monai", "device", "memory", "optional"):
        assert part in done.stdout


@pytest.mark.parametrize(
    ("package", "version", "message"),
    [
        pytest.param("monai", None, "monai is missing; run `pip install -r", id="missing"),
        pytest.param("torch", "2.0.0", "torch is 2.0.0, requirements.txt pins 2.13.0", id="other version"),
        pytest.param("torchvision", "0.28.0", "torchvision is installed", id="harmful"),
    ],
)
def test_what_is_wrong_is_named(
    package: str, version: str | None, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    original = doctor._version
    monkeypatch.setattr(doctor, "_version", lambda name: version if name == package else original(name))
    with pytest.raises(SystemExit):
        doctor.doctor()
    assert message in capsys.readouterr().out.split("wrong:")[1]


def test_an_unknown_command_lists_the_known_ones() -> None:
    done = subprocess.run([sys.executable, "-m", "common", "cure"], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1
    assert "doctor | datalist | cross-validate" in done.stderr
