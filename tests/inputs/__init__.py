"""Files as people send them: a table of cases, each with what is right, tried through every door."""
