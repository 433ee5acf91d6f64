"""What each kind of task does with an activation."""
