"""One module for each thing that is fuzzed, with its `FUZZER`."""
