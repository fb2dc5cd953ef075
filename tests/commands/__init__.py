"""Tests of lab.commands."""
