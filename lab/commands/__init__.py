"""What people start: the services of twistd and the command lab."""
