"""What Microsoft's cloud logs have in common: shapes, names, times and accounts."""
