"""A tool library: neighbours list the tools they lend. A small service with the parts most services have."""
