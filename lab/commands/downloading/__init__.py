"""What ``lab download`` is made of: fetching many files, showing them, the words of its talk."""
