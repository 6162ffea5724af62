"""What goes to the Hugging Face hub, with the person's own token: results and data of a run, and Spaces."""
