"""A proxy between clients and a broker: sockets and their loop. What happens to the bytes is handed in."""
