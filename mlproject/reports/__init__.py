"""Reports for people: the comparison, figures, the paper's report."""
