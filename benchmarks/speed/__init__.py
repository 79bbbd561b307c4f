"""Speed and memory, each measured side by side with what a user would pick instead: `make bench`."""
