"""A simulated world around the memory storage: executors, clients, deaths, lost and doubled calls.

Everybody is an actor; a seeded scheduler decides who moves next, and lets every call travel,
land and be answered at moments of its own. So an executor dies before, during and after each
commit, commits of the dead still land, answers are lost, requests are delivered twice, everybody
pauses longer than a lease, and clocks are wrong. The storage is the real one; the executors follow
a minimal policy that keeps the engine's rules. After every commit the invariants are checked, and
at the end that everything came to rest and that what was said to clients is true.

One weakness switched on, in the storage or in the policy, must be found: this is what shows that
the rule is needed, and that the invariants would see it broken.
"""
