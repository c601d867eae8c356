"""What a command shows: tables, verdicts and figures on a terminal, and plots."""
