"""Correlations: what many matches of rules mean together (Sigma specification 2.1)."""
