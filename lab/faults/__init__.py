"""What can go wrong on a link, as pure functions of random numbers, time and what passes."""
