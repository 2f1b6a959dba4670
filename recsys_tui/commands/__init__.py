"""One file a group of commands; each has `register(app)`. Everything heavy is imported inside the functions."""
