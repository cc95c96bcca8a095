"""The rules of the registry: pure functions from state and command to facts. No I/O, no clock, no randomness.

`lineage` (versions, champion, contenders) and `training` (what a session's evidence decides); `symbol` (the best of a
series and task); `session` (it ends once); `dataset`; `comparison` (evidence is checked and judged); `words`.
"""
