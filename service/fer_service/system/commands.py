"""Command lines of several commands."""

from typing import Any

import typer
from typer.core import TyperGroup


class Commands(TyperGroup):
    """Commands that refuse empty arguments, such as unset shell variables.

    An empty path would mean the current folder.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments (called by typer).

        Raises:
            typer.BadParameter: an argument, or the value of an option, is empty.
        """
        options = args[: args.index("--")] if "--" in args else args
        for before, text in zip(["", *args], args, strict=False):
            if not text:
                place = f" after {before}" if before.startswith("-") else ""
                raise typer.BadParameter(f"the argument{place} is empty; is a shell variable unset?", ctx)
        for text in options:
            name, sign, value = text.partition("=")
            if name.startswith("--") and sign and not value:
                raise typer.BadParameter(f"{name} is empty; is a shell variable unset?", ctx)
        return super().parse_args(ctx, args)
