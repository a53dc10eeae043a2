"""Command lines of several commands."""

from typing import Any

import typer
from typer.core import TyperGroup


class Commands(TyperGroup):
    """Commands that take no empty argument, such as an unset variable: a path would be the current folder."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments (called by typer).

        Raises:
            typer.BadParameter: an argument, or the value of an option, is empty.
        """
        for before, text in zip(["", *args], args, strict=False):
            if not text or (text.startswith("--") and text.endswith("=")):
                option = text.removesuffix("=") or (before if before.startswith("-") else "an argument")
                raise typer.BadParameter(
                    f"{option} is empty, such as an unset variable; the current folder is .", ctx
                )
        return super().parse_args(ctx, args)
