"""Files that are either complete or absent."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["atomic_path"]


@contextmanager
def atomic_path(path: str | os.PathLike) -> Iterator[Path]:
    """Give a temporary file name beside ``path`` that becomes ``path`` when the block ends well.

    A reader sees the old file or the new one, never half of it; an interrupted writer leaves the old one.

    Args:
        path: final file name; missing parent folders are made.

    Yields:
        Temporary path with the same suffix, so that writers that choose a format by suffix work.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{os.getpid()}.{target.name}")
    try:
        yield temporary
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
