"""Say what to change when a device has not enough memory."""

import logging
import re
from collections.abc import Callable, Mapping
from typing import Any

import torch
from ignite.engine import Engine, Events

__all__ = ["OutOfMemory", "is_out_of_memory"]

# what allocators say: torch on CPU and GPU, its libraries, and the text in which a loader's process reports a cause
_PHRASES = re.compile(r"DefaultCPUAllocator|out of memory|STATUS_ALLOC_FAILED|MemoryError")


def is_out_of_memory(problem: BaseException) -> bool:
    """Whether ``problem``, or a cause that it was raised from, is an allocation that failed.

    On a CPU torch raises a plain ``RuntimeError``, NumPy a ``MemoryError``; transforms and loaders wrap both.
    """
    cause: BaseException | None = problem
    while cause is not None:
        if isinstance(cause, MemoryError | torch.OutOfMemoryError):
            return True
        if isinstance(cause, RuntimeError) and _PHRASES.search(str(cause)):
            return True
        cause = cause.__cause__
    return False


class OutOfMemory:
    """End a run that needs more memory than there is with one sentence on the way out; let all other errors pass.

    Put it before ``StatsHandler``: of the handlers of an exception ignite calls the first, and one that returns would
    hide the error. The memory error stays the cause of the new one. Files are replaced after an epoch only, so the last
    checkpoint and the best weights stay good.

    Args:
        settings: config id -> its value in this run, for the message; of ``batch_size`` (with
            ``accumulation_steps``), ``patch_size`` and ``amp`` those that can still save memory are offered as ways out.
        skip: for an evaluator over items with an ``error`` (:class:`~..data.TolerantDataset`): a batch that does not fit
            becomes a batch with that sentence as its ``error`` and zeros as its image, and the run goes on.

    Raises:
        RuntimeError: in a run, for an error that :func:`is_out_of_memory`.
    """

    def __init__(self, settings: Mapping[str, Any] | None = None, skip: bool = False) -> None:
        self.settings = dict(settings or {})
        self.skip = skip
        self.logger = logging.getLogger(type(self).__name__)

    def attach(self, engine: Any) -> None:
        """Register on a trainer or an evaluator."""
        engine.add_event_handler(Events.EXCEPTION_RAISED, self)
        if self.skip:
            engine.add_event_handler(Events.STARTED, self._guard)  # MONAI attaches handlers before there is an inferer

    def __call__(self, engine: Engine, problem: BaseException) -> None:
        """Raise the sentence, or what was raised; an outer loop of ignite gets the sentence once more."""
        if str(problem).startswith(type(self).__name__) or not is_out_of_memory(problem):
            raise problem
        raise RuntimeError(self._sentence(engine)) from problem

    def _guard(self, engine: Any) -> None:
        """Put a tolerant inferer in the place of the engine's, once."""
        if getattr(engine.inferer, "__name__", "") != "tolerant":
            engine.inferer = self._tolerant(engine, engine.inferer)

    def _tolerant(self, engine: Any, inferer: Callable[..., Any]) -> Callable[..., Any]:
        def tolerant(inputs: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
            try:
                return inferer(inputs, *args, **kwargs)
            except Exception as problem:
                if not is_out_of_memory(problem):
                    raise
            # outside of the handler: there the traceback would still hold the tensors
            torch.cuda.empty_cache()
            sentence, batch = self._sentence(engine), engine.state.batch
            self.logger.warning(f"{', '.join(map(str, batch['id']))}: {sentence}")
            batch["error"] = [sentence] * len(inputs)
            return inputs.new_zeros(len(inputs), 1, *inputs.shape[2:])

        return tolerant

    def _sentence(self, engine: Any) -> str:
        training = hasattr(engine, "optimizer")
        where = f" in epoch {engine.state.epoch}, iteration {engine.state.iteration}" if training else ""
        now = "".join(f"{name} is {value}; " for name, value in self.settings.items())
        end = " The last checkpoint is good." if training else ""
        return (
            f"OutOfMemory: {engine.state.device} has no room for {_shape(engine.state.batch)}{where}; {now}"
            f"{self._ways_out(engine.state.device)}.{end}"
        )

    def _ways_out(self, device: torch.device) -> str:
        ways = []
        if self.settings.get("batch_size", 1) > 1:
            steps = " with more --accumulation_steps" if "accumulation_steps" in self.settings else ""
            ways.append(f"a smaller --batch_size{steps}")
        if "patch_size" in self.settings:
            ways.append("a smaller --patch_size")
        if self.settings.get("amp") is False and torch.device(device).type == "cuda":
            ways.append("--amp true")
        return f"pass {', or '.join(ways)}" if ways else "give smaller images, or take a device with more memory"


def _shape(batch: Any) -> str:
    """Size of the images of a batch, in words."""
    image = batch.get("image") if isinstance(batch, Mapping) else None
    return "a batch" if image is None else f"images of {' x '.join(map(str, image.shape))}"
