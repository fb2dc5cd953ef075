"""What is measured, and how it looks."""
