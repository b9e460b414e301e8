"""What is measured: the applications and their requests. How it is measured is in the folders beside this one."""
