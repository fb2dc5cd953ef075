"""A proxy that breaks the network on purpose. Knows no service."""
