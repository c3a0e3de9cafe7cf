"""A command whose errors say what was meant: another tool's option, or arguments in another order."""

from __future__ import annotations

from typing import Any

from typer.core import TyperCommand

_LIMITS = ("-k", "-n", "--k", "--n", "--top", "--top-k", "--top_k", "--topk")  # elsewhere, of what is --limit here


class Command(TyperCommand):
    """A command of the program."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Parse the arguments.

        Raises:
            Exception: A usage error of click, which is in another module in each release of typer.
        """
        try:
            return super().parse_args(ctx, args)
        except Exception as error:
            option = getattr(error, "option_name", None)
            if option in _LIMITS and any(parameter.name == "limit" for parameter in self.params):
                ctx.fail(f"No such option: {option}; did you mean --limit?")
            wrong = getattr(error, "param", None)
            if wrong is not None and wrong.name == "action":
                ctx.fail(f"{error.format_message()} The action comes first. {self.epilog}")  # type: ignore[attr-defined]
            raise
