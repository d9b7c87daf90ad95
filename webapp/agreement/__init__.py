"""How well the models' answers agree with readers, and whether incoming images have changed."""
