"""What each study's tables say, in words."""
