"""The queue page for administrators and managers: waiting images, workers, failures, and the actions on them."""
