"""The audit: who saw, sent, changed and deleted what, when and from where, in a chain that shows each later change."""
