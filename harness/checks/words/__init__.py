"""What the verdict says in sentences, and the messages that it names one by one."""
