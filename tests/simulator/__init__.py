"""Tests of lab.simulator."""
