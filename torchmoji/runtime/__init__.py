"""What the rest runs on: the machine and extras, processes, fast products, options, names that load late."""
