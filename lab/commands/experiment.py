"""``lab experiment``: plans of many cells, run and looked at."""

import click

from lab.commands.lazy import LazyGroup

#: Subcommand -> module of lab.commands, and its line in the help.
COMMANDS = {
    "run": ("experiment_run", "Run a plan, or go on with it."),
    "plans": ("experiment_plans", "List the plans that come with the package."),
    "plot": ("experiment_plot", "Draw what an experiment has measured."),
    "report": ("experiment_report", "Make one page of HTML of an experiment."),
    "compare": ("experiment_compare", "Compare two runs of an experiment: a gate for CI."),
}


@click.command(
    cls=LazyGroup, commands_of=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]}
)
def command() -> None:
    """Measure a service over many settings, as real processes or in the simulator."""
