"""The scenario language: models, loading, JSON Schema. Knows nothing of Docker or pika."""
