"""One pure function per rule: `(facts, proposal) -> verdict`.

A rule is only asked about the pairs of types its policy lists for it, so it may take the current
state for granted where its FROM set leaves out "no state".
"""
