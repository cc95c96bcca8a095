"""Independent verification of a Ratchet log, with the code that the registry runs.

An auditor needs `ratchet.decisions`, `ratchet.statistics`, this folder, `ratchet.errors`, the generated messages, numpy
and cryptography.

*Was a decision right?* A decision event carries its evidence as packed bytes. Judge it again:

    from ratchet.decisions import evidence, gate
    judgement = gate.judge(evidence.unpack(event_evidence), horizon=1, policy="balanced")

The verdict and every number must equal those of the event. Equal bytes on one machine give equal results to the last
bit. Between machines sums and logarithms may differ in the last digits, which changes a verdict only at an exact
threshold.

*Is the log unchanged?* The log is a Merkle tree after RFC 6962, one leaf for each event:

    from ratchet.transparency import merkle
    leaf = merkle.leaf_hash(merkle.canonical_leaf(position, stream, version, topic, state))
    merkle.verify_inclusion(leaf, position - 1, size, proof, root)              the event is in the log
    merkle.verify_consistency(old_size, size, proof, old_root, root)            the old log is a prefix of the new one

*Is `root` the log's?* The log's key signs checkpoints, which are kept outside of the log:

    from ratchet.transparency import checkpoint_files, checkpoints, keys
    trusted = keys.load_trusted(Path("signing.pub"))
    checkpoint = checkpoints.newest(checkpoint_files.read_checkpoints(Path("checkpoints.txt")))
    checkpoints.verify(checkpoint, trusted.public_key) and (checkpoint.size, checkpoint.root) == (size, root)

*Is the whole log right?* Verification of an export answers all questions, decision by decision:

    from ratchet.transparency import export
    report = export.verify_export(Path("log.jsonl"), trusted)
    report.verified, report.findings

Modules: `merkle`; `keys`; `checkpoints` and `checkpoint_files` (signed notes, C2SP); `verification` on `event_format`,
`signatures`, `history` and `references`; `export` and `event_json` (a log as lines of JSON). Inputs are arrays, bytes
or text; there is no clock, no randomness except for new keys, and no I/O except for a path argument. In a pair A is the
champion and B the contender; a loss difference is positive when B is better.
"""
