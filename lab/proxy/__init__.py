"""A proxy that breaks the network on purpose: its data paths, and its API, which is Toxiproxy's."""
