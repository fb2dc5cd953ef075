"""The arithmetic service: a question, an answer; over TCP, UDP, TLS and Unix sockets."""
