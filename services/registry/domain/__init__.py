"""The rules of the registry: pure functions from state and command to facts. No I/O, no clock, no randomness.

`lineage` (versions, champion, contenders) and `training` (decisions on a session's evidence); `symbol` (the best of a
series and task); `session` (its life cycle); `dataset`; `comparison` (validation and judgement of evidence); `words`.
"""
