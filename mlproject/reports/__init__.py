"""What people read: the comparison, figures, the paper's report."""
