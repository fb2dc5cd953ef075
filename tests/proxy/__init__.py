"""Tests of lab.proxy."""
