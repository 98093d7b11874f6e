"""What can be typed after the name of each command: a module for each of `authdb.commands`."""
