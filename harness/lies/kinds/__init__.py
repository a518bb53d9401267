"""The lies, one class each. A new one is a class in a file of this folder: it is found by itself."""
