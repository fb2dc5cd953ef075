"""Tests of `lab.commands.conversation`."""
