"""Tests of what is measured and drawn."""
