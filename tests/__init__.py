"""The tests of txlab; a folder for each of its rooms, a module for each of its modules."""
