"""What texts mean, by the embedded encoder: texts to label next, wrong labels, leaks in other words."""
