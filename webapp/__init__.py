"""The web application. It never imports the model, so that web processes stay small. Workers import it."""
