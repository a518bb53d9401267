"""What is measured, and how; `make help` names the targets."""
