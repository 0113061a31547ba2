"""IDM from scratch or from a file (papers/001, section 3.2); with ``data.targets`` its extrinsic pass (section 3.3)."""
