"""Groups whose help shows the summary of each command in full, on several lines if need be."""

import click


class SummarizedGroup(click.Group):
    """Click cuts summaries where the line ends; what is cut is often what tells two commands apart."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the names and summaries of all commands."""
        named = ((name, self.get_command(ctx, name)) for name in self.list_commands(ctx))
        rows = [
            (name, command.get_short_help_str(limit=1_000))
            for name, command in named
            if command is not None and not command.hidden
        ]
        if rows:
            with formatter.section("Commands"):
                formatter.write_dl(rows)
