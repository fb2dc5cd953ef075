"""A network-protocol laboratory on Twisted."""
