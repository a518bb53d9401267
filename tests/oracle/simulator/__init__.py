"""A model of RabbitMQ with publishers and workers, in virtual time and from a seed."""
