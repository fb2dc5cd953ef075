"""Tests of lab.adapters."""
