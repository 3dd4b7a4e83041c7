"""Command line: ``python -m common doctor | datalist | cross-validate | compare``."""

import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any

import fire

COMMANDS = {
    "doctor": ("doctor", "doctor"),
    "datalist": ("datalist", "DATALISTS"),
    "cross-validate": ("cross_validate", "cross_validate"),
    "compare": ("compare", "compare"),
}


def main(arguments: list[str] | None = None) -> None:
    """Run one command; what the user can mend ends as one sentence and exit status 1."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] not in COMMANDS:
        sys.exit(f"usage: python -m common {{{' | '.join(COMMANDS)}}} ...  (add --help after a command)")
    module, name = COMMANDS[arguments[0]]
    command: Callable | dict[str, Any] = getattr(import_module(f".commands.{module}", __package__), name)
    try:
        fire.Fire(command, command=arguments[1:], name=f"python -m common {arguments[0]}")
    except (ValueError, FileNotFoundError, FileExistsError, RuntimeError) as problem:
        sys.exit(f"error: {problem}")


if __name__ == "__main__":
    main()
