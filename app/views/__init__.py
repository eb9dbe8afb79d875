"""The pages of the front end, one file each, and the parts they are drawn from."""
