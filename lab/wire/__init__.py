"""Messages out of a stream of bytes. Knows no service."""
