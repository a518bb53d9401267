"""AMQP 0-9-1 on the wire, without sockets: frames and methods taken apart and put together."""
