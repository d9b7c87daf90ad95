"""How the models' answers agree with readers, and whether what comes in has changed."""
