"""Tests of lab.arithmetic."""
