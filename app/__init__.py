"""For people: the command line and the front end."""
