"""What runs a core on a transport. Knows no service."""
