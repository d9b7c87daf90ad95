"""The audit: who saw, sent, changed and deleted what, when and from where, in a chain that reveals later changes."""
