"""What a model forgot: short suites of general abilities, scored before and after training."""
