"""Mutation testing of the judge's rules: `make mutants`.

A mutant is a rule with one small mistake planted in its source. It is killed if a test that covers the line fails. What survives is a
mistake that no test would notice, or no mistake at all: then `tests/mutants_equivalent.toml` says why.

- `sites`: where a mistake can be planted, found in the syntax tree, and the draw of some of them by a seed;
- `covering`: which tests cover a line, and what each costs, by one run under coverage.py;
- `trial`: one mutant against its tests, in a process forked from one that has imported everything else;
- `campaign`: all mutants, some at once;
- `equivalent`: the list of those that change nothing;
- `report`: what came out, as text.

Why not a library: cosmic-ray starts a test command anew for each mutant (seconds of imports each, and all tests), and neither it nor
mutmut draws a sample by a seed. mutmut 3 rewrites the tree to switch between mutants at run time, and mutates functions only, so the
constants of the rules would stay as they are. Bending either would have been longer than this.
"""
