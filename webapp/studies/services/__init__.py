"""State changes of studies and images, by stage. Callers import the stage they need."""
