"""The report: the paper's tables, figures and open questions beside what was found here."""
