"""Chaos and reliability test harness for RabbitMQ work queues."""

__version__ = "0.1.0"
