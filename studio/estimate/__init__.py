"""What a run would need in memory, time and money, before it starts."""
