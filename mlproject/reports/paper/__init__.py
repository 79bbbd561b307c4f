"""The report: the paper's tables, figures and open questions, each next to the results found here."""
