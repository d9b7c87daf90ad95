"""Pages and API with which members, managers and administrators see and change departments."""
