"""``lab experiment plans``: what comes with the package."""

import click

from lab.experiments.samples import samples


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
def command() -> None:
    """List the plans that come with the package; lab experiment run takes their names."""
    for name, title in samples().items():
        click.echo(f"{name:12} {title}")
