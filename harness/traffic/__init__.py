"""The publisher and worker programs, each its own OS process. Importing this package must stay cheap."""
