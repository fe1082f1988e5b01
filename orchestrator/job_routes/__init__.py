"""What can be asked for as a job, and how its caller follows it."""
