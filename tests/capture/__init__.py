"""Tests of the room of captures."""
