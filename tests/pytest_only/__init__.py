"""Tests that need fixtures of pytest, and whole programs as a user starts them."""
