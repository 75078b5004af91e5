"""Tables of several rows by one command: studies today, the papers' tables to come."""
