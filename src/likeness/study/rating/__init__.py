"""The user study: blind pairwise preferences, asked on loopback, kept in SQLite, and what they say."""
