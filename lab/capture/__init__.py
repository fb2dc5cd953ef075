"""Captures for Wireshark: pcapng files with headers that are made up. Loads no Twisted."""
