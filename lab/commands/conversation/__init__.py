"""The talk between a person, or a script, and a command: lines in, answers out. POSIX only."""
