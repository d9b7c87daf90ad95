"""Files as people send them: a table of cases, each with its expected result, tested through every entry point."""
