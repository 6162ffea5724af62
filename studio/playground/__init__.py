"""Base and tuned model answer the same question side by side."""
