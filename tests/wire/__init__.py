"""Tests of lab.wire."""
