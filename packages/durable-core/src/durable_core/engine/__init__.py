"""Claims, runs, renews, finishes and recovers executions."""
