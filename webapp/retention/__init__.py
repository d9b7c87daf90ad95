"""How long data is kept: what is deleted when its time is over, what nobody refers to, and a report of each run."""
