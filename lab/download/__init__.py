"""The download service: files that arrive whole, from one server or from many."""
