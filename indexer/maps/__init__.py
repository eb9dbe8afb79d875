"""Maps of a collection: neighbours, layout, trust, and the polygons by which people choose from them."""
