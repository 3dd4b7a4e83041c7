"""Each bundle has its own ``scripts`` package: tests in ``tests/bundles/<name>/`` see the one of ``bundles/<name>``."""

import sys
from pathlib import Path
from types import ModuleType

import pytest

pytest.register_assert_rewrite("tests.bundles.fusion_checks")

ROOT = Path(__file__).resolve().parents[2]
_modules: dict[str, dict[str, ModuleType]] = {}
_active: list[str] = []


def _switch(path: Path) -> None:
    """Make ``scripts`` mean the bundle that the test file ``path`` belongs to."""
    name = path.relative_to(ROOT / "tests/bundles").parts[0]
    if not (ROOT / "bundles" / name).is_dir() or _active == [name]:
        return
    own = {key: sys.modules.pop(key) for key in list(sys.modules) if key.split(".")[0] == "scripts"}
    if _active:
        _modules[_active[0]] = own
        sys.path.remove(str(ROOT / "bundles" / _active[0]))
    sys.modules.update(_modules.get(name, {}))
    sys.path.insert(0, str(ROOT / "bundles" / name))
    _active[:] = [name]


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> None:
    _switch(module_path)


def pytest_make_collect_report(collector: pytest.Collector) -> None:
    if isinstance(collector, pytest.Module):  # imported now, after all modules of the call were made
        _switch(collector.path)


def pytest_runtest_setup(item: pytest.Item) -> None:
    _switch(item.path)
