"""The development server: `ratchet up`, demo, doctor, tokens and backtest, with all services on this machine."""
