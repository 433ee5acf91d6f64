"""What users write: tasks, and what their code sees while it runs."""
