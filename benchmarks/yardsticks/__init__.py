"""The clients that the harness is measured against: a C program on librabbitmq, and one on RabbitMQ's Java client."""
