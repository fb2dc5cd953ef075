"""What ``lab demo`` is made of: a module a scene, and what all scenes share."""
