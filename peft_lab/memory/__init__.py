"""What holds memory in this process, and giving it back."""
