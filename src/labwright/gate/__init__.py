"""The gate: tests a lab's document in three stages: cover, lint and perform."""
