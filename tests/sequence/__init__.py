"""Tests of the sequence service."""
