"""What people wrote about a collection: tags, notes, named sets, saved searches; never derived, only ever added to."""
