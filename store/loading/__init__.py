"""How the rows of an import become the table of ratings: sorted runs, dense ids, batches or a finished b-tree."""
