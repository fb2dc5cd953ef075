"""Tests of the echo service."""
