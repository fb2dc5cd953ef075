"""Tests of `lab.commands.demonstrating`."""
