"""The verbs of the command line, one file each: parser now, work when it runs."""
