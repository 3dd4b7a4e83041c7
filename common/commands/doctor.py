"""What is installed, what the machine offers, and what is wrong."""

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

__all__ = ["doctor"]

ROOT = Path(__file__).resolve().parents[2]
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s#]+)")


def doctor() -> None:
    """Print versions, device, memory and optional parts; exit status 1 and a list when something is wrong.

    It imports nothing but the standard library before it looks, so it also works in a broken environment.
    """
    problems: list[str] = []
    print(f"python       {platform.python_version()} ({sys.executable})")
    if sys.version_info[:2] != (3, 11):
        problems.append(f"Python is {platform.python_version()}, the pins are made for 3.11; make a 3.11 environment.")
    for name, pin in _pins("requirements.txt").items():
        version = _version(name)
        print(f"{name:<20} {version or 'missing'}")
        if version is None:
            problems.append(f"{name} is missing; run `pip install -r requirements.txt`.")
        elif version.split("+")[0] != pin:
            problems.append(f"{name} is {version}, requirements.txt pins {pin}; run `pip install -r requirements.txt`.")
    if _version("torchvision"):
        problems.append(
            "torchvision is installed; beside a CPU torch its import fails, nothing here needs it: remove it."
        )
    print("\noptional (requirements-optional.txt)")
    for name in _pins("requirements-optional.txt"):
        print(f"{name:<20} {_version(name) or 'not installed'}")
    print()
    problems += _machine()
    if problems:
        print("\nwrong:")
        print("\n".join(f"- {line}" for line in problems))
        sys.exit(1)
    print("\nall is well")


def _machine() -> list[str]:
    """Print device and memory; return what is wrong with them."""
    if _version("torch") is None or _version("psutil") is None:
        return []
    import psutil  # after the check: the doctor must run without them
    import torch

    gigabytes = psutil.virtual_memory().available / 2**30
    print(f"device       {torch.cuda.get_device_name(0) if torch.cuda.is_available() else 'cpu'}")
    print(f"cores        {os.cpu_count()}, torch threads {torch.get_num_threads()}")
    print(f"memory       {gigabytes:.1f} GiB free of {psutil.virtual_memory().total / 2**30:.1f}")
    disk = psutil.disk_usage(str(ROOT)).free / 2**30
    print(f"disk         {disk:.1f} GiB free")
    problems = []
    if gigabytes < 4:
        problems.append(f"only {gigabytes:.1f} GiB of memory are free; training needs about 4, close other programs.")
    if disk < 2:
        problems.append(f"only {disk:.1f} GiB of disk are free; phantoms and their cache need about 2.")
    return problems


def _pins(name: str) -> dict[str, str]:
    path = ROOT / name
    lines = path.read_text().splitlines() if path.is_file() else []
    return {match[1]: match[2] for line in lines if (match := PIN.match(line))}


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
