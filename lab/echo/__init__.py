"""The echo service: text that comes back, streams and files, and what they say of a network."""
