"""Reports for auditors: rows of a period, and beside them a manifest that says what they are and what lacks."""
