"""Tests of the download service."""
