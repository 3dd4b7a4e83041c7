"""Preprocessing done once per file and settings."""

import hashlib
import inspect
import json
import math
import os
import sys
from collections.abc import Sequence
from enum import Enum
from pathlib import Path
from typing import Any

from monai.data import PersistentDataset
from monai.transforms import Compose
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

__all__ = ["CachedDataset"]


class CachedDataset(PersistentDataset):
    """``PersistentDataset`` that notices every change that matters, and only those.

    The name of a cache file hashes the image files (path, size, time of change) and the settings of the cached
    transforms. So another section, fold, or label of the same file is a hit, another
    ``spacing_mm`` or an edited image is a miss. MONAI's ``pickle_hashing`` of transforms differs between processes.

    Args:
        data: items of a datalist.
        transform: ``Compose`` of dictionary transforms.
        num_cached: how many of them, from the first, are cached; those see ``path_keys`` only.
        cache_dir: folder of the cache.
        keys: entries of the preprocessed item to hand out; None is all.
        path_keys: entries that name files (a path or a list of paths); one that an item lacks is left out.
        metadata_keys: entries of the item that are passed on beside the preprocessed ones; one that an item lacks is
            NaN.
        fill_workers: processes that fill the cache now, with a progress bar; 0 fills it at first use.
    """

    def __init__(
        self,
        data: Sequence[dict],
        transform: Compose,
        num_cached: int,
        cache_dir: str,
        keys: Sequence[str] | None = None,
        path_keys: Sequence[str] = ("image",),
        metadata_keys: Sequence[str] = ("id", "group", "section", "label"),
        fill_workers: int = 0,
    ) -> None:
        self.num_cached = num_cached
        self.keys = keys
        self.path_keys = path_keys
        self.metadata_keys = metadata_keys
        super().__init__(data, transform, cache_dir, hash_func=_hash_files)
        self.transform_hash = _hash_settings(transform.transforms[:num_cached])
        if fill_workers:
            self._fill(fill_workers)

    def _pre_transform(self, item_transformed: dict) -> Any:
        return self.transform(item_transformed, end=self.num_cached, threading=True)

    def _post_transform(self, item_transformed: dict) -> Any:
        return self.transform(item_transformed, start=self.num_cached)

    def _file(self, item: dict) -> Path:
        name = _hash_files(self._paths(item)).decode() + self.transform_hash
        return Path(str(self.cache_dir)) / f"{name}.pt"

    def _paths(self, item: dict) -> dict[str, Any]:
        return {key: item[key] for key in self.path_keys if key in item}

    def _fill(self, num_workers: int) -> None:
        missing = [item for item in self.data if not self._file(item).is_file()]
        if missing:
            loader = DataLoader(_Fill(self, missing), batch_size=None, num_workers=num_workers)
            for _ in tqdm(loader, desc="preprocess (cached)", unit="case"):
                pass

    def _cachecheck(self, item_transformed: dict) -> dict:
        paths = self._paths(item_transformed)
        try:
            cached = super()._cachecheck(paths)
        except Exception as problem:
            raise RuntimeError(
                f"{type(self).__name__}: case {item_transformed['id']} cannot be preprocessed."
            ) from problem
        metadata = {key: item_transformed.get(key, math.nan) for key in self.metadata_keys}
        return metadata | {key: cached[key] for key in (cached if self.keys is None else self.keys)}


class _Fill(Dataset):
    """Preprocess for the cache only: nothing but the index travels back from the worker."""

    def __init__(self, dataset: CachedDataset, items: Sequence[dict]) -> None:
        self.dataset = dataset
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, index: int) -> int:
        self.dataset._cachecheck(self.items[index])
        return index


def _hash_files(item: dict[str, str | list[str]]) -> bytes:
    names = [path for value in item.values() for path in ([value] if isinstance(value, str) else value)]
    facts = [(os.path.abspath(name), os.stat(name).st_size, os.stat(name).st_mtime_ns) for name in names]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest().encode()


def _hash_settings(transforms: Sequence[Any]) -> str:
    return hashlib.sha256(json.dumps([_describe(t) for t in transforms]).encode()).hexdigest()[:16]


def _describe(value: Any, depth: int = 0) -> Any:
    """Public settings of an object as JSON, the same in every process."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, Enum):
        return str(value)
    if isinstance(value, dict):
        return {str(key): _describe(item, depth + 1) for key, item in sorted(value.items(), key=str)}
    if isinstance(value, list | tuple):
        return [_describe(item, depth + 1) for item in value]
    if inspect.isroutine(value) or inspect.isclass(value):
        return getattr(value, "__qualname__", type(value).__name__)
    if not hasattr(value, "__dict__") or depth > 8:
        return str(value)
    shown = [name for name in vars(value) if name == "_loader" or not (name.startswith("_") or name == "R")]
    settings = {name: vars(value)[name] for name in shown}  # _loader: all settings of LoadImaged, the reader too
    return {"class": type(value).__name__, "code": _own_code(type(value))} | _describe(settings, depth + 1)


def _own_code(kind: type) -> str:
    """Hash of the source file of a bundle's own transform: editing it changes what it computes."""
    if not kind.__module__.startswith(("scripts.", "common.")):
        return ""
    return hashlib.sha256(Path(str(sys.modules[kind.__module__].__file__)).read_bytes()).hexdigest()[:16]
