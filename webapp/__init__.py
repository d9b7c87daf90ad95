"""What people and programs talk to. Never imports the model: workers know it, web processes stay small."""
