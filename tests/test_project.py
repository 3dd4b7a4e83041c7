"""Facts about the repository as a whole."""

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / name).read_text(), re.M))


def test_there_is_one_list_of_pins() -> None:
    lines = [line.strip() for line in (ROOT / "environment.yml").read_text().splitlines()]
    assert "- -r requirements.txt" in lines
    assert not [line for line in lines if "==" in line]
    assert (ROOT / "requirements-dev.txt").read_text().startswith("-r requirements.txt\n")
    dev, optional = pins("requirements-dev.txt"), pins("requirements-optional.txt")
    assert {name: dev[name] for name in dev.keys() & optional.keys()} == {
        name: optional[name] for name in dev.keys() & optional.keys()
    }
    assert not pins("requirements.txt").keys() & (dev.keys() | optional.keys())


def test_every_requirement_is_pinned_exactly() -> None:
    for name in ("requirements.txt", "requirements-dev.txt", "requirements-optional.txt"):
        lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith(("#", "-r"))]
        assert sorted(line.split("==")[0] for line in lines) == sorted(pins(name))


def test_nothing_asks_for_torchvision() -> None:
    text = "".join((ROOT / name).read_text() for name in ("requirements.txt", "requirements-dev.txt"))
    assert not re.search(r"^(torchvision|timm|lpips|piq|acsconv)", text, re.M)


def test_tracked_files_hold_no_pickle_and_nothing_over_25_mb() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True)
    files = [ROOT / name for name in listed.stdout.split("\0") if name]
    assert files
    assert not [path for path in files if path.suffix in (".pkl", ".pickle", ".joblib", ".dcm")]
    assert not [path for path in files if path.is_file() and path.stat().st_size > 25 * 2**20]
