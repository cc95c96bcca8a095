"""What an outsider needs to check Ratchet: this folder, `ratchet.errors`, the generated messages, numpy, cryptography.

Two questions are answered here, by the very code that the registry runs.

*Was the decision right?* A decision event carries the evidence as packed bytes. Read them and judge again:

    from ratchet.proof import evidence, gate
    judgement = gate.judge(evidence.unpack(event_evidence), horizon=1, policy="balanced")

The verdict and every number must equal what the event says. Same bytes, same machine: the same to the last bit.
Between machines sums and logarithms may differ in the last digits, which moves a verdict only at an exact threshold.

*Is the log the one that was shown before?* It is a Merkle tree after RFC 6962, one leaf for each event:

    from ratchet.proof import merkle
    leaf = merkle.leaf_hash(merkle.canonical_leaf(position, stream, version, topic, state))
    merkle.verify_inclusion(leaf, position - 1, size, proof, root)              that event is in this log
    merkle.verify_consistency(old_size, size, proof, old_root, root)            nothing before it was changed

Who says that `root` is the log's? Its key does, in signed heads that are kept outside it:

    from ratchet.proof import heads
    public_key = heads.load_public(Path("signing.pub"))
    head = heads.newest(heads.read_heads(Path("heads.jsonl")))
    heads.verify(head, public_key) and (head.size, head.root) == (size, root)

And is all of it right? Replay answers both questions for a whole log, decision by decision:

    from ratchet.proof import export
    report = export.verify_export(Path("log.jsonl"), public_key)
    report.verified, report.findings

The modules, each with its source: `gate` (policies and verdicts) on `evalue`, `diebold_mariano`, `hac`, `scores`,
`calibration` and `special`; `evidence` (the packed bytes); `merkle`; `heads` (signatures and keys); `replay` on
`forms`, `signatures`, `history`, `standing`, `redecide`, `rejudge`, `race` and `once`; `export` and `readable` (a log
as lines of JSON). Arrays or bytes in, numbers or bytes out; no clock, no randomness but in new keys, no I/O but where a
path is given. In a pair A is the champion and B the contender; a loss difference is positive when B is better.
"""
